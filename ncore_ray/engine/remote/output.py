"""What a connection whose other end is an engine sends: frames of its stream, its end, and credit for more."""

from __future__ import annotations

from ncore_ray.arena.frame import IN_TRANSIT, frame_address, frame_meta
from ncore_ray.engine.buffer import NO_FRAME, Chain, take_frame
from ncore_ray.engine.connection import Role, Tcb, Work, hold_chain, mark, send_chain, tcb_of
from ncore_ray.engine.http.exchange import Phase, exchange_of
from ncore_ray.engine.lifecycle import destroy
from ncore_ray.engine.partition import Engine, base_of, counters_of
from ncore_ray.engine.proxy.relay import wake_peer
from ncore_ray.engine.remote.closing import say
from ncore_ray.engine.remote.link import Message, engine_of_half, half_of, is_shared, link_of
from ncore_ray.engine.tcp.segment import receive_room, window_step
from ncore_ray.engine.tcp.sequence import seq_add, seq_diff
from ncore_ray.engine.transaction.turn import is_first, leg_window, turn_of, wake_client
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import copy


@kernel
def virtual_output(engine: Engine, tcb: Tcb) -> int:
    """Say everything that can be said now. The connection is gone afterwards if both its streams have ended."""
    number = tcb.virtual - 1
    half = half_of(engine, number)
    if half.waiting:
        return 0
    if not half.opened:
        half.opened = say(engine, number, Message.OPEN, 0)
    if not half.opened or not _hand_over(engine, tcb, number):
        return 0
    serves_leg = tcb.role == Role.CLIENT and is_shared(engine, tcb.vserver)
    if serves_leg:
        _say_answered(engine, tcb, number)
    if tcb.fin_wanted and not half.ended and send_chain(tcb).length == 0:
        half.ended = say(engine, number, Message.END, 0)
    if tcb.role == Role.LEG:
        _give_leg_credit(engine, tcb, number)
    elif not serves_leg or seq_diff(tcb.rcv_edge, tcb.rcv_nxt) < engine.receive_limit >> 1:
        _give_credit(engine, tcb, number)
    if half.ended and tcb.fin_received and _is_left(engine, tcb):
        destroy(engine, tcb)
    return 0


@kernel
def _is_left(engine: Engine, tcb: Tcb) -> int:
    """Return 1 if nobody waits for anything of a connection whose streams have ended."""
    if tcb.role == Role.LEG:
        return 0 if turn_of(engine, tcb).client else 1
    return 1 if hold_chain(tcb).length == 0 or not tcb.peer else 0


@kernel
def _say_answered(engine: Engine, tcb: Tcb, number: int) -> int:
    """Mark the end of an answer when all bytes of it have been handed over."""
    exchange = exchange_of(engine, tcb)
    if exchange.responding and exchange.phase == Phase.READ_HEAD and send_chain(tcb).length == 0:
        exchange.responding = 1 - say(engine, number, Message.ANSWERED, 0)
    return 0


@kernel
def _allowed(engine: Engine, tcb: Tcb) -> int:
    """Return how many bytes the other end lets us send: a window from what it has taken on."""
    answers = tcb.role == Role.CLIENT and is_shared(engine, tcb.vserver)
    return (leg_window(engine) if answers else engine.receive_limit) - seq_diff(tcb.snd_nxt, tcb.snd_una)


@kernel
def _hand_over(engine: Engine, tcb: Tcb, number: int) -> int:
    """Hand over the frames of the send chain as far as the credit goes; return 0 if the ring is full."""
    chain = send_chain(tcb)
    before = chain.length
    room = 1
    while chain.length > 0 and room:
        frame = _next_frame(engine, chain, _allowed(engine, tcb))
        if frame == NO_FRAME:
            break
        room = _hand_frame(engine, tcb, number, frame)
    if chain.length < before:
        wake_peer(engine, tcb)
        if tcb.role == Role.LEG:
            wake_client(engine, tcb)
        if hold_chain(tcb).length or tcb.fin_received:
            mark(engine, tcb, Work.PUMP)
    return room


@kernel
def _next_frame(engine: Engine, chain: Chain, allowed: int) -> int:
    """Return the chain's first frame if it may go; if only a part of its bytes may, one with these is put before it."""
    frame = chain.first
    meta = frame_meta(base_of(engine), frame)
    if meta.end - meta.start <= allowed:
        return frame
    part = take_frame(engine) if allowed > 0 else NO_FRAME
    if part == NO_FRAME:
        return NO_FRAME
    copy(frame_address(base_of(engine), part), frame_address(base_of(engine), frame) + meta.start, allowed)
    meta.start += allowed
    frame_meta(base_of(engine), part).end = allowed
    frame_meta(base_of(engine), part).next = frame
    chain.first = part
    return part


@kernel
def _hand_frame(engine: Engine, tcb: Tcb, number: int, frame: int) -> int:
    """Hand the chain's first frame to the other engine, whose it is from then on; return 0 if the ring is full."""
    if not say(engine, number, Message.DATA, frame):
        return 0
    chain = send_chain(tcb)
    meta = frame_meta(base_of(engine), frame)
    length = meta.end - meta.start
    chain.first = meta.next
    chain.last = chain.last if meta.next != NO_FRAME else NO_FRAME
    chain.length -= length
    meta.next = NO_FRAME
    meta.owner = IN_TRANSIT
    tcb.snd_nxt = seq_add(tcb.snd_nxt, length)
    tcb.sent_bytes += length
    counters = counters_of(engine)
    counters.virtual_sent_frames += 1
    counters.virtual_sent_bytes += length
    return 1


@kernel
def _give_credit(engine: Engine, tcb: Tcb, number: int) -> int:
    """Tell how far the stream was taken, when that is a good step or all of it.

    The other engine is woken for it only if it may have come to the end of its credit.
    """
    room = receive_room(engine, tcb)
    gain = seq_diff(seq_add(tcb.rcv_nxt, room), tcb.rcv_edge)
    if gain <= 0 or (gain < window_step(engine, tcb) and room < engine.receive_limit):
        return 0
    if not say(engine, number, Message.CREDIT, seq_add(tcb.rcv_nxt, room - engine.receive_limit)):
        return 0
    if seq_diff(tcb.rcv_edge, tcb.rcv_nxt) < engine.receive_limit >> 1:
        link_of(engine, engine_of_half(engine, number)).urgent = 1
    tcb.rcv_edge = seq_add(tcb.rcv_nxt, room)
    return 0


@kernel
def _give_leg_credit(engine: Engine, tcb: Tcb, number: int) -> int:
    """Let more of an answer come when half of what may wait has come: as much as the client takes if it is its turn."""
    window = leg_window(engine)
    left = seq_diff(tcb.rcv_edge, tcb.rcv_nxt)
    if left >= window >> 1 or tcb.discard:
        return 0
    room = max(window - hold_chain(tcb).length, 0)
    if is_first(engine, tcb):
        waiting = send_chain(tcb_of(engine, turn_of(engine, tcb).client - 1)).length
        room = max(receive_room(engine, tcb) - waiting, 0)
    if room - left < min(window_step(engine, tcb), window >> 1):
        return 0
    if say(engine, number, Message.CREDIT, seq_add(tcb.rcv_nxt, room - window)):
        tcb.rcv_edge = seq_add(tcb.rcv_nxt, room)
        link_of(engine, engine_of_half(engine, number)).urgent = 1
    return 0
