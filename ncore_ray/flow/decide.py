"""Which engine a packet goes to, or why it goes no further.

The distributor reads no more of a packet than that takes: the engine reads it again and checks the transport checksum.
First `aim` reads the headers; what it cannot answer itself it leaves as a key and a next step. Each step has one place
in the code: that keeps it small, for the compiler and for the processor.
"""

from __future__ import annotations

from ncore_ray.flow.aim import BEGIN, HASH_KEY, LOOK_UP, RECALL, aim
from ncore_ray.flow.assignment import assign, engine_by_hash
from ncore_ray.flow.bridge import step_of_bridge
from ncore_ray.flow.burden import note_given
from ncore_ray.flow.engine_sets import choose_among, vserver_at_destination
from ncore_ray.flow.fragments import UNKNOWN, key_of_fragment, recall_fragment, remember_fragment
from ncore_ray.flow.key import hash_for_engine, hash_for_lookup
from ncore_ray.flow.records import Distributor, Drop, FlowState, Parallelism, Rule
from ncore_ray.flow.state import Event, first_state, next_state
from ncore_ray.flow.table import (
    claim_room,
    engine_of,
    enter_flow,
    find_flow,
    first_bucket,
    give_up_room,
    lock_bucket,
    set_state,
    state_of,
    touch_flow,
    unlock_bucket,
)
from ncore_ray.machine.atomic import load_acquire
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.service import NO_VSERVER
from ncore_ray.wire.packet import Packet


@kernel
def decide(base: int, distributor: Distributor, packet: Packet, now: int) -> int:
    """Return the number of the engine for a packet (frame, length and NIC are filled in), or a `Drop`."""
    distributor.rule = Rule.NONE
    distributor.state = FlowState.FREE
    packet.more_fragments = 0
    step = aim(base, distributor, packet)
    if distributor.bridges:
        step = step_of_bridge(base, distributor, packet, step)
    if step == LOOK_UP:
        step = _look_up(base, distributor, packet, now)
    if BEGIN <= step <= HASH_KEY and distributor.parallelism != Parallelism.FLOW:
        choose_among(base, distributor, packet)
    if step == BEGIN:
        step = _begin(base, distributor, packet.length, now)
    if step == HASH_KEY:
        step = engine_by_hash(base, distributor, hash_for_engine(base, distributor))
    if step == RECALL or (packet.more_fragments and step >= 0):
        step = _decide_fragment(base, distributor, packet, step, now)
    return step


@kernel
def _look_up(base: int, distributor: Distributor, packet: Packet, now: int) -> int:
    hash_for_lookup(base, distributor)
    event = distributor.event
    place = find_flow(base, distributor, now)
    if place:
        return _follow(distributor, place, packet.length, now)
    if event == Event.QUOTED:
        return Drop.UNRELATED_ICMP
    if (event == Event.OPEN or event == Event.DATAGRAM) and _has_vserver(base, packet):
        return BEGIN
    distributor.rule = Rule.HASH
    return HASH_KEY


@kernel
def _follow(distributor: Distributor, place: int, length: int, now: int) -> int:
    """Return the engine of an existing flow and note the packet."""
    word = load_acquire(place)
    state = state_of(word)
    distributor.rule = Rule.FLOW
    distributor.state = state
    if not distributor.read_only and distributor.event != Event.QUOTED:
        touch_flow(place, length, now)
        after = next_state(distributor, state)
        if after != state:
            set_state(place, word, after)
    return engine_of(word)


@kernel
def _has_vserver(base: int, packet: Packet) -> int:
    """Return 1 if anyone listens there: a scan of closed ports shall not fill the flow table."""
    return 1 if vserver_at_destination(base, packet) != NO_VSERVER else 0


@kernel
def _begin(base: int, distributor: Distributor, length: int, now: int) -> int:
    """Enter a new flow and return its engine."""
    distributor.rule = Rule.ASSIGNED
    bucket = first_bucket(base, distributor)
    if not distributor.read_only and not lock_bucket(distributor, bucket):
        return Drop.TABLE_BUSY
    place = find_flow(base, distributor, now) if distributor.deciders > 1 else 0
    faster = place != 0  # another decider was
    engine = _follow(distributor, place, length, now) if faster else _enter(base, distributor, length, now)
    if not distributor.read_only:
        unlock_bucket(bucket)
    return engine


@kernel
def _enter(base: int, distributor: Distributor, length: int, now: int) -> int:
    place = claim_room(base, distributor, now)
    if place == 0:
        return Drop.TABLE_FULL
    engine = assign(base, distributor)
    if distributor.read_only:
        return engine
    if engine < 0:
        give_up_room(place)
    else:
        enter_flow(base, distributor, place, engine, first_state(distributor), length, now)
        note_given(base, distributor, engine)
    return engine


@kernel
def _decide_fragment(base: int, distributor: Distributor, packet: Packet, step: int, now: int) -> int:
    """Remember the engine of a first fragment, or (next step RECALL) return what is remembered."""
    key_of_fragment(base, distributor, packet)
    if step == RECALL:
        distributor.rule = Rule.FRAGMENT
        engine = recall_fragment(base, distributor, now)
        return engine if engine != UNKNOWN else Drop.UNKNOWN_FRAGMENT
    return step if remember_fragment(base, distributor, step, now) else Drop.FRAGMENTS_FULL
