"""How packets are handed to the engines: each at once, or the batch of a breath together, by flow or as it came."""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.core import Actor, core_of, wake_from
from ncore_ray.arena.frame import IN_TRANSIT, RECEIVED, descriptor_frame, frame_meta
from ncore_ray.arena.header import check_index
from ncore_ray.arena.ring import Ring, ring_give_back, ring_publish, ring_room, ring_write
from ncore_ray.arena.rings import engine_ring
from ncore_ray.flow.records import (
    BATCH,
    NOTE_SIZE,
    Distributor,
    Drop,
    Forwarding,
    Note,
    Rule,
    count_drop,
    count_forwarded,
    counters_of,
    note_at,
)
from ncore_ray.machine.hash import MASK32
from ncore_ray.machine.jit import CHECKED, kernel
from ncore_ray.wire.packet import Packet

_HANDED_ON: Final = -1
"""In place of the engine of a `Note`."""


@kernel
def send_home(base: int, home: Ring, word: int) -> int:
    """Give a frame back to the reader it came from; its ring holds all of the reader's frames."""
    ring_write(home, word)
    frame_meta(base, descriptor_frame(word)).owner = IN_TRANSIT
    return 0


@kernel
def publish_to(base: int, distributor: Distributor, engine: int) -> int:
    """Let an engine see what was written to its ring, and wake it if it sleeps."""
    if ring_publish(engine_ring(base, distributor.number, engine)):
        own = core_of(base, distributor.actor)
        own.wakes_sent += wake_from(own, core_of(base, Actor.ENGINE + engine))
    return 0


@kernel
def show_at_once(base: int, distributor: Distributor, inbound: Ring, engine: int) -> int:
    """Forwarding style STREAM: let the engine see its packet before the next one is looked at.

    The place in the queue is given back first: once the engine is done, the frame may soon be in this queue again.
    """
    if distributor.forwarding != Forwarding.STREAM or engine < 0:
        return 0
    ring_give_back(inbound)
    return publish_to(base, distributor, engine)


def _hand_on(base: int, distributor: Distributor, home: Ring, word: int, engine: int) -> int:
    """Give a packet to its engine, or its frame home if the engine's ring is full."""
    ring = engine_ring(base, distributor.number, engine)
    if ring_room(ring, 1) <= 0:
        count_drop(counters_of(base, distributor), Drop.ENGINE_RING_FULL)
        return send_home(base, home, word)
    ring_write(ring, word)
    frame_meta(base, descriptor_frame(word)).owner = RECEIVED + Actor.ENGINE + engine
    count_forwarded(base, distributor, engine)
    counters_of(base, distributor).forwarded_packets += 1
    return 0


hand_on = kernel(_hand_on)
"""For the one place that every packet passes: a kernel with one caller becomes a part of it."""
_hand_on_noted = kernel(_hand_on)


@kernel
def _note(base: int, distributor: Distributor, index: int) -> Note:
    if CHECKED:
        check_index(index, BATCH)
    return note_at(base + distributor.notes + index * NOTE_SIZE)


@kernel
def _flow_of(distributor: Distributor, packet: Packet) -> int:
    """Return a number that all packets of a flow have in common; that others may have it too does no harm."""
    if distributor.rule == Rule.PORT_OWNER:
        return (packet.source_low & MASK32) << 30 ^ packet.source_port << 16 ^ packet.destination_port
    return distributor.lookup_hash


@kernel
def note_packet(base: int, distributor: Distributor, home: Ring, packet: Packet, word: int, engine: int) -> int:
    """Remember a packet until the batch is complete. A fragment keeps its place among all packets.

    That is because its flow is not known: the first has a port, the later ones have none.
    """
    if packet.more_fragments or packet.fragment_offset:
        hand_on_by_flow(base, distributor, home)
        return _hand_on_noted(base, distributor, home, word, engine)
    note = _note(base, distributor, distributor.noted)
    note.word = word
    note.engine = engine
    note.flow = _flow_of(distributor, packet)
    distributor.noted += 1
    return 0


@kernel
def hand_on_by_flow(base: int, distributor: Distributor, home: Ring) -> int:
    """Hand on what was noted: flows in the order of their first packets, and the packets of each as they came."""
    for first in range(distributor.noted):
        flow = _note(base, distributor, first).flow
        for index in range(first, distributor.noted):
            note = _note(base, distributor, index)
            if note.engine != _HANDED_ON and note.flow == flow:
                _hand_on_noted(base, distributor, home, note.word, note.engine)
                note.engine = _HANDED_ON
    distributor.noted = 0
    return 0
