"""Recovery where there is no memory to note what the peer says it holds: by counting, as RFC 6582 does without SACK.

A connection has room of its own for two spans. That is enough for one lost segment at the left edge and all that was
sent behind it: three duplicates say that the first segment is lost, and each partial acknowledgment that the next is.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.connection import Tcb
from ncore_ray.engine.partition import Engine, counters_of
from ncore_ray.engine.tcp.rack import lose
from ncore_ray.engine.tcp.sequence import seq_add, seq_diff, seq_lt
from ncore_ray.engine.tcp.spans import forget_marks, make_room, span_end, split_span
from ncore_ray.engine.tcp.state import Recovery, Sack
from ncore_ray.machine.jit import kernel

_DUPLICATES: Final = 3


@kernel
def go_blind(engine: Engine, tcb: Tcb) -> int:
    """Count from here on, until the next recovery is over."""
    if tcb.sack_permitted == Sack.FULL:
        tcb.sack_permitted = Sack.BLIND
        counters_of(engine).blind_recoveries += 1
    return 0


@kernel
def lose_by_count(engine: Engine, tcb: Tcb, acked: int) -> int:
    """Take an acknowledgment; return the bytes that seem to have arrived beyond the first hole (RFC 6937 §3)."""
    if tcb.in_recovery >= Recovery.TIMEOUT:
        return 0
    if acked:
        if tcb.in_recovery == Recovery.FAST and seq_lt(tcb.snd_una, tcb.recover):
            _lose_first(engine, tcb)
            tcb.resend = 1
        return 0
    tcb.duplicate_acks += 1
    if tcb.in_recovery == Recovery.NONE and tcb.duplicate_acks == _DUPLICATES:
        _lose_first(engine, tcb)
    return min(tcb.mss, seq_diff(tcb.snd_max, tcb.snd_una))


@kernel
def _lose_first(engine: Engine, tcb: Tcb) -> int:
    if tcb.lost_bytes or tcb.span_count == 0:
        return 0
    end = seq_add(tcb.snd_una, min(tcb.mss, seq_diff(tcb.snd_max, tcb.snd_una)))
    if tcb.span_count > 1 and seq_lt(end, span_end(engine, tcb, 0)):
        forget_marks(engine, tcb)  # both as one, from now on
    if seq_lt(end, span_end(engine, tcb, 0)) and make_room(engine, tcb, 1):
        split_span(engine, tcb, end)
    return lose(engine, tcb, 0)
