"""Everything that is derived from the connections, made anew from them."""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.frame import frame_meta
from ncore_ray.arena.header import arena_at
from ncore_ray.engine.buffer import put_frame
from ncore_ray.engine.connection import Tcb, Work, hold_chain, mark, tcb_of
from ncore_ray.engine.ip.announce import begin_announcing
from ncore_ray.engine.ip.rooms import ReassemblyState, reassembly_of
from ncore_ray.engine.lifecycle import enter_lists
from ncore_ray.engine.partition import Engine, base_of, service_stats, vserver_stats
from ncore_ray.engine.takeover.local import TakeoverLocal, Verdict, claim_of, is_block_claimed, verdict_of
from ncore_ray.engine.tcp.blocks import free_block
from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.engine.timer import TICK_BITS, WHEEL_SLOTS
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import clear, load32

_LATELY_US: Final = 1_000_000


@kernel
def forget_derived(engine: Engine, now: int) -> int:
    """Empty every list, index and count."""
    base = base_of(engine)
    engine.now = now
    clear(base + engine.buckets, 4 * engine.bucket_count)
    clear(base + engine.wheel, 4 * WHEEL_SLOTS)
    engine.wheel_at = now >> TICK_BITS
    engine.work_head = engine.work_tail = 0
    engine.slots_used = engine.pieces_used = engine.freed_late = 0
    engine.free_frame_count = 0
    engine.reassembly_at = 0
    begin_announcing(engine)
    for number in range(engine.reassembly_count):  # one of them may be half written; fragments are rare
        reassembly_of(engine, number).state = ReassemblyState.FREE
    engine.free_connection = engine.live_connections = engine.half_open = engine.fast_open_pending = 0
    engine.half_open_first = engine.half_open_last = 0
    engine.time_wait_first = engine.time_wait_last = 0
    engine.orphan_first = engine.orphan_last = 0
    engine.datagrams = engine.datagram_first = engine.datagram_last = 0
    for number in range(arena_at(base).vserver_count):
        vserver_stats(engine, number).connections = vserver_stats(engine, number).half_open = 0
    for number in range(arena_at(base).service_count):
        stats = service_stats(engine, number)
        stats.connections = stats.busy = stats.idle_first = stats.idle_connections = 0
    return 0


@kernel
def enter_all(engine: Engine, local: TakeoverLocal) -> int:
    """Enter the connections that are whole into index, lists and counts, in the order of the lists."""
    for place in range(engine.connection_count):
        number = load32(local.order + 4 * place)
        if verdict_of(local, number) == Verdict.WHOLE:
            _enter(engine, tcb_of(engine, number), local.last_at)
            local.whole += 1
    return 0


@kernel
def _enter(engine: Engine, tcb: Tcb, last_at: int) -> int:
    engine.live_connections += 1
    _grant(tcb, engine.now - last_at)
    tcb.work = 0
    tcb.wheel_armed = 0
    tcb.list_next = tcb.list_previous = 0
    enter_lists(engine, tcb)
    _say_again(tcb, last_at)
    waits = hold_chain(tcb).length or tcb.fin_received
    return mark(engine, tcb, Work.OUTPUT | Work.PUMP if waits else Work.OUTPUT)


@kernel
def _later(at: int, span: int) -> int:
    return at + span if at else 0


@kernel
def _grant(tcb: Tcb, span: int) -> int:
    """Put all deadlines off by the time in which nobody worked: what came meanwhile waits in the rings.

    Else every timer of every connection would fire before the answers that it waits for are looked at.
    """
    tcb.retransmit_at = _later(tcb.retransmit_at, span)
    tcb.recheck_at = _later(tcb.recheck_at, span)
    tcb.keepalive_at = _later(tcb.keepalive_at, span)
    tcb.application_at = _later(tcb.application_at, span)
    tcb.close_at = _later(tcb.close_at, span)
    return 0


@kernel
def _say_again(tcb: Tcb, last_at: int) -> int:
    """Let go out once more, at once, what the last breath made and may never have sent.

    Whatever else was lost, such as packets in a socket that died, is found out by the usual means of TCP; the peers of
    lively connections are told where these stand, so that a window that opened in the last breath is open for them.
    """
    if tcb.state <= TcpState.SYN_RECEIVED:
        if tcb.created_at >= last_at:
            tcb.snd_nxt = tcb.iss
        return 0
    if tcb.state > TcpState.LAST_ACK:
        return 0
    tcb.probe_length = 0
    if tcb.last_sent_at >= last_at and tcb.snd_una != tcb.snd_max and not tcb.in_recovery:
        tcb.snd_nxt = tcb.snd_una
        tcb.rtt_started_at = 0  # Karn
    if max(tcb.last_received_at, tcb.last_sent_at) + _LATELY_US >= last_at:
        tcb.ack_now = 1
    return 0


@kernel
def _is_held(local: TakeoverLocal, frame: int) -> int:
    holder = claim_of(local, frame)
    return 1 if holder and verdict_of(local, holder - 1) == Verdict.WHOLE else 0


@kernel
def free_unclaimed(engine: Engine, local: TakeoverLocal) -> int:
    """Put every frame that is the engine's, and that no whole connection holds, where free ones go.

    Frames of any number may be in its pool, and frames of other pools may be here.
    """
    base = base_of(engine)
    for frame in range(arena_at(base).frame_count):
        if frame_meta(base, frame).owner == engine.actor and not _is_held(local, frame):
            put_frame(engine, frame)
    local.freed_frames = engine.free_frame_count
    return 0


@kernel
def free_unclaimed_blocks(engine: Engine, local: TakeoverLocal) -> int:
    """Make the list of free blocks of spans anew. What a broken connection held is cleared with its record."""
    engine.free_span_block = 0
    engine.span_blocks_used = engine.span_block_count
    for block in range(engine.span_block_count - 1, -1, -1):
        if not is_block_claimed(local, block):
            free_block(engine, block + 1)
    return 0
