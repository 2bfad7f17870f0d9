"""A little arena in private memory, to run the kernels of NICs by themselves: warm-up, tests, benchmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ncore_ray.arena.core import Core
from ncore_ray.arena.frame import FRAME_SIZE, FrameMeta
from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import PAGE, Bytes, Layout, aligned, format_arena, init_rings
from ncore_ray.arena.ring import ring_size
from ncore_ray.machine.record import table
from ncore_ray.nic.partition import init_reader, reader_stride
from ncore_ray.tables.nic import Nic

_RINGS = ("inbound_rings", "engine_rings", "return_rings", "transmit_rings", "transmit_return_rings")


@dataclass(frozen=True)
class SmallArena:
    """An arena and where it lies in this process. The frames of the queues come first, then those of the engines."""

    array: Bytes
    base: int
    header: Arena
    nic_frames: int

    def cores(self) -> np.ndarray[tuple[int], np.dtype[np.void]]:
        """Return the core records."""
        return table(Core, self.array, self.header.cores, self.header.actor_count)

    def owners(self) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
        """Return the owner of every frame."""
        metas = table(FrameMeta, self.array, self.header.frame_metas, self.header.frame_count)
        owners: np.ndarray[tuple[int], np.dtype[np.int32]] = metas["owner"]
        return owners

    def links(self) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
        """Return the next frame of every frame."""
        metas = table(FrameMeta, self.array, self.header.frame_metas, self.header.frame_count)
        links: np.ndarray[tuple[int], np.dtype[np.int32]] = metas["next"]
        return links

    def bytes_at(self, address: int, length: int) -> bytes:
        """Return bytes by their address."""
        return self.array[address - self.base : address - self.base + length].tobytes()

    def frame(self, index: int, length: int) -> bytes:
        """Return the first bytes of a frame."""
        return self.bytes_at(self.base + self.header.frames + index * FRAME_SIZE, length)

    def write_frame(self, index: int, data: bytes) -> None:
        """Write the first bytes of a frame."""
        start = self.header.frames + index * FRAME_SIZE
        self.array[start : start + len(data)] = np.frombuffer(data, np.uint8)


def make_small_arena(
    *,
    nics: int = 1,
    engines: int = 1,
    nic_frames: int = 64,
    engine_frames: int = 64,
    ring_capacity: int = 128,
    decides_itself: bool = False,
) -> SmallArena:
    """Return an arena with ``nic_frames`` frames for each reader and ``engine_frames`` for each engine."""
    deciders = engines if decides_itself else 1
    queues = nics * deciders
    actors = 1 + engines + queues + nics
    frames = queues * nic_frames + engines * engine_frames
    layout = Layout()
    offsets = {
        "cores": layout.reserve_table("cores", Core, actors),
        "frames": layout.reserve("frames", frames * FRAME_SIZE),
        "frame_metas": layout.reserve_table("frame_metas", FrameMeta, frames),
        "nics": layout.reserve_table("nics", Nic, nics),
        "readers": layout.reserve("readers", queues * reader_stride(nic_frames)),
    }
    counts = (queues, deciders * engines, (1 + engines) * queues, engines * nics, engines * nics)
    for name, count in zip(_RINGS, counts, strict=True):
        offsets[name] = layout.reserve_rings(name, count, ring_capacity)
    array = aligned(np.zeros(layout.size + PAGE, np.uint8))
    header = format_arena(array, layout, 1, 1)
    numbers = {
        "nic_count": nics,
        "queue_count": queues,
        "decider_count": deciders,
        "decides_itself": int(decides_itself),
        "engine_count": engines,
        "actor_count": actors,
        "frame_count": frames,
        "ring_stride": ring_size(ring_capacity),
        "reader_stride": reader_stride(nic_frames),
    }
    for name, value in (offsets | numbers).items():
        setattr(header, name, value)
    for name, count in zip(_RINGS, counts, strict=True):
        init_rings(array, offsets[name], count, ring_capacity)
    for queue in range(queues):
        init_reader(array, queue, queue * nic_frames, nic_frames)
    arena = SmallArena(array, array.ctypes.data, header, nic_frames)
    for engine in range(engines):
        first = queues * nic_frames + engine * engine_frames
        arena.owners()[first : first + engine_frames] = 1 + engine
    return arena
