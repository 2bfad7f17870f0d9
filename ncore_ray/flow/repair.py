"""What control code does with the flow table when a process has died or a connection has ended."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ncore_ray.arena.core import Actor, core_of, wake
from ncore_ray.arena.frame import RECEIVED, descriptor_frame, descriptor_queue
from ncore_ray.arena.header import arena_at
from ncore_ray.arena.layout import Bytes
from ncore_ray.arena.recover import finish_homes, finish_ring, is_unpublished, ring_word
from ncore_ray.arena.ring import Ring, ring_give_back, ring_place
from ncore_ray.arena.rings import engine_ring, inbound_ring, return_ring
from ncore_ray.flow.distributor import distributor_view
from ncore_ray.flow.key import hash_for_lookup, key_of_ends
from ncore_ray.flow.records import (
    BUCKET_SIZE,
    ENGINE_SLOT_SIZE,
    FRAGMENT_SIZE,
    WAYS,
    Distributor,
    EngineSlot,
    FlowState,
    distributor_of,
    flows_word,
)
from ncore_ray.flow.table import engine_of, find_flow, set_state
from ncore_ray.machine.atomic import fetch_add, load_acquire
from ncore_ray.machine.jit import entry_kernel, kernel
from ncore_ray.machine.memory import store64
from ncore_ray.machine.record import view
from ncore_ray.wire.ipv4 import PROTOCOL_TCP
from ncore_ray.wire.packet import Packet


@kernel
def close_flow(
    base: int,
    distributor: Distributor,
    source_high: int,
    source_low: int,
    source_port: int,
    destination_high: int,
    destination_low: int,
    destination_port: int,
    protocol: int,
    now: int,
) -> int:
    """Engine: say that it has forgotten a client's connection, so that its entry ends soon; return 1 if there was one.

    ``distributor`` is a private copy or the engine's own record, never that of another process: the key is written to
    it. The entry keeps its engine until it times out, or until the client opens the connection again.
    """
    key_of_ends(
        distributor,
        source_high,
        source_low,
        source_port,
        destination_high,
        destination_low,
        destination_port,
        protocol,
    )
    hash_for_lookup(base, distributor)
    place = find_flow(base, distributor, now)
    if place == 0 or distributor.shared:
        return 0
    return set_state(place, load_acquire(place), FlowState.CLOSED)


@kernel
def close_own_flow(base: int, distributor: Distributor, packet: Packet, engine: int, now: int) -> int:
    """Engine: say that it knows nothing of the TCP flow of a packet, if the flow is its own; return 1 if it was.

    Another engine's stays as it is: the packet may have come here on a wrong way. ``distributor`` as in `close_flow`.
    """
    key_of_ends(
        distributor,
        packet.source_high,
        packet.source_low,
        packet.source_port,
        packet.destination_high,
        packet.destination_low,
        packet.destination_port,
        PROTOCOL_TCP,
    )
    hash_for_lookup(base, distributor)
    place = find_flow(base, distributor, now)
    if place == 0 or distributor.shared:
        return 0
    word = load_acquire(place)
    return set_state(place, word, FlowState.CLOSED) if engine_of(word) == engine else 0


@kernel
def _was_handed_on(base: int, distributor: Distributor, word: int) -> int:
    """Return 1 if a packet that was taken lies in the ring of an engine, or on its way home."""
    frame = descriptor_frame(word)
    found = is_unpublished(return_ring(base, distributor.actor, descriptor_queue(word)), frame)
    for engine in range(distributor.engine_count):
        found |= is_unpublished(engine_ring(base, distributor.number, engine), frame)
    return found


@kernel
def _put_back(base: int, distributor: Distributor, ring: Ring) -> int:
    """Let the packets that were taken and not handed on wait again, in their order; return how many they are.

    They change places with those that were handed on, until they are the last of all that were taken.
    """
    place = ring.taken
    for index in range(ring.taken - 1, ring.head - 1, -1):
        word = ring_word(ring, index)
        if not _was_handed_on(base, distributor, word):
            place -= 1
            store64(ring_place(ring, index), ring_word(ring, place))
            store64(ring_place(ring, place), word)
    count = ring.taken - place
    ring.taken = place
    return count


@kernel
def recover_queues(base: int, number: int) -> int:
    """Make the rings to and from a decider that has died whole again; return how many packets wait once more."""
    distributor = distributor_of(base, number)
    nics = arena_at(base).nic_count
    count = 0
    for queue in range(number * nics, (number + 1) * nics):
        count += _put_back(base, distributor, inbound_ring(base, queue))
    for queue in range(number * nics, (number + 1) * nics):
        ring_give_back(inbound_ring(base, queue))
    for engine in range(distributor.engine_count):
        if finish_ring(base, engine_ring(base, number, engine), RECEIVED + Actor.ENGINE + engine):
            wake(core_of(base, Actor.ENGINE + engine))
    return count


@entry_kernel
def recover_decider(base: int, number: int) -> int:
    """Make the rings of a distributor that has died whole again; return how many packets wait once more."""
    count = recover_queues(base, number)
    finish_homes(base, distributor_of(base, number).actor)
    return count


@entry_kernel
def add_flows(base: int, engine: int, amount: int) -> int:
    """Control code: correct the number of an engine's live flows, beside deciders that change it; return the former."""
    return fetch_add(flows_word(base, distributor_of(base, 0), engine), amount)


def repair_table(array: Bytes, number: int) -> int:
    """Give back what a decider that has died held, and count the live flows anew; return how many things that were.

    Call it before the decider's successor starts. With one decider it may be called while the engines run.
    """
    distributor = distributor_view(array, number)
    distributor.noted = 0  # what it had noted still lies in its queues
    start = distributor.flow_buckets
    words = array[start : start + BUCKET_SIZE * distributor.flow_bucket_count].view(np.int64).reshape(-1, 64)
    locks = words[:, 0] == number + 1
    words[locks, 0] = 0
    places = words[:, 1 : 1 + WAYS]
    claimed = ((places >> 56) & 15 == FlowState.CLAIMED) & ((places >> 48) & 0xFF == number)
    places[claimed] &= 0xFFFF << 32
    mended = int(locks.sum() + claimed.sum())
    if distributor.deciders == 1:
        mended += _repair_fragments(array, distributor)
        _count_flows(array, distributor, places)
    return mended


def _repair_fragments(array: Bytes, distributor: Distributor) -> int:
    """Forget the fragment that was being written."""
    start = distributor.fragments
    rows = array[start : start + FRAGMENT_SIZE * distributor.fragment_count].view(np.int64).reshape(-1, 8)
    torn = rows[:, 0] & 1 == 1
    rows[torn, 6] = 0
    rows[torn, 0] += 1
    return int(torn.sum())


def _count_flows(array: Bytes, distributor: Distributor, places: npt.NDArray[np.int64]) -> None:
    live = (places >> 56) & 15 != FlowState.FREE
    counts = np.bincount((places[live] >> 48) & 0xFF, minlength=256)
    for engine in range(distributor.engine_count):
        view(EngineSlot, array, distributor.engine_slots + engine * ENGINE_SLOT_SIZE).flows = int(counts[engine])
