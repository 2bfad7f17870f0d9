"""The words that matter: field names, connection options, transfer codings; found by one look into a small table."""

from __future__ import annotations

from enum import IntEnum
from itertools import product
from typing import Any, Final

import numpy as np

from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load8, load32, load64


class Known(IntEnum):
    """A word of HTTP that means something to the appliance. Case does not matter in any of them."""

    OTHER = 0

    CONNECTION = 1
    """From here: fields of one hop, never passed on (RFC 9110 §7.6.1); some are written anew."""
    KEEP_ALIVE = 2
    PROXY_CONNECTION = 3
    TE = 4
    TRANSFER_ENCODING = 5
    UPGRADE = 6

    CONTENT_LENGTH = 7
    """From here: fields from end to end, which no Connection field can have removed."""
    HOST = 8
    EXPECT = 9
    VIA = 10
    X_FORWARDED_FOR = 11
    AUTHORIZATION = 12
    CACHE_CONTROL = 13
    CONTENT_ENCODING = 14
    CONTENT_RANGE = 15
    CONTENT_TYPE = 16
    COOKIE = 17
    DATE = 18
    FORWARDED = 19
    LOCATION = 20
    SET_COOKIE = 21
    TRAILER = 22
    X_FORWARDED_HOST = 23
    X_FORWARDED_PROTO = 24
    X_REAL_IP = 25

    CLOSE = 26
    """From here: members of lists; CLOSE is reserved as a field name (RFC 9110 §7.6.1)."""
    CHUNKED = 27
    CONTINUE = 28
    H2C = 29


LAST_OF_ONE_HOP: Final = Known.UPGRADE

TEXTS: Final[dict[Known, str]] = {
    known: "100-continue" if known == Known.CONTINUE else known.name.lower().replace("_", "-")
    for known in Known
    if known != Known.OTHER
}

_LOWER: Final = 0x2020_2020_2020_2020
_SLOTS: Final = 64
_COLUMNS: Final = 8  # length, three words, known; one cache line


@kernel
def _signature(address: int, length: int) -> tuple[int, int, int]:
    """Return three words that hold all of 1 … 24 bytes, letters in lower case.

    Bit 0x20 is set in every byte: among the characters of tokens that changes only letters, and ``^`` and ``_``,
    which no known word contains.
    """
    if length >= 8:
        middle = load64(address + 8) if length > 16 else 0
        return load64(address) | _LOWER, load64(address + length - 8) | _LOWER, middle | _LOWER
    if length >= 4:
        return load32(address) | _LOWER, load32(address + length - 4) | _LOWER, _LOWER
    return load8(address) | _LOWER, load8(address + length - 1) | _LOWER, load8(address + length // 2) | _LOWER


def _python_signature(text: bytes) -> tuple[int, int, int]:
    size = 8 if len(text) >= 8 else 4 if len(text) >= 4 else 1
    middle = text[8:16] if len(text) > 16 else text[len(text) // 2 :][:1] if size == 1 else b""
    first, last, between = (int.from_bytes(part, "little") | _LOWER for part in (text[:size], text[-size:], middle))
    return first, last, between


def _slots_of(first_factor: int, last_factor: int) -> list[int]:
    texts = [text.encode() for text in TEXTS.values()]
    return [(text[0] * first_factor + text[-1] * last_factor + len(text)) % _SLOTS for text in texts]


def _perfect_factors() -> tuple[int, int]:
    """Find the two factors that give every word a slot of its own."""
    for first_factor, last_factor in product(range(1, _SLOTS), repeat=2):
        if len(set(_slots_of(first_factor, last_factor))) == len(TEXTS):
            return first_factor, last_factor
    raise AssertionError("no perfect hash for the known words: enlarge _SLOTS")


def _build_table(slots: list[int]) -> Any:
    table = np.zeros((_SLOTS, _COLUMNS), np.int64)
    for slot, (known, text) in zip(slots, TEXTS.items(), strict=True):
        assert len(text) <= 24
        table[slot, :5] = (len(text), *_python_signature(text.encode()), known)
    return table.reshape(-1)


_FIRST, _LAST = _perfect_factors()
_TABLE: Final = _build_table(_slots_of(_FIRST, _LAST))


@kernel
def known_word(address: int, length: int) -> int:
    """Return which `Known` word a token of at least one byte is."""
    first, last = load8(address) | 0x20, load8(address + length - 1) | 0x20
    row = ((first * _FIRST + last * _LAST + length) & (_SLOTS - 1)) * _COLUMNS
    if _TABLE[row] != length:
        return 0
    start, end, middle = _signature(address, length)
    if _TABLE[row + 1] != start or _TABLE[row + 2] != end or _TABLE[row + 3] != middle:
        return 0
    return int(_TABLE[row + 4])
