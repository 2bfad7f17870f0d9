"""Every ring of an arena has its own place, the one that its name says."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from ncore_ray.arena.frame import (
    descriptor_checksum,
    descriptor_frame,
    descriptor_length,
    descriptor_nic,
    frame_address,
    frame_meta,
    make_descriptor,
)
from ncore_ray.arena.rings import (
    decider_actor,
    decider_of_queue,
    engine_ring,
    inbound_ring,
    nic_of_queue,
    reader_actor,
    return_ring,
    transmit_return_ring,
    transmit_ring,
    writer_actor,
)
from ncore_ray.machine.jit import CHECKED, entry_kernel
from ncore_ray.machine.memory import store64
from ncore_ray.machine.record import address_of
from ncore_ray.nic.small_arena import SmallArena, make_small_arena


@entry_kernel
def places(base: int, actor: int, decider: int, engine: int, queue: int, results: int) -> int:
    """Leave the offsets of five rings, the numbers of three actors, and whose the queue is."""
    nic = nic_of_queue(base, queue)
    store64(results, address_of(inbound_ring(base, queue)) - base)
    store64(results + 8, address_of(engine_ring(base, decider, engine)) - base)
    store64(results + 16, address_of(return_ring(base, actor, queue)) - base)
    store64(results + 24, address_of(transmit_ring(base, engine, nic)) - base)
    store64(results + 32, address_of(transmit_return_ring(base, engine, nic)) - base)
    store64(results + 40, reader_actor(base, queue))
    store64(results + 48, writer_actor(base, nic))
    store64(results + 56, decider_actor(base, decider))
    store64(results + 64, nic)
    return store64(results + 72, decider_of_queue(base, queue))


@entry_kernel
def describe(frame: int, length: int, nic: int, checksum: int, results: int) -> int:
    """Make a descriptor and leave its parts."""
    word = make_descriptor(frame, length, nic, checksum)
    store64(results, descriptor_frame(word))
    store64(results + 8, descriptor_length(word))
    store64(results + 16, descriptor_nic(word))
    store64(results + 24, descriptor_checksum(word))
    return word


@entry_kernel
def own(base: int, frame: int, actor: int) -> int:
    """Set a frame's owner; return the offset of its bytes."""
    frame_meta(base, frame).owner = actor
    return frame_address(base, frame) - base


@pytest.fixture
def arena() -> SmallArena:
    return make_small_arena(nics=2, engines=3, ring_capacity=16)


@pytest.mark.parametrize("decides_itself", [False, True])
def test_places(decides_itself: bool) -> None:
    arena = make_small_arena(nics=2, engines=3, ring_capacity=16, decides_itself=decides_itself)
    header, results = arena.header, np.zeros(10, np.int64)
    deciders = 3 if decides_itself else 1
    queues = 2 * deciders
    for actor, decider, engine, queue in itertools.product(range(4), range(deciders), range(3), range(queues)):
        places(arena.base, actor, decider, engine, queue, results.ctypes.data)
        stride, nic = header.ring_stride, queue % 2
        assert results.tolist() == [
            header.inbound_rings + queue * stride,
            header.engine_rings + (decider * 3 + engine) * stride,
            header.return_rings + (actor * queues + queue) * stride,
            header.transmit_rings + (engine * 2 + nic) * stride,
            header.transmit_return_rings + (engine * 2 + nic) * stride,
            4 + queue,
            4 + queues + nic,
            1 + decider if decides_itself else 0,
            nic,
            queue // 2,
        ]


@pytest.mark.skipif(not CHECKED, reason="indices are checked in checked builds")
@pytest.mark.parametrize(
    ("actor", "engine", "nic"), [(4, 0, 0), (-1, 0, 0), (0, 3, 0), (0, -1, 0), (0, 0, 2), (0, 0, -1)]
)
def test_an_index_outside_is_refused(arena: SmallArena, actor: int, engine: int, nic: int) -> None:
    with pytest.raises(IndexError):
        places(arena.base, actor, 0, engine, nic, np.zeros(10, np.int64).ctypes.data)


@pytest.mark.parametrize(
    "parts", [(0, 0, 0, 0), (0xFFFF_FFFF, 0xF_FFFF, 0xFF, 7), (5, 1_514, 3, 2), (1 << 31, 60, 0, 1)]
)
def test_descriptors(parts: tuple[int, int, int, int]) -> None:
    results = np.zeros(4, np.int64)
    assert describe(*parts, results.ctypes.data) >= 0
    assert tuple(results.tolist()) == parts


def test_frames(arena: SmallArena) -> None:
    assert own(arena.base, 3, 9) == arena.header.frames + 3 * 2048
    assert arena.owners()[3] == 9


@pytest.mark.skipif(not CHECKED, reason="indices are checked in checked builds")
@pytest.mark.parametrize("frame", [-1, 320])
def test_a_frame_outside_is_refused(arena: SmallArena, frame: int) -> None:
    with pytest.raises(IndexError):
        own(arena.base, frame, 9)
