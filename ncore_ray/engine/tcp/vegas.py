"""TCP Vegas: the window follows the round-trip time, not losses (Brakmo, Peterson 1995).

Once in a round trip the window is compared with what the way takes without a queue. The difference is what waits in
queues: a little of it is wanted, so that free rate is found; more makes the window smaller before anything is lost.
What is lost all the same halves it, as in NewReno.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.connection import CONTROL_OFFSET, Tcb
from ncore_ray.engine.partition import Engine
from ncore_ray.engine.tcp.sequence import seq_le
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.record import I64, Record, address_of, pointer_to

_ALPHA: Final = 2
"""Segments in queues that are too few …"""
_BETA: Final = 4
"""… and too many."""
_GAMMA: Final = 1
"""So many end slow start."""
_ENOUGH: Final = 3
"""Round-trip times without which a round says nothing: a lone acknowledgment may have been delayed."""


class Vegas(Record):
    """What Vegas keeps of a connection, in `Tcb.control`. Times are µs."""

    base_rtt: I64
    """The least round-trip time ever: that of the way without queues (BaseRTT). 0: none is known."""
    round_rtt: I64
    """The least one of this round."""
    round_end: I64
    """The round ends when more than up to this sequence number is acknowledged."""
    samples: I64
    """Round-trip times measured in this round."""


vegas_at = pointer_to(Vegas)


@kernel
def vegas_of(tcb: Tcb) -> Vegas:
    """Return what Vegas keeps of a connection."""
    return vegas_at(address_of(tcb) + CONTROL_OFFSET)


@kernel
def vegas_begin(tcb: Tcb) -> int:
    """Begin to measure; what was the least round-trip time is forgotten."""
    vegas = vegas_of(tcb)
    vegas.base_rtt = 0
    return _begin_round(tcb, vegas)


@kernel
def _begin_round(tcb: Tcb, vegas: Vegas) -> int:
    vegas.round_rtt = 0
    vegas.samples = 0
    vegas.round_end = tcb.snd_max
    return 0


@kernel
def _note_rtt(vegas: Vegas, rtt: int) -> int:
    vegas.samples += 1
    if vegas.base_rtt == 0 or rtt < vegas.base_rtt:
        vegas.base_rtt = rtt
    if vegas.round_rtt == 0 or rtt < vegas.round_rtt:
        vegas.round_rtt = rtt
    return 0


@kernel
def vegas_grow(engine: Engine, tcb: Tcb, acked: int) -> int:
    """Take an acknowledgment of ``acked`` new bytes; the window changes by a segment per round after slow start."""
    vegas = vegas_of(tcb)
    if engine.sample_rtt:
        _note_rtt(vegas, engine.sample_rtt)
    if seq_le(tcb.snd_una, vegas.round_end):
        if tcb.cwnd < tcb.ssthresh:
            tcb.cwnd += min(acked, 2 * tcb.mss)
        return 0
    # Without SACK there is one measurement in a round trip.
    if vegas.samples >= (_ENOUGH if tcb.sack_permitted else 1):
        _judge_round(tcb, vegas, acked)
    else:
        tcb.cwnd += min(acked, tcb.mss)
    return _begin_round(tcb, vegas)


@kernel
def _judge_round(tcb: Tcb, vegas: Vegas, acked: int) -> int:
    """Change the window by what a round has shown."""
    queued = tcb.cwnd * (vegas.round_rtt - vegas.base_rtt) // vegas.base_rtt
    if tcb.cwnd < tcb.ssthresh:
        if queued > _GAMMA * tcb.mss:
            tcb.cwnd = min(tcb.cwnd, tcb.cwnd * vegas.base_rtt // vegas.round_rtt + tcb.mss)
            tcb.ssthresh = min(tcb.ssthresh, max(tcb.cwnd - tcb.mss, 2 * tcb.mss))
        else:
            tcb.cwnd += min(acked, 2 * tcb.mss)
    elif queued > _BETA * tcb.mss:
        tcb.cwnd -= tcb.mss
        tcb.ssthresh = min(tcb.ssthresh, max(tcb.cwnd - tcb.mss, 2 * tcb.mss))
    elif queued < _ALPHA * tcb.mss:
        tcb.cwnd += tcb.mss
    tcb.cwnd = max(tcb.cwnd, 2 * tcb.mss)
    return 0
