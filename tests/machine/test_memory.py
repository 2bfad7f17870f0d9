"""Loads and stores against ``int.from_bytes``."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest

from ncore_ray.machine import memory
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.machine.memory import clear, copy, load8, load64, move, store8

BYTES = bytes([0x81, 0xF2, 0x03, 0x94, 0xA5, 0x16, 0xE7, 0x08])


@entry_kernel
def load_each(address: int, target: int) -> int:
    """Write the results of all loads at ``address`` to ``target``, in the order of LOADS."""
    memory.store64(target, memory.load8(address))
    memory.store64(target + 8, memory.load16be(address))
    memory.store64(target + 16, memory.load32be(address))
    memory.store64(target + 24, memory.load64be(address))
    memory.store64(target + 32, memory.load16(address))
    memory.store64(target + 40, memory.load32(address))
    return memory.store64(target + 48, memory.load64(address))


@entry_kernel
def store_each(address: int, value: int) -> int:
    """Store a value with every store, 8 bytes apart."""
    memory.store8(address, value)
    memory.store16be(address + 8, value)
    memory.store32be(address + 16, value)
    memory.store64be(address + 24, value)
    memory.store32(address + 32, value)
    return memory.store64(address + 40, value)


@entry_kernel
def copies(address: int) -> int:
    """Copy 4 bytes up by 8, move 8 bytes up by 2 over themselves, clear the first 2."""
    copy(address + 16, address, 4)
    move(address + 2, address, 8)
    return clear(address, 2)


@pytest.mark.parametrize("shift", [0, 1, 3])
def test_loads_of_any_alignment(shift: int) -> None:
    source = np.frombuffer(bytes(shift) + BYTES, np.uint8)
    target = np.zeros(7, np.int64)
    load_each(source.ctypes.data + shift, target.ctypes.data)
    own = sys.byteorder
    assert target.tolist() == [
        BYTES[0],
        int.from_bytes(BYTES[:2], "big"),
        int.from_bytes(BYTES[:4], "big"),
        int.from_bytes(BYTES, "big", signed=True),
        int.from_bytes(BYTES[:2], own),
        int.from_bytes(BYTES[:4], own),
        int.from_bytes(BYTES, own, signed=True),
    ]


@pytest.mark.parametrize("value", [0x0102_0304_0506_0708, -2, 0, 0xFFFF_FFFF])
def test_stores_write_the_low_bytes(value: int) -> None:
    target = np.full(48, 0xEE, np.uint8)
    store_each(target.ctypes.data, value)
    unsigned = value & 0xFFFF_FFFF_FFFF_FFFF
    expected = [(1, "big"), (2, "big"), (4, "big"), (8, "big"), (4, sys.byteorder), (8, sys.byteorder)]
    for place, (size, order) in enumerate(expected):
        low = unsigned & ((1 << 8 * size) - 1)
        written = low.to_bytes(size, "big" if order == "big" else "little") + b"\xee" * (8 - size)
        assert target[8 * place : 8 * place + 8].tobytes() == written


def test_copy_move_clear() -> None:
    room = np.frombuffer(bytearray(BYTES + bytes(16)), np.uint8)
    copies(room.ctypes.data)
    assert room.tobytes() == bytes(2) + BYTES + bytes(6) + BYTES[:4] + bytes(4)


@pytest.mark.parametrize("byte", [0, 1, 0x7F, 0x80, 0xFF])
def test_byte_round_trip(byte: int) -> None:
    room = np.zeros(8, np.uint8)
    round_trip: Callable[[int, int], int] = byte_round_trip
    assert round_trip(room.ctypes.data, byte) == byte


@entry_kernel
def byte_round_trip(address: int, value: int) -> int:
    """Store and load a byte, after the word was filled with ones."""
    memory.store64(address, -1)
    store8(address, value)
    return load8(address) if load64(address) >> 8 == -1 else -1
