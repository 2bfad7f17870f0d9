"""The rings of an engine that died: what it had taken and not given back, written and not published."""

from __future__ import annotations

from ncore_ray.arena.frame import IN_TRANSIT, NO_FRAME, descriptor_frame, descriptor_queue, frame_meta
from ncore_ray.arena.header import arena_at
from ncore_ray.arena.recover import is_unpublished, ring_word
from ncore_ray.arena.ring import Ring, ring_give_back, ring_write
from ncore_ray.arena.rings import engine_ring, return_ring, transmit_return_ring, transmit_ring
from ncore_ray.engine.partition import Engine, base_of
from ncore_ray.engine.takeover.local import TakeoverLocal
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load32


@kernel
def settle_offer(engine: Engine) -> int:
    """Decide of two frames that were being exchanged: the one that is linked to the packet goes home with it.

    Comes first, as long as the packet's word is there.
    """
    if engine.given and engine.offered:
        own = engine.given - 1 if _is_in_packet(engine, engine.offered - 1) else engine.offered - 1
        frame_meta(base_of(engine), own).owner = engine.actor
        frame_meta(base_of(engine), own).home = engine.index
    engine.offered = engine.given = 0
    return 0


@kernel
def _is_in_packet(engine: Engine, wanted: int) -> int:
    base = base_of(engine)
    frame = load32(base + engine.offered_word)
    while frame != NO_FRAME and frame != wanted:
        frame = frame_meta(base, frame).next
    return 1 if frame == wanted else 0


@kernel
def settle_inbound(engine: Engine, local: TakeoverLocal) -> int:
    """Send home the frames of packets that were taken: of all but the last one that was done already."""
    base = base_of(engine)
    for decider in range(arena_at(base).decider_count):
        ring = engine_ring(base, decider, engine.index)
        if ring.taken != ring.head:
            local.dropped_packets += _send_home(engine, ring_word(ring, ring.taken - 1))
        ring_give_back(ring)
    return 0


@kernel
def _send_home(engine: Engine, word: int) -> int:
    """Put the frame of a packet on its way home, unless it is there; return 1 if it was not."""
    home = return_ring(base_of(engine), engine.actor, descriptor_queue(word))
    frame = descriptor_frame(word)
    if is_unpublished(home, frame):
        return 0
    ring_write(home, frame)
    frame_meta(base_of(engine), frame).owner = IN_TRANSIT
    return 1


@kernel
def settle_transmit(engine: Engine) -> int:
    """Take back what no writer has seen, and what was coming home when the engine died."""
    base = base_of(engine)
    for nic in range(arena_at(base).nic_count):
        ring = transmit_ring(base, engine.index, nic)
        _own(engine, ring, ring.tail, ring.written)
        ring.written = ring.tail
        home = transmit_return_ring(base, engine.index, nic)
        _own(engine, home, home.head, home.taken)
        ring_give_back(home)
    return 0


@kernel
def _own(engine: Engine, ring: Ring, first: int, end: int) -> int:
    for index in range(first, end):
        frame_meta(base_of(engine), descriptor_frame(ring_word(ring, index))).owner = engine.actor
    return 0
