"""Records: the four ways to read them agree."""

from __future__ import annotations

import ctypes
from typing import Any

import numba
import numpy as np
import pytest

from ncore_ray.arena.core import Core
from ncore_ray.arena.frame import FrameMeta
from ncore_ray.arena.header import Arena, Region
from ncore_ray.arena.ring import Ring
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.machine.record import (
    CACHE_LINE,
    I16,
    I32,
    I64,
    Pad6,
    Pad7,
    Record,
    address_of,
    dtype_of,
    new,
    pointer_to,
    size_of,
    table,
    view,
)
from ncore_ray.nic.burst import Message, SendCounters, Vector
from ncore_ray.nic.direct import Sender, Slot
from ncore_ray.nic.faults import FaultCounters, FaultState
from ncore_ray.nic.local import ReaderLocal, WriterLocal
from ncore_ray.nic.partition import Reader, ReaderCounters, Writer, WriterCounters
from ncore_ray.nic.queue import PacketEntry, PacketQueue
from ncore_ray.tables.nic import Nic


class Mixed(Record):
    """Fields of all kinds, in an order that needs padding."""

    small: I16
    wide: I64
    middle: I32
    pad_0: Pad7
    tiny: I16
    pad_1: Pad6
    last: I16


class Wrong(Record):
    """Declared wrongly."""

    name: str


RECORDS = [
    *(Mixed, Core, FrameMeta, Arena, Region, Ring, Nic),
    *(Message, SendCounters, Vector, Sender, Slot, FaultCounters, FaultState, ReaderLocal, WriterLocal),
    *(Reader, ReaderCounters, Writer, WriterCounters, PacketEntry, PacketQueue),
]

mixed_at = pointer_to(Mixed)


@entry_kernel
def write_mixed(address: int) -> int:
    """Write every field of a record; return its own address as `address_of` sees it."""
    record = mixed_at(address)
    record.small = -2
    record.wide = -(1 << 62)
    record.middle = -(1 << 31)
    record.tiny = 32_767
    record.last = record.small + 1
    return address_of(record)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_layouts_agree(record: Any) -> None:
    memory, seen, _ = new(record)
    structure: Any = type(seen)
    dtype = dtype_of(record)
    compiled = numba.from_dtype(dtype)
    assert dtype.fields is not None
    assert ctypes.sizeof(structure) <= size_of(record) == compiled.size == memory.size
    assert size_of(record) % 8 == 0
    for name in dtype.names or ():
        offset = dtype.fields[name][1]
        assert getattr(structure, name).offset == offset == compiled.offset(name)
        assert getattr(structure, name).size == dtype.fields[name][0].itemsize
        assert offset % dtype.fields[name][0].base.itemsize == 0


def test_kernel_python_and_numpy_see_the_same_bytes() -> None:
    array = np.zeros(3 * size_of(Mixed), np.uint8)
    offset = size_of(Mixed)
    assert write_mixed(array.ctypes.data + offset) == array.ctypes.data + offset
    seen = view(Mixed, array, offset)
    values = (-2, -(1 << 62), -(1 << 31), 32_767, -1)
    assert (seen.small, seen.wide, seen.middle, seen.tiny, seen.last) == values
    row = table(Mixed, array, 0, 3)[1]
    assert tuple(int(row[name]) for name in ("small", "wide", "middle", "tiny", "last")) == values
    seen.wide = 77
    assert table(Mixed, array, 0, 3)["wide"].tolist() == [0, 77, 0]
    assert not array[:offset].any()
    assert not array[2 * offset :].any()


@pytest.mark.parametrize("offset", [-1, 1, size_of(Mixed) + 1])
def test_a_view_outside_the_array_is_refused(offset: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        view(Mixed, np.zeros(size_of(Mixed), np.uint8), offset)


def test_a_field_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Wrong\.name: a record field is one of"):
        dtype_of(Wrong)


def test_words_of_different_writers_lie_in_different_lines() -> None:
    def line(record: Any, name: str) -> int:
        fields = dtype_of(record).fields
        assert fields is not None
        return int(fields[name][1]) // CACHE_LINE

    assert len({line(Ring, name) for name in ("tail", "written", "head", "taken", "capacity")}) == 5
    assert line(Ring, "written") == line(Ring, "seen_head")
    assert len({line(Core, name) for name in ("bell", "stop", "state")}) == 3
    assert len({line(PacketQueue, name) for name in ("tail", "head", "bytes")}) == 3
