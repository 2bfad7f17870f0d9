"""Which ring of the arena connects which two actors, and the numbers of the actors that serve a NIC."""

from __future__ import annotations

from ncore_ray.arena.core import Actor
from ncore_ray.arena.header import Arena, arena_at, check_index
from ncore_ray.arena.ring import Ring, ring_at
from ncore_ray.machine.jit import CHECKED, kernel


@kernel
def _check_nic(arena: Arena, nic: int) -> int:
    if CHECKED:
        check_index(nic, arena.nic_count)
    return nic


@kernel
def _check_queue(arena: Arena, queue: int) -> int:
    if CHECKED:
        check_index(queue, arena.queue_count)
    return queue


@kernel
def _check_engine(arena: Arena, engine: int) -> int:
    if CHECKED:
        check_index(engine, arena.engine_count)
    return engine


@kernel
def nic_of_queue(base: int, queue: int) -> int:
    """Return the number of the NIC that a receive queue belongs to."""
    count = arena_at(base).nic_count
    while queue >= count:  # one round for each decider before this one: cheaper than a division, mostly
        queue -= count
    return queue


@kernel
def decider_of_queue(base: int, queue: int) -> int:
    """Return the number of the decider that takes what comes by a receive queue."""
    count = arena_at(base).nic_count
    decider = 0
    while queue >= count:
        queue -= count
        decider += 1
    return decider


@kernel
def decider_actor(base: int, decider: int) -> int:
    """Return the number of the actor that is a decider."""
    return Actor.ENGINE + decider if arena_at(base).decides_itself else Actor.DISTRIBUTOR


@kernel
def reader_actor(base: int, queue: int) -> int:
    """Return the number of the actor that reads a receive queue."""
    arena = arena_at(base)
    return Actor.ENGINE + arena.engine_count + _check_queue(arena, queue)


@kernel
def writer_actor(base: int, nic: int) -> int:
    """Return the number of the actor that sends what lies in the transmit rings of a NIC."""
    arena = arena_at(base)
    return Actor.ENGINE + arena.engine_count + arena.queue_count + _check_nic(arena, nic)


@kernel
def inbound_ring(base: int, queue: int) -> Ring:
    """Return the ring reader → decider: descriptors of received packets."""
    arena = arena_at(base)
    return ring_at(base + arena.inbound_rings + _check_queue(arena, queue) * arena.ring_stride)


@kernel
def engine_ring(base: int, decider: int, engine: int) -> Ring:
    """Return the ring decider → engine: descriptors of received packets."""
    arena = arena_at(base)
    if CHECKED:
        check_index(decider, arena.decider_count)
    place = decider * arena.engine_count + _check_engine(arena, engine)
    return ring_at(base + arena.engine_rings + place * arena.ring_stride)


@kernel
def return_ring(base: int, actor: int, queue: int) -> Ring:
    """Return the ring distributor or engine (an actor's number) → reader: received frames on their way home.

    Its words are descriptors or bare frame indices. It has to hold all frames of the reader, so that it is never full.
    """
    arena = arena_at(base)
    if CHECKED:
        check_index(actor, Actor.ENGINE + arena.engine_count)
    return ring_at(
        base + arena.return_rings + (actor * arena.queue_count + _check_queue(arena, queue)) * arena.ring_stride
    )


@kernel
def _engine_by_nic(arena: Arena, engine: int, nic: int) -> int:
    return (_check_engine(arena, engine) * arena.nic_count + _check_nic(arena, nic)) * arena.ring_stride


@kernel
def transmit_ring(base: int, engine: int, nic: int) -> Ring:
    """Return the ring engine → writer: descriptors of packets to send."""
    arena = arena_at(base)
    return ring_at(base + arena.transmit_rings + _engine_by_nic(arena, engine, nic))


@kernel
def transmit_return_ring(base: int, engine: int, nic: int) -> Ring:
    """Return the ring writer → engine: frame indices of what was sent, on their way home."""
    arena = arena_at(base)
    return ring_at(base + arena.transmit_return_rings + _engine_by_nic(arena, engine, nic))
