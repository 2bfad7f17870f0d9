"""HyStart++: the first slow start ends before the queue is full, when round-trip times grow (RFC 9406).

A round whose least round-trip time is well above that of the round before leads to conservative slow start, four times
as slow; after five rounds of that the window is taken to be right. If round-trip times fall again, it was no queue.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.connection import CONTROL_OFFSET, Tcb
from ncore_ray.engine.tcp.sequence import seq_le
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.record import I16, I32, I64, Record, address_of, pointer_to

NO_THRESHOLD: Final = 1 << 30
"""The slow start threshold of a connection that has not seen any congestion."""
MOST_SEGMENTS: Final = 8
"""By which an acknowledgment lets the window grow in slow start (L of §4.3)."""
_LEAST_US: Final = 4_000
_MOST_US: Final = 16_000
_PART_SHIFT: Final = 3
"""Round-trip times have to grow by an eighth, within these bounds (§4.3)."""
_ENOUGH: Final = 8
"""Samples of a round."""
_SLOWER_SHIFT: Final = 2
_ROUNDS: Final = 5


class Hystart(Record):
    """What is known in the first slow start, in the first words of `Tcb.control`. Times are µs."""

    round_end: I64
    """The round ends when more than this sequence number is acknowledged (windowEnd); 0: none has begun."""
    last_rtt: I32
    """The least round-trip time of the round before; 0: none is known."""
    round_rtt: I32
    """The least one of this round."""
    baseline: I32
    """That with which conservative slow start began; 0: it has not."""
    samples: I16
    rounds: I16
    """Of conservative slow start."""


_hystart_at = pointer_to(Hystart)


@kernel
def hystart_of(tcb: Tcb) -> Hystart:
    """Return what is known in the first slow start."""
    return _hystart_at(address_of(tcb) + CONTROL_OFFSET)


@kernel
def hystart_grow(tcb: Tcb, acked: int, rtt: int) -> int:
    """Grow the window by an acknowledgment; return 1 if slow start is over. ``rtt``: the sample that it gave, or 0."""
    hystart = hystart_of(tcb)
    if (hystart.round_end == 0 or not seq_le(tcb.snd_una, hystart.round_end)) and _end_round(tcb, hystart):
        return 1
    if rtt:
        hystart.samples = min(hystart.samples + 1, _ENOUGH)
        hystart.round_rtt = rtt if hystart.round_rtt == 0 else min(hystart.round_rtt, rtt)
    growth = min(acked, MOST_SEGMENTS * tcb.mss)
    tcb.cwnd += growth >> _SLOWER_SHIFT if hystart.baseline else growth
    return _judge(hystart) if hystart.samples >= _ENOUGH else 0


@kernel
def _end_round(tcb: Tcb, hystart: Hystart) -> int:
    """Begin another round; return 1 if it was the last one of slow start."""
    hystart.last_rtt = hystart.round_rtt
    hystart.round_rtt = hystart.samples = 0
    hystart.round_end = tcb.snd_max
    if hystart.baseline == 0:
        return 0
    hystart.rounds += 1
    if hystart.rounds < _ROUNDS:
        return 0
    tcb.ssthresh = tcb.cwnd
    return 1


@kernel
def _judge(hystart: Hystart) -> int:
    if hystart.baseline:
        if hystart.round_rtt < hystart.baseline:
            hystart.baseline = hystart.rounds = 0  # it was no queue
    elif hystart.last_rtt:
        threshold = max(_LEAST_US, min(hystart.last_rtt >> _PART_SHIFT, _MOST_US))
        if hystart.round_rtt >= hystart.last_rtt + threshold:
            hystart.baseline = hystart.round_rtt
    return 0
