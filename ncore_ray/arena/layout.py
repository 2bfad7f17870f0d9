"""Where each region of an arena lies, and the making and checking of an arena's start."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ncore_ray.arena.header import ARENA_MAGIC, ARENA_VERSION, Arena, Region
from ncore_ray.arena.ring import Ring, ring_size
from ncore_ray.errors import NcoreError
from ncore_ray.machine.record import dtype_of, size_of, table, view

Bytes = npt.NDArray[np.uint8]

PAGE: Final = 4096
_NAME_BYTES: Final = 24
MAX_REGIONS: Final = 2048
"""Rows of the table of regions: 20 for each of 64 engines, and the shared ones."""


class ArenaError(NcoreError):
    """An arena that is too small, stale, damaged, or of another version."""


@dataclass(frozen=True)
class Span:
    """One region: bytes from the arena's start."""

    name: str
    offset: int
    size: int


@dataclass
class Layout:
    """A growing list of regions, each on a page boundary.

    ``guard`` bytes (a multiple of the page size) are left free behind each region: tests make them inaccessible, so
    that a write outside its region ends the test.
    """

    guard: int = 0
    spans: dict[str, Span] = field(default_factory=dict)
    size: int = 0

    def __post_init__(self) -> None:
        self.reserve("header", size_of(Arena) + MAX_REGIONS * size_of(Region))

    def reserve(self, name: str, size: int) -> int:
        """Reserve a region of ``size`` bytes and return its offset."""
        if name in self.spans or len(name) > _NAME_BYTES or len(self.spans) >= MAX_REGIONS:
            raise ValueError(f"region {name!r}: the name is taken or too long, or there are too many regions")
        offset = self.size
        self.spans[name] = Span(name, offset, size)
        self.size = offset + -(-max(size, 1) // PAGE) * PAGE + self.guard
        return offset

    def reserve_table(self, name: str, record: Any, count: int) -> int:
        """Reserve a region for ``count`` records and return its offset."""
        return self.reserve(name, size_of(record) * max(count, 1))

    def reserve_rings(self, name: str, count: int, capacity: int) -> int:
        """Reserve a region for ``count`` rings of ``capacity`` words and return its offset."""
        return self.reserve(name, ring_size(capacity) * max(count, 1))


def records_digest(records: list[Any]) -> int:
    """Return a positive 63-bit digest of the layouts of record classes: differs when any field moved."""
    text = "\n".join(f"{record.__name__} {dtype_of(record).descr}" for record in records)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def format_arena(array: Bytes, layout: Layout, epoch: int, digest: int) -> Arena:
    """Write the header and the table of regions of a zeroed array; return the header, whose other fields are 0.

    Raises:
        ArenaError: the array is smaller than the layout needs.
    """
    if array.size < layout.size:
        raise ArenaError(f"the arena has {array.size:,} bytes, but the configuration needs {layout.size:,}")
    arena = view(Arena, array)
    arena.version = ARENA_VERSION
    arena.epoch = epoch
    arena.records_digest = digest
    arena.size = layout.size
    arena.regions = size_of(Arena)
    arena.region_count = len(layout.spans)
    rows = table(Region, array, arena.regions, arena.region_count)
    for row, span in zip(rows, layout.spans.values(), strict=True):
        name = np.frombuffer(span.name.encode().ljust(_NAME_BYTES, b"\0"), "<i8")
        row["name_0"], row["name_1"], row["name_2"] = (int(word) for word in name)
        row["offset"], row["size"] = span.offset, span.size
    arena.magic = ARENA_MAGIC
    return arena


def read_regions(array: Bytes) -> dict[str, Span]:
    """Return the regions that an arena's table names."""
    arena = view(Arena, array)
    spans = {}
    for row in table(Region, array, arena.regions, arena.region_count):
        name = np.array([row["name_0"], row["name_1"], row["name_2"]], "<i8").tobytes().rstrip(b"\0").decode()
        spans[name] = Span(name, int(row["offset"]), int(row["size"]))
    return spans


def check_arena(array: Bytes, epoch: int | None, digest: int) -> Arena:
    """Return the header of an arena that this code can work on.

    Raises:
        ArenaError: no arena, another version, other record layouts, or not the expected epoch.
    """
    arena = view(Arena, array)
    if arena.magic != ARENA_MAGIC:
        raise ArenaError("the shared memory does not hold an ncore_ray arena")
    if arena.version != ARENA_VERSION or arena.records_digest != digest:
        raise ArenaError("the arena was made by another version of ncore_ray")
    if epoch is not None and arena.epoch != epoch:
        raise ArenaError("the arena is a newer one than this actor was told to use")
    return arena


def init_rings(array: Bytes, offset: int, count: int, capacity: int) -> None:
    """Write the heads of ``count`` empty rings."""
    for index in range(count):
        view(Ring, array, offset + index * ring_size(capacity)).capacity = capacity


def aligned(raw: Bytes) -> Bytes:
    """Return the part of a uint8 array that begins on a page boundary.

    An object in Ray's store is mapped as a part of one file, so every process finds the boundary at the same place.
    """
    return raw[-raw.ctypes.data % PAGE :]
