"""Bytes into a flow: all of it, or nothing when the engine lacks room. The engine must not breathe meanwhile."""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.frame import FRAME_SIZE, NO_FRAME, frame_address, frame_meta
from ncore_ray.arena.header import arena_at
from ncore_ray.engine.access.notes import UNLOGGED
from ncore_ray.engine.buffer import chain_append, chain_init, take_frame
from ncore_ray.engine.change import NEW_ONE, begin_change, end_change
from ncore_ray.engine.connection import (
    TCB_SIZE,
    Role,
    Tcb,
    Work,
    find_connection,
    hold_chain,
    index_of,
    mark,
    send_chain,
    take_connection,
    tcb_at,
    tcb_of,
)
from ncore_ray.engine.handover.frozen import (
    BODY_AT,
    BODY_SIZE,
    EARLY_HEAD,
    EARLY_SIZE,
    EXCHANGE_AT,
    EXCHANGE_SIZE,
    FLOW_SIZE,
    LAYOUT,
    MAGIC,
    MOST_EARLY,
    SPANS_AT,
    TCB_AT,
    VERSION,
    FrozenFlow,
    FrozenSide,
    Refusal,
    early_at,
    early_segment_at,
    frozen_side_at,
    hold_at,
    is_sound,
    padded,
    send_at,
    side_size,
)
from ncore_ray.engine.http.exchange import body_of, exchange_of
from ncore_ray.engine.lifecycle import enter_lists
from ncore_ray.engine.partition import Engine, base_of, counters_of
from ncore_ray.engine.tcp.spans import OWN_SPANS, SPAN_SIZE, forget_marks, move_to_block, spans_address
from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.engine.timer import arm
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import copy, store64
from ncore_ray.machine.record import address_of

_WASTE: Final = 2
"""Frames of a side that are not full: the last one of each of its chains."""


@kernel
def thaw_flow(engine: Engine, flow: FrozenFlow, room: int) -> int:
    """Make connections of a frozen flow that lies in ``room`` bytes; return the first's number plus 1, or a `Refusal`.

    A process that dies in the middle of it leaves the marks by which its successor resets the flow.
    """
    verdict = _verdict(engine, flow, room)
    if verdict != 1:
        return verdict
    begin_change(engine, NEW_ONE)
    source = address_of(flow) + FLOW_SIZE
    first = _thaw_side(engine, source)
    if flow.sides == 2:
        second = _thaw_side(engine, source + side_size(frozen_side_at(source)))
        tcb_of(engine, first - 1).peer = second
        tcb_of(engine, second - 1).peer = first
    end_change(engine)
    return first


@kernel
def _verdict(engine: Engine, flow: FrozenFlow, room: int) -> int:
    """Return 1 if a frozen flow is sound and there is room for it, or a `Refusal`."""
    if room < FLOW_SIZE or flow.magic != MAGIC or flow.size > room or flow.sides < 1 or flow.sides > 2:
        return Refusal.TORN
    if flow.version != VERSION or flow.layout != LAYOUT:
        return Refusal.WRONG_VERSION
    if engine.connection_count - engine.live_connections < flow.sides:
        return Refusal.NO_CONNECTION
    place, frames = address_of(flow) + FLOW_SIZE, 0
    end = address_of(flow) + flow.size
    for _ in range(flow.sides):
        side = frozen_side_at(place)
        if end - place < SPANS_AT or not is_sound(side, end - place) or not _early_add_up(side, place):
            return Refusal.TORN
        if not _may_live_here(engine, tcb_at(place + TCB_AT)):
            return Refusal.TORN
        if _is_known(engine, tcb_at(place + TCB_AT)):
            return Refusal.KNOWN
        frames += (side.send_bytes + side.hold_bytes) // FRAME_SIZE + _WASTE + side.early_count
        place += side_size(side)
    if place != end:
        return Refusal.TORN
    return 1 if frames <= engine.free_frame_count else Refusal.NO_MEMORY


@kernel
def _may_live_here(engine: Engine, image: Tcb) -> int:
    """Return 1 if what a connection names is there: its role and state, and the rows of the configured tables."""
    arena = arena_at(base_of(engine))
    client = image.role == Role.CLIENT or image.role == Role.UDP_CLIENT or image.role == Role.ARRIVING
    server = image.role == Role.SERVER or image.role == Role.UDP_SERVER
    state = image.state
    if not (client or server) or state < TcpState.SYN_SENT or state > TcpState.SPLICE_ENDED:
        return 0
    if state == TcpState.VIRTUAL:
        return 0
    if image.nic < 0 or image.nic >= arena.nic_count or image.route >= arena.route_count:
        return 0
    if image.vserver < 0 or image.vserver >= max(arena.vserver_count, 1):
        return 0
    return 1 if 0 <= image.service < max(arena.service_count, 1) else 0


