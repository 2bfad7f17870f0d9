"""The received frame that a stream may keep, so that its bytes are forwarded by reference.

While the payload of a packet is handed over, piece by piece, the frame of the piece is on offer. A chain that takes all
bytes up to the piece's end links the frame instead of copying them, and an empty frame of the engine's pool takes its
place in the packet: it goes home to the NIC's reader instead. So the pools of readers and engines keep their sizes, a
reader never waits for a slow client, and nobody looks at a frame again that has changed sides.

One store says whose frame is whose, that of the link to the frame in its packet, or in the ring's word that names the
packet. All others are made before or after it, and what was begun stands in the engine's header; so a successor knows
of both frames where they belong (`takeover/rings.py`).
"""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.frame import NO_FRAME, frame_meta
from ncore_ray.engine.partition import Engine, base_of
from ncore_ray.machine.atomic import compiler_fence
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import store32
from ncore_ray.wire.packet import Packet

LEAST_KEPT: Final = 1_280
"""Fewer bytes are copied: a frame is kept only if it is well filled, so a stream takes at most 1.6 times its bytes."""


@kernel
def offer_frame(engine: Engine, packet: Packet, end: int) -> int:
    """Put the frame that the packet record names on offer, for who takes all bytes up to the address ``end``."""
    base = base_of(engine)
    engine.given = 0
    compiler_fence()
    engine.offered_end = end - base
    engine.offered_after = packet.before
    engine.offered_word = packet.word - base
    compiler_fence()
    if frame_meta(base, packet.chain).owner != engine.actor:
        engine.offered = packet.chain + 1
    return 0


@kernel
def end_offer(engine: Engine, packet: Packet) -> int:
    """Take the offer back; if the frame was kept, the packet goes on from the one in its place."""
    if engine.given:
        packet.chain = engine.given - 1
    engine.offered = 0
    return 0


@kernel
def is_offered(engine: Engine, end: int) -> int:
    """Return 1 if the bytes before an address are the last of a frame that may be kept."""
    return 1 if engine.offered and end - base_of(engine) == engine.offered_end else 0


@kernel
def exchange_frame(engine: Engine, spare: int) -> int:
    """Take the frame on offer for an empty one of the engine's; return its number. It is not linked any more."""
    base = base_of(engine)
    frame = engine.offered - 1
    meta, instead = frame_meta(base, frame), frame_meta(base, spare)
    engine.given = spare + 1
    compiler_fence()
    instead.next = meta.next
    instead.owner = meta.owner
    compiler_fence()
    if engine.offered_after == NO_FRAME:
        store32(base + engine.offered_word, spare)  # a descriptor's lower half
    else:
        frame_meta(base, engine.offered_after).next = spare
    compiler_fence()
    meta.owner = engine.actor
    meta.home = engine.index
    compiler_fence()
    engine.offered = 0
    meta.next = NO_FRAME
    return frame
