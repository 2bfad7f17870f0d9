"""HalfSipHash against the vectors of the reference code (veorq/SipHash, vectors.h, `vectors_hsip32`)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncore_ray.machine.hash import MASK32, hash_tuple, sip_begin, sip_end, sip_word
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.machine.memory import load32

VECTORS = {
    0: "a9359f5b",
    4: "2a6e4689",
    8: "d0b8848f",
    12: "57f0872f",
    16: "d9b5ac84",
    20: "e34d1045",
    24: "27400c63",
    28: "b0644000",
    32: "fee72112",
    36: "e75cc6ec",
    40: "b6bc1840",
    44: "7705d548",
    48: "69e12ce3",
    52: "3b85f3d4",
    56: "a5c5b940",
    60: "d4e76c73",
}
"""Bytes of the message 00 01 02 … → digest, under the key 00 01 … 07."""
KEY0, KEY1 = 0x0302_0100, 0x0706_0504

words = st.integers(min_value=-(1 << 63), max_value=(1 << 63) - 1)


@entry_kernel
def hash_at(key0: int, key1: int, message: int, length: int) -> int:
    """Return the hash of the bytes at an address."""
    v0, v1, v2, v3 = sip_begin(key0, key1)
    for place in range(length // 4):
        v0, v1, v2, v3 = sip_word(v0, v1, v2, v3, load32(message + 4 * place))
    return sip_end(v0, v1, v2, v3, length)


@entry_kernel
def tuple_hash(key0: int, key1: int, a: int, b: int, c: int, d: int, e: int) -> int:
    """Return the hash of five words."""
    return hash_tuple(key0, key1, a, b, c, d, e)


def hash_bytes(message: bytes) -> int:
    room = np.frombuffer(message or b"-", np.uint8)
    return hash_at(KEY0, KEY1, room.ctypes.data, len(message))


@pytest.mark.parametrize("length", VECTORS)
def test_reference_vectors(length: int) -> None:
    assert hash_bytes(bytes(range(length))).to_bytes(4, "little").hex() == VECTORS[length]


def test_tuple_is_the_message_of_its_words() -> None:
    message = bytes(range(40))
    parts = [int.from_bytes(message[at : at + 8], "little") for at in range(0, 40, 8)]
    assert tuple_hash(KEY0, KEY1, *parts) == hash_bytes(message)


@given(key0=st.integers(0, MASK32), key1=st.integers(0, MASK32), parts=st.tuples(words, words, words, words, words))
def test_tuple_gives_32_bits_of_any_words(key0: int, key1: int, parts: tuple[int, int, int, int, int]) -> None:
    result = tuple_hash(key0, key1, *parts)
    assert 0 <= result <= MASK32
    assert tuple_hash(key0 ^ 1, key1, *parts) != result or tuple_hash(key0 ^ 2, key1, *parts) != result
