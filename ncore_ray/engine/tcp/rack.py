"""RACK: lost is what was sent well before something that arrived (RFC 8985 §6).

Time of sending, not the count of duplicate acknowledgments, tells a loss from reordering, and finds what was lost once
more when it was sent again. Only for connections with SACK.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.connection import Tcb
from ncore_ray.engine.partition import Engine, counters_of
from ncore_ray.engine.tcp.sequence import seq_le, seq_lt
from ncore_ray.engine.tcp.spans import (
    GROUP_SHIFT,
    Mark,
    join_spans,
    marks_of,
    sent_at_of,
    set_span,
    span_end,
    span_of,
)
from ncore_ray.engine.tcp.state import Recheck
from ncore_ray.machine.jit import kernel

_DUPLICATES: Final = 3
"""DupThresh: so many segments beyond a hole are enough where no reordering was ever seen."""
_KEPT_RECOVERIES: Final = 16
_MOST_STEPS: Final = 255
_TOLERANCE_SHIFT: Final = 3
"""A short packet is faster than the full ones by which `min_rtt` was measured: an eighth less is still not too soon."""
_MIN_RTT_LASTS_US: Final = 30_000_000


@kernel
def _note_rtt(engine: Engine, tcb: Tcb, rtt_us: int) -> int:
    """Keep the least round-trip time of late (§6.2, step 1)."""
    if tcb.min_rtt == 0 or rtt_us <= tcb.min_rtt or engine.now - tcb.min_rtt_at > _MIN_RTT_LASTS_US:
        tcb.min_rtt = max(rtt_us, 1)
        tcb.min_rtt_at = engine.now
    return 0


@kernel
def note_delivered(
    engine: Engine, tcb: Tcb, sent_at: int, end: int, marks: int, furthest: int, echoed_until: int
) -> int:
    """Take bytes up to ``end`` that are known to have arrived by this acknowledgment (§6.2, steps 1 to 3).

    ``furthest`` is the sequence number behind all that was known to have arrived before (RACK.fack); ``echoed_until``
    is by when that was sent whose timestamp the acknowledgment echoes.
    """
    rtt = engine.now - sent_at
    if marks & Mark.RESENT:
        if rtt + (tcb.min_rtt >> _TOLERANCE_SHIFT) < tcb.min_rtt or sent_at > echoed_until:
            return 0  # too soon for what was sent again: the first one arrived
    else:
        _note_rtt(engine, tcb, rtt)
        if engine.sample_rtt == 0 or rtt < engine.sample_rtt:
            engine.sample_rtt = max(rtt, 1)
        if seq_lt(end, furthest):
            tcb.reordering = 1
    engine.sample_sent_at = max(engine.sample_sent_at, sent_at)
    tcb.rack_rtt = rtt
    if sent_at > tcb.rack_sent_at or (sent_at == tcb.rack_sent_at and seq_lt(tcb.rack_end, end)):
        tcb.rack_sent_at = sent_at
        tcb.rack_end = end
    return 0


@kernel
def _reordering_window(tcb: Tcb) -> int:
    """Return by how much later than what was sent after it something may arrive, µs (§6.2, step 4)."""
    if not tcb.reordering:
        if tcb.in_recovery or tcb.duplicate_acks >= _DUPLICATES or tcb.sacked_bytes > (_DUPLICATES - 1) * tcb.mss:
            return 0
    return min(((tcb.window_steps + 1) * tcb.min_rtt + 3) >> 2, max(tcb.srtt >> 3, 1))


@kernel
def widen_window(tcb: Tcb) -> int:
    """The peer got something twice: once in a round trip that makes the window a quarter of `min_rtt` wider."""
    if tcb.duplicates_until and seq_le(tcb.duplicates_until - 1, tcb.snd_una):
        tcb.duplicates_until = 0
    if tcb.duplicates_until == 0:
        tcb.duplicates_until = tcb.snd_nxt + 1
        tcb.window_steps = min(tcb.window_steps + 1, _MOST_STEPS)
        tcb.window_kept = _KEPT_RECOVERIES
    return 0


@kernel
def recovery_over(tcb: Tcb) -> int:
    """Let the window be narrow again after so many recoveries without a duplicate."""
    if tcb.window_kept > 0:
        tcb.window_kept -= 1
        if tcb.window_kept == 0:
            tcb.window_steps = 0
    return 0


@kernel
def _is_before_delivered(tcb: Tcb, sent_at: int, end: int) -> int:
    """RACK_sent_after, seen from what was sent before.

    A span's time is that of its first bytes. So bytes behind those that arrived, which were sent again in between, may
    have been sent later than their span says.
    """
    if seq_lt(tcb.rack_end, end):
        return 1 if sent_at + (tcb.srtt >> GROUP_SHIFT) < tcb.rack_sent_at else 0
    return 1 if sent_at < tcb.rack_sent_at or (sent_at == tcb.rack_sent_at and seq_lt(end, tcb.rack_end)) else 0


@kernel
def lose(engine: Engine, tcb: Tcb, index: int) -> int:
    """Note that a span is lost, maybe once more."""
    span = span_of(engine, tcb, index)
    sent_at = sent_at_of(span)
    if marks_of(span) & Mark.RESENT and sent_at >= tcb.recovery_at:
        tcb.lost_again = 1
        counters_of(engine).lost_retransmissions += 1
    return set_span(engine, tcb, index, sent_at, marks_of(span) | Mark.LOST)


@kernel
def detect_lost(engine: Engine, tcb: Tcb) -> int:
    """Find what is lost, and set the timer for what may be soon (§6.2, step 5); return the bytes newly lost."""
    before = tcb.lost_bytes
    window = _reordering_window(tcb)
    longest = 0
    for index in range(tcb.span_count):
        span = span_of(engine, tcb, index)
        sent_at = sent_at_of(span)
        if marks_of(span) & (Mark.SACKED | Mark.LOST):
            continue
        if not _is_before_delivered(tcb, sent_at, span_end(engine, tcb, index)):
            continue
        remaining = sent_at + tcb.rack_rtt + window - engine.now
        if remaining <= 0:
            lose(engine, tcb, index)
        longest = max(longest, remaining)
    _set_timer(engine, tcb, longest)
    if tcb.lost_bytes != before:
        join_spans(engine, tcb, 0, tcb.span_count - 1, 0)
    return tcb.lost_bytes - before


@kernel
def _set_timer(engine: Engine, tcb: Tcb, span_us: int) -> int:
    if span_us > 0:
        tcb.recheck = Recheck.REORDERING
        tcb.recheck_at = engine.now + span_us
    elif tcb.recheck == Recheck.REORDERING:
        tcb.recheck = Recheck.NOTHING
        tcb.recheck_at = 0
    return 0


@kernel
def lose_after_timeout(engine: Engine, tcb: Tcb) -> int:
    """All that was sent long enough ago is lost when the retransmission timer expires, the first in any case (§6.3).

    The peer has taken back what it said if it does not acknowledge what it said to hold (RFC 2018 §8).
    """
    reneged = marks_of(span_of(engine, tcb, 0)) & Mark.SACKED if tcb.span_count else 0
    for index in range(tcb.span_count):
        span = span_of(engine, tcb, index)
        sent_at = sent_at_of(span)
        if reneged and marks_of(span) & Mark.SACKED:
            set_span(engine, tcb, index, sent_at, Mark.RESENT)
        due = sent_at + tcb.rack_rtt + _reordering_window(tcb) <= engine.now
        if (index == 0 or due) and not marks_of(span) & (Mark.SACKED | Mark.LOST):
            lose(engine, tcb, index)
    tcb.lost_again = 0
    return join_spans(engine, tcb, 0, tcb.span_count - 1, 0)
