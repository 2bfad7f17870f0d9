"""Regions, and which arrays are taken for an arena."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import (
    MAX_REGIONS,
    PAGE,
    ArenaError,
    Bytes,
    Layout,
    aligned,
    check_arena,
    format_arena,
    init_rings,
    read_regions,
    records_digest,
)
from ncore_ray.arena.ring import Ring, ring_size
from ncore_ray.machine.record import I32, I64, Record, view

EPOCH, DIGEST = 0x1234, 0x5678


def made(layout: Layout) -> Bytes:
    array = np.zeros(layout.size, np.uint8)
    format_arena(array, layout, EPOCH, DIGEST)
    return array


@given(sizes=st.lists(st.integers(0, 3 * PAGE), max_size=20), guard=st.sampled_from([0, PAGE]))
def test_regions_lie_on_pages_and_do_not_meet(sizes: list[int], guard: int) -> None:
    layout = Layout(guard)
    for number, size in enumerate(sizes):
        layout.reserve(f"region {number}", size)
    end = 0
    for span in layout.spans.values():
        assert span.offset % PAGE == 0
        assert span.offset >= end
        end = span.offset + max(span.size, 1) + guard
    assert end <= layout.size
    assert layout.size % PAGE == 0


def test_the_table_names_every_region() -> None:
    layout = Layout()
    layout.reserve("frames", 10_000)
    layout.reserve("twenty-four letters long", 1)
    layout.reserve_rings("rings", 3, 16)
    assert read_regions(made(layout)) == layout.spans
    assert layout.spans["rings"].size == 3 * ring_size(16)


@pytest.mark.parametrize("name", ["header", "twenty-five letters long!"])
def test_a_name_taken_or_too_long_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="taken or too long"):
        Layout().reserve(name, 1)


def test_too_many_regions_are_refused() -> None:
    layout = Layout()
    for number in range(MAX_REGIONS - 1):
        layout.reserve(str(number), 1)
    with pytest.raises(ValueError, match="too many"):
        layout.reserve("one more", 1)


def test_too_small() -> None:
    layout = Layout()
    layout.reserve("frames", 100_000)
    with pytest.raises(ArenaError, match="but the configuration needs"):
        format_arena(np.zeros(layout.size - 1, np.uint8), layout, EPOCH, DIGEST)


def test_attach() -> None:
    array = made(Layout())
    assert check_arena(array, EPOCH, DIGEST).epoch == EPOCH
    assert check_arena(array, None, DIGEST).size == Layout().size


def test_not_an_arena() -> None:
    with pytest.raises(ArenaError, match="does not hold"):
        check_arena(np.zeros(PAGE, np.uint8), EPOCH, DIGEST)


@pytest.mark.parametrize("field", ["version", "records_digest"])
def test_of_another_version(field: str) -> None:
    array = made(Layout())
    setattr(view(Arena, array), field, 99)
    with pytest.raises(ArenaError, match="another version"):
        check_arena(array, EPOCH, DIGEST)


def test_a_newer_one() -> None:
    with pytest.raises(ArenaError, match="newer"):
        check_arena(made(Layout()), EPOCH + 1, DIGEST)


def test_the_digest_sees_names_types_and_order() -> None:
    class First(Record):
        a: I64
        b: I32

    def variant(**fields: object) -> type:
        return type("First", (Record,), {"__annotations__": fields})

    digests = {
        records_digest([First]),
        records_digest([variant(b=I32, a=I64)]),
        records_digest([variant(a=I64, c=I32)]),
        records_digest([variant(a=I64, b=I64)]),
        records_digest([First, First]),
    }
    assert len(digests) == 5
    assert records_digest([First]) == records_digest([variant(a=I64, b=I32)])
    assert all(0 <= digest < 1 << 63 for digest in digests)


def test_rings_are_empty() -> None:
    array = np.zeros(2 * ring_size(8), np.uint8)
    init_rings(array, 0, 2, 8)
    for offset in (0, ring_size(8)):
        ring = view(Ring, array, offset)
        assert (ring.capacity, ring.tail, ring.head) == (8, 0, 0)


@pytest.mark.parametrize("shift", [0, 1, 64, PAGE - 1])
def test_aligned(shift: int) -> None:
    array = aligned(np.zeros(4 * PAGE, np.uint8)[shift:])
    assert array.ctypes.data % PAGE == 0
    assert array.size >= 2 * PAGE