@kernel
def _is_known(engine: Engine, image: Tcb) -> int:
    return find_connection(engine, image.remote_high, image.remote_low, image.local_high, image.local_low, image.ports)


@kernel
def _early_add_up(side: FrozenSide, place: int) -> int:
    """Return 1 if the early segments fill their part."""
    at = place + early_at(side)
    end = at + side.early_bytes
    for _ in range(side.early_count):
        if end - at < EARLY_SIZE:
            return 0
        length = early_segment_at(at).length
        if length < 0 or length > MOST_EARLY:
            return 0
        at += EARLY_SIZE + padded(length)
    return 1 if at == end else 0


@kernel
def _thaw_side(engine: Engine, source: int) -> int:
    """Make a connection of one side; return its number plus 1. There is room for all of it."""
    side = frozen_side_at(source)
    number = take_connection(engine)
    tcb = tcb_of(engine, number - 1)
    work = tcb.work
    copy(address_of(tcb), source + TCB_AT, TCB_SIZE)
    _forget_places(tcb, work)
    copy(address_of(exchange_of(engine, tcb)), source + EXCHANGE_AT, EXCHANGE_SIZE)
    copy(address_of(body_of(engine, tcb)), source + BODY_AT, BODY_SIZE)
    if exchange_of(engine, tcb).logged:
        exchange_of(engine, tcb).logged = UNLOGGED  # numbers of requests count at one engine
    chain_append(engine, send_chain(tcb), source + send_at(side), side.send_bytes)
    chain_append(engine, hold_chain(tcb), source + hold_at(side), side.hold_bytes)
    _thaw_early(engine, tcb, source + early_at(side), side.early_count)
    _thaw_spans(engine, tcb, source + SPANS_AT, side.spans)
    _enter(engine, tcb)
    return index_of(engine, tcb) + 1


@kernel
def _forget_places(tcb: Tcb, work: int) -> int:
    """Forget all that names a place in the former engine."""
    tcb.work = work
    tcb.peer = tcb.virtual = 0
    tcb.hash_next = tcb.wheel_next = tcb.wheel_previous = tcb.list_next = tcb.list_previous = 0
    tcb.wheel_armed = tcb.cursor_valid = tcb.probe_length = 0
    tcb.out_of_order = tcb.out_of_order_last = NO_FRAME
    tcb.out_of_order_count = 0
    tcb.span_block = tcb.span_first = tcb.span_count = tcb.rate_block = 0
    chain_init(send_chain(tcb))
    return chain_init(hold_chain(tcb))


@kernel
def _thaw_early(engine: Engine, tcb: Tcb, at: int, count: int) -> int:
    base = base_of(engine)
    for _ in range(count):
        early = early_segment_at(at)
        frame = take_frame(engine)
        store64(frame_address(base, frame), early.sequence)
        copy(frame_address(base, frame) + EARLY_HEAD, at + EARLY_SIZE, early.length)
        frame_meta(base, frame).start = EARLY_HEAD
        frame_meta(base, frame).end = EARLY_HEAD + early.length
        if tcb.out_of_order == NO_FRAME:
            tcb.out_of_order = frame
        else:
            frame_meta(base, tcb.out_of_order_last).next = frame
        tcb.out_of_order_last = frame
        tcb.out_of_order_count += 1
        at += EARLY_SIZE + padded(early.length)
    return 0


@kernel
def _thaw_spans(engine: Engine, tcb: Tcb, source: int, count: int) -> int:
    """Restore what is known of the bytes in flight; without a block for it nothing is known but that they are."""
    if count > OWN_SPANS and not move_to_block(engine, tcb):
        copy(spans_address(engine, tcb), source, SPAN_SIZE)
        return forget_marks(engine, tcb)
    copy(spans_address(engine, tcb), source, count * SPAN_SIZE)
    tcb.span_count = count
    return 0


@kernel
def _enter(engine: Engine, tcb: Tcb) -> int:
    """Enter the connection into all lists, and let it be looked at in the next breath."""
    enter_lists(engine, tcb)
    arm(engine, tcb)
    counters_of(engine).connections_thawed += 1
    if tcb.state >= TcpState.DATAGRAM:
        return 0
    waits = hold_chain(tcb).length or tcb.fin_received
    return mark(engine, tcb, Work.OUTPUT | Work.PUMP if waits else Work.OUTPUT)
