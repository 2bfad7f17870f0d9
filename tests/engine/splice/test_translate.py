"""Headers as the other side has to see them, against plain Python; checksums by difference against sums over all."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncore_ray.engine.splice.translate import translate_options
from ncore_ray.lab.dry.arena import GuardedBytes
from ncore_ray.lab.dry.packets import internet_checksum, ipv4, ipv6
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.wire.checksum import fold, sum_bytes, update16
from ncore_ray.wire.ip import keep_traffic_class

WRAP = 1 << 32
_numbers = st.integers(0, WRAP - 1)
_memory = GuardedBytes(64)


@entry_kernel
def translate_options_kernel(at: int, length: int, timestamp_shift: int, echo_shift: int, block_shift: int) -> int:
    return translate_options(at, at + length, timestamp_shift, echo_shift, block_shift)


@entry_kernel
def update_kernel(at: int, before: int, after: int, length: int) -> int:
    """Return the checksum at a place after bytes that it covers have become others."""
    return update16(at, fold(sum_bytes(before, length)), fold(sum_bytes(after, length)))


@entry_kernel
def keep_class_kernel(target: int, source: int) -> int:
    return keep_traffic_class(target, source)


def _translated(options: bytes, stamps: int, echoes: int, blocks: int) -> bytes:
    translate_options_kernel(_memory.put(options), len(options), stamps, echoes, blocks)
    return _memory.get(len(options))


def _timestamps(value: int, echo: int) -> bytes:
    return struct.pack(">BBII", 8, 10, value, echo)


def _sack(edges: list[int]) -> bytes:
    return struct.pack(f">BB{len(edges)}I", 5, 2 + 4 * len(edges), *edges)


@given(
    value=_numbers,
    echo=_numbers,
    edges=st.lists(_numbers, max_size=3).map(lambda found: [edge for edge in found for _ in (0, 1)]),
    shifts=st.tuples(_numbers, _numbers, _numbers),
    padding=st.integers(0, 3),
    other=st.sampled_from([b"", b"\2\4\5\xb4", b"\xfd\4ab"]),
    swapped=st.booleans(),
)
def test_timestamps_and_blocks_wherever_they_stand(
    value: int, echo: int, edges: list[int], shifts: tuple[int, int, int], padding: int, other: bytes, swapped: bool
) -> None:
    stamps, echoes, blocks = shifts
    parts = [_timestamps(value, echo), _sack(edges), other]
    wanted_echo = (echo - echoes) % WRAP if echo else 0
    wanted = [_timestamps((value + stamps) % WRAP, wanted_echo), _sack([(e - blocks) % WRAP for e in edges]), other]
    if swapped:
        parts, wanted = parts[::-1], wanted[::-1]
    nops = b"\1" * padding
    found = _translated(nops + b"\1".join(parts) + b"\0\0", stamps, echoes, blocks)
    assert found == nops + b"\1".join(wanted) + b"\0\0"


@given(st.binary(max_size=40), _numbers, _numbers, _numbers)
def test_any_options_are_walked_within_their_bounds(options: bytes, stamps: int, echoes: int, blocks: int) -> None:
    found = _translated(options, stamps, echoes, blocks)
    assert len(found) == len(options)
    assert _translated(found, -stamps, -echoes, -blocks)[:1] == options[:1]


@pytest.mark.parametrize("options", [b"\5\1" + bytes(8), b"\5\xff" + bytes(8), b"\5", b"\x08\x0a\1\2", b"\5\6\1\2\3\4"])
def test_broken_options_stay_as_they_are(options: bytes) -> None:
    assert _translated(options, 5, 6, 7) == options


@given(st.binary(min_size=20, max_size=60), st.binary(min_size=20, max_size=60), st.binary(max_size=200))
def test_checksum_by_difference_is_that_of_all(before: bytes, after: bytes, payload: bytes) -> None:
    """RFC 1624, equation 3, for whole headers at once; 0 and 65535 are the same sum."""
    length = min(len(before), len(after)) & ~1
    before, after = before[:length], after[:length]
    old = internet_checksum(before + payload)
    memory = np.frombuffer(before + after, np.uint8)
    found = update_kernel(old, memory.ctypes.data, memory.ctypes.data + length, length)
    assert found % 65_535 == internet_checksum(after + payload) % 65_535


@given(st.integers(0, 255))
def test_traffic_class_is_kept(mark: int) -> None:
    for plain, marked in (
        (ipv4("10.0.0.1", "10.0.0.2", 6, b"abc"), ipv4("10.9.0.1", "10.9.0.2", 6, b"xyzzy", mark=mark)),
        (ipv6("fd00::1", "fd00::2", 6, b"abc"), ipv6("fd01::1", "fd01::2", 6, b"xyzzy")),
    ):
        if marked[0] >> 4 == 6:
            marked = struct.pack(">I", 6 << 28 | mark << 20 | 0xABCDE) + marked[4:]
        memory = np.frombuffer(plain + marked, np.uint8).copy()
        keep_class_kernel(memory.ctypes.data, memory.ctypes.data + len(plain))
        found = memory[: len(plain)].tobytes()
        if found[0] >> 4 == 4:
            assert found == ipv4("10.0.0.1", "10.0.0.2", 6, b"abc", mark=mark)
        else:
            assert found == struct.pack(">I", 6 << 28 | mark << 20) + plain[4:]
