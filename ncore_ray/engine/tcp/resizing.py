"""Segments that were too long for the way go out again in smaller ones, which is no sign of congestion (RFC 1191 §6.4).

Where a router has said so, all that went out since is lost, as it was as long: slow start lets it out again, up to the
window of before, which stays as it is. Where only a probe was lost, nothing changes but that its bytes go out again.
"""

from __future__ import annotations

from ncore_ray.engine.connection import Tcb, Work, mark
from ncore_ray.engine.partition import Engine
from ncore_ray.engine.tcp.path import fail_probe, is_of_probe, refuse_probe, shrink
from ncore_ray.engine.tcp.scoreboard import in_flight
from ncore_ray.engine.tcp.sequence import seq_diff, seq_le
from ncore_ray.engine.tcp.spans import (
    Mark,
    find_span,
    make_room,
    marks_of,
    sent_at_of,
    set_span,
    span_end,
    span_of,
    split_span,
)
from ncore_ray.engine.tcp.spurious import Verification
from ncore_ray.engine.tcp.state import Recheck, Recovery, Sack
from ncore_ray.engine.tcp.tail import TailProbe
from ncore_ray.machine.jit import kernel


@kernel
def take_too_big(engine: Engine, tcb: Tcb, sequence: int, mtu: int) -> int:
    """A router says of the segment in flight with this sequence number that only ``mtu`` bytes get through."""
    if is_of_probe(tcb, sequence) and refuse_probe(engine, tcb, mtu):
        if tcb.sack_permitted:
            _lose_from(engine, tcb, sequence, tcb.probe_end)
            return _begin(engine, tcb)
        return _go_back(engine, tcb, sequence)
    if not shrink(engine, tcb, mtu) or tcb.probing:
        return 0
    tcb.ssthresh = max(tcb.ssthresh, tcb.cwnd)
    if not tcb.sack_permitted:
        return _go_back(engine, tcb, sequence)
    _lose_from(engine, tcb, sequence, tcb.snd_max)
    tcb.cwnd = in_flight(tcb) + tcb.mss
    return _begin(engine, tcb)


@kernel
def _lose_from(engine: Engine, tcb: Tcb, start: int, end: int) -> int:
    """Note that what is in flight between two sequence numbers is lost; without room for that, whole spans are."""
    if tcb.span_count and make_room(engine, tcb, 2):
        split_span(engine, tcb, start)
        split_span(engine, tcb, end)
    first = find_span(engine, tcb, start)
    for index in range(first, tcb.span_count):
        span = span_of(engine, tcb, index)
        if not marks_of(span) & (Mark.SACKED | Mark.LOST) and seq_diff(end, span.start) > 0:
            set_span(engine, tcb, index, sent_at_of(span), marks_of(span) | Mark.LOST)
    return 0


@kernel
def _begin(engine: Engine, tcb: Tcb) -> int:
    """Let what is lost go out again, its first segment at once; the windows are no matter of this."""
    tcb.recover = tcb.snd_max
    tcb.in_recovery = Recovery.RESIZED
    tcb.recovery_at = engine.now
    tcb.verification = Verification.DONE
    tcb.duplicate_acks = 0
    tcb.lost_again = 0
    tcb.resend = 1
    tcb.tail_probe = TailProbe.NONE
    tcb.probe_tail = 0
    tcb.recheck = Recheck.NOTHING
    tcb.recheck_at = 0
    return mark(engine, tcb, Work.OUTPUT)


@kernel
def _go_back(engine: Engine, tcb: Tcb, sequence: int) -> int:
    """Without SACK: send again from a sequence number on, one segment at first (RFC 1191 §6.4)."""
    tcb.snd_nxt = sequence
    tcb.cwnd = seq_diff(sequence, tcb.snd_una) + tcb.mss
    tcb.recover = tcb.snd_max
    tcb.in_recovery = Recovery.NONE
    tcb.duplicate_acks = 0
    tcb.resend = 0
    tcb.rtt_started_at = 0  # Karn: which of the two is acknowledged cannot be told
    tcb.retransmit_at = engine.now + tcb.rto
    return mark(engine, tcb, Work.OUTPUT)


@kernel
def resize_probe(engine: Engine, tcb: Tcb) -> int:
    """Return 1 if all that is lost is of the probe in flight: then its bytes go out again, without a congestion."""
    if tcb.probe_length == 0 or tcb.in_recovery != Recovery.NONE or tcb.sack_permitted != Sack.FULL:
        return 0
    for index in range(tcb.span_count):
        span = span_of(engine, tcb, index)
        if marks_of(span) & Mark.LOST:
            if not is_of_probe(tcb, span.start) or not seq_le(span_end(engine, tcb, index), tcb.probe_end):
                return 0
    fail_probe(engine, tcb)
    _begin(engine, tcb)
    return 1
