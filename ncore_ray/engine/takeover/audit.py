"""Which connections of an engine that died are whole.

The marks (`engine/change.py`) name those that are not. All others are looked through all the same: a connection whose
chains do not add up is reset, too, and counted apart, because that would be a defect of the marks.
"""

from __future__ import annotations

from ncore_ray.arena.frame import FRAME_SIZE, NO_FRAME, frame_meta
from ncore_ray.arena.header import arena_at
from ncore_ray.engine.buffer import Chain
from ncore_ray.engine.change import touched_connection
from ncore_ray.engine.connection import Role, Tcb, hold_chain, send_chain, tcb_of
from ncore_ray.engine.partition import TOUCHED, Engine, base_of
from ncore_ray.engine.takeover.links import judge_virtual
from ncore_ray.engine.takeover.local import TakeoverLocal, Verdict, claim, claim_block, claim_of, judge, verdict_of
from ncore_ray.engine.tcp.spans import BLOCK_SPANS, OWN_SPANS
from ncore_ray.machine.jit import kernel


@kernel
def judge_all(engine: Engine, local: TakeoverLocal) -> int:
    """Judge every connection."""
    for number in range(engine.connection_count):
        judge(local, number, Verdict.FREE if tcb_of(engine, number).role == Role.FREE else Verdict.WHOLE)
    _judge_marked(engine, local)
    if engine.links:
        judge_virtual(engine, local)
    while _judge_peers(engine, local):
        pass
    for number in range(engine.connection_count):
        if verdict_of(local, number) == Verdict.WHOLE and not _adds_up(engine, local, number):
            judge(local, number, Verdict.BROKEN)
            local.unmarked += 1
    while _judge_peers(engine, local):
        pass
    return 0


@kernel
def _break(engine: Engine, local: TakeoverLocal, number: int) -> int:
    if 0 <= number < engine.connection_count and verdict_of(local, number) == Verdict.WHOLE:
        judge(local, number, Verdict.BROKEN)
        return 1
    return 0


@kernel
def _judge_marked(engine: Engine, local: TakeoverLocal) -> int:
    if engine.changing == 0:
        return 0
    _break(engine, local, engine.changing - 1)
    for place in range(min(engine.touched_count, TOUCHED)):
        _break(engine, local, touched_connection(engine, place))
    return 0


@kernel
def _judge_peers(engine: Engine, local: TakeoverLocal) -> int:
    """Break whoever has a broken peer, or one that knows nothing of it; return how many that were."""
    count = 0
    for number in range(engine.connection_count):
        tcb = tcb_of(engine, number)
        verdict = verdict_of(local, number)
        if verdict == Verdict.FREE or tcb.peer == 0:
            continue
        if tcb.peer < 0 or tcb.peer > engine.connection_count:
            count += _break(engine, local, number)
            continue
        peer = tcb.peer - 1
        mutual = tcb_of(engine, peer).peer == number + 1
        if verdict == Verdict.BROKEN and mutual:
            count += _break(engine, local, peer)
        elif not mutual or verdict_of(local, peer) != Verdict.WHOLE:
            count += _break(engine, local, number)
    return count


@kernel
def _adds_up(engine: Engine, local: TakeoverLocal, number: int) -> int:
    """Claim all frames of a connection; return 0 if one is not its own, or the lengths are not what they should be."""
    tcb = tcb_of(engine, number)
    if not _chain_adds_up(engine, local, number, send_chain(tcb)):
        return 0
    if not _chain_adds_up(engine, local, number, hold_chain(tcb)):
        return 0
    if not _spans_add_up(engine, local, tcb) or not _rate_adds_up(engine, local, tcb):
        return 0
    return _early_add_up(engine, local, number, tcb)


@kernel
def _claim(engine: Engine, local: TakeoverLocal, number: int, frame: int) -> int:
    """Claim one frame; return 0 if it is somebody else's."""
    base = base_of(engine)
    if frame < 0 or frame >= arena_at(base).frame_count or claim_of(local, frame):
        return 0
    meta = frame_meta(base, frame)
    if meta.owner != engine.actor or meta.start < 0 or meta.end < meta.start or meta.end > FRAME_SIZE:
        return 0
    claim(local, frame, number)
    return 1


@kernel
def _chain_adds_up(engine: Engine, local: TakeoverLocal, number: int, chain: Chain) -> int:
    base = base_of(engine)
    frame, last, length = chain.first, NO_FRAME, 0
    while frame != NO_FRAME:
        if not _claim(engine, local, number, frame):
            return 0
        last = frame
        length += frame_meta(base, frame).end - frame_meta(base, frame).start
        frame = frame_meta(base, frame).next
    return 1 if last == chain.last and length == chain.length else 0


@kernel
def _spans_add_up(engine: Engine, local: TakeoverLocal, tcb: Tcb) -> int:
    """Claim the block of a connection's spans; return 0 if it is somebody else's, or they do not fit into it."""
    if tcb.span_first < 0 or tcb.span_count < 0:
        return 0
    if tcb.span_block == 0:
        return 1 if tcb.span_first + tcb.span_count <= OWN_SPANS else 0
    if tcb.span_block < 0 or tcb.span_block > engine.span_block_count or not claim_block(local, tcb.span_block - 1):
        return 0
    return 1 if tcb.span_first + tcb.span_count <= BLOCK_SPANS else 0


@kernel
def _rate_adds_up(engine: Engine, local: TakeoverLocal, tcb: Tcb) -> int:
    """Claim the block of what BBR measures, if there is one."""
    if tcb.rate_block == 0:
        return 1
    if tcb.rate_block < 0 or tcb.rate_block > engine.span_block_count:
        return 0
    return claim_block(local, tcb.rate_block - 1)


@kernel
def _early_add_up(engine: Engine, local: TakeoverLocal, number: int, tcb: Tcb) -> int:
    frame, last, count = tcb.out_of_order, NO_FRAME, 0
    while frame != NO_FRAME:
        if not _claim(engine, local, number, frame):
            return 0
        last = frame
        count += 1
        frame = frame_meta(base_of(engine), frame).next
    return 1 if count == tcb.out_of_order_count and (count == 0 or last == tcb.out_of_order_last) else 0
