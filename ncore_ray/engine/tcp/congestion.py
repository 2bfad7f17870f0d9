"""Congestion control, whichever a connection uses: CUBIC (RFC 9438), NewReno (RFC 5681, RFC 6582), Vegas or BBR.

This is all that the rest of TCP knows of it: what begins, arrives, is lost or marked is told here, and `cwnd` and
`ssthresh` follow. The window at first is that of RFC 6928. NewReno stands in this file, the others in their own.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.connection import Tcb
from ncore_ray.engine.partition import Engine, counters_of
from ncore_ray.engine.tcp.bbr import bbr_acknowledged, bbr_begin, bbr_lost, bbr_resumed, bbr_timed_out
from ncore_ray.engine.tcp.blocks import free_block
from ncore_ray.engine.tcp.cubic import cubic_begin, cubic_grow, cubic_reduced, cubic_restart, cubic_undone
from ncore_ray.engine.tcp.hystart import MOST_SEGMENTS, NO_THRESHOLD, hystart_grow
from ncore_ray.engine.tcp.path import fail_probe, is_of_probe
from ncore_ray.engine.tcp.scoreboard import arrived_before
from ncore_ray.engine.tcp.sequence import seq_add, seq_diff, seq_le
from ncore_ray.engine.tcp.state import Recovery
from ncore_ray.engine.tcp.vegas import vegas_begin, vegas_grow
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.service import Congestion

_MAX_RECOVER_AGE: Final = 1 << 30
_USUAL_MSS: Final = 1_460


@kernel
def begin(engine: Engine, tcb: Tcb) -> int:
    """Set the initial window when the maximum segment size is known."""
    tcb.cwnd = _initial_window(engine, tcb)
    tcb.ssthresh = NO_THRESHOLD
    tcb.recover = tcb.iss
    return _begin_control(tcb)


@kernel
def _initial_window(engine: Engine, tcb: Tcb) -> int:
    """Return the initial window: of large segments fewer, two at the least (RFC 6928 §2, equation 1)."""
    return min(engine.initial_window * tcb.mss, max(2 * tcb.mss, engine.initial_window * _USUAL_MSS))


@kernel
def _begin_control(tcb: Tcb) -> int:
    return vegas_begin(tcb) if tcb.congestion == Congestion.VEGAS else cubic_begin(tcb)


@kernel
def on_first_sending(engine: Engine, tcb: Tcb) -> int:
    """Take room for BBR's model, which hosts that only receive do not need; where there is none, CUBIC has to do."""
    if not bbr_begin(engine, tcb):
        counters_of(engine).bbr_refused_connections += 1
        tcb.congestion = Congestion.CUBIC
        _begin_control(tcb)
    return 0


@kernel
def end(engine: Engine, tcb: Tcb) -> int:
    """Give back what the algorithm holds.

    Where this process dies on the way the block is in no list any more, but never in two.
    """
    number = tcb.rate_block
    tcb.rate_block = 0
    if number:
        free_block(engine, number)
    return 0


@kernel
def heeds_marks(tcb: Tcb) -> int:
    """Return 1 if the algorithm takes marks (ECN) as congestion: BBR does not, so nothing of it may be marked."""
    return 0 if tcb.congestion == Congestion.BBR else 1


@kernel
def reduced(tcb: Tcb) -> int:
    """Return the slow start threshold after a loss."""
    # RFC 5681 §3.1 equation 4; what the first duplicates let out (RFC 3042) is not counted in.
    return _reduced_from(tcb, min(seq_diff(tcb.snd_max, tcb.snd_una), tcb.cwnd))


@kernel
def _reduced_from(tcb: Tcb, flight: int) -> int:
    if tcb.congestion == Congestion.CUBIC:
        return cubic_reduced(tcb, flight)
    if tcb.congestion == Congestion.BBR:
        return tcb.ssthresh
    return max(flight // 2, 2 * tcb.mss)


@kernel
def on_ack(engine: Engine, tcb: Tcb, acked: int) -> int:
    """Take an acknowledgment of ``acked`` new bytes; `snd_una` is already the new one."""
    tcb.duplicate_acks = 0
    if tcb.in_recovery:
        return _recovery_ack(tcb, acked)
    if seq_diff(tcb.snd_una, tcb.recover) > _MAX_RECOVER_AGE:
        tcb.recover = seq_add(tcb.snd_una, -1)  # keep it comparable: sequence numbers come round
    return grow(engine, tcb, acked)


@kernel
def grow(engine: Engine, tcb: Tcb, acked: int) -> int:
    """Let the window grow by an acknowledgment of ``acked`` new bytes."""
    if tcb.congestion >= Congestion.VEGAS:
        return vegas_grow(engine, tcb, acked) if tcb.congestion == Congestion.VEGAS else 0
    if tcb.cwnd >= tcb.ssthresh and tcb.congestion == Congestion.CUBIC:
        return cubic_grow(tcb, acked, engine.now)
    if seq_diff(tcb.snd_max, tcb.snd_una) + acked < tcb.cwnd >> 1:
        return 0  # the window is not what holds the sender back (RFC 9438 §5.8)
    if tcb.cwnd < tcb.ssthresh:
        _start_slowly(engine, tcb, acked)
    else:
        tcb.cwnd += max(tcb.mss * tcb.mss // tcb.cwnd, 1)
    return 0


@kernel
def _start_slowly(engine: Engine, tcb: Tcb, acked: int) -> int:
    """RFC 5681 §3.1; the first time as RFC 9406 has it. One acknowledgment of much leads no further than to the end."""
    if tcb.ssthresh < NO_THRESHOLD:
        growth = min(acked, MOST_SEGMENTS * tcb.mss)
        tcb.cwnd += max(min(growth, tcb.ssthresh - tcb.cwnd), min(acked, tcb.mss))
    elif hystart_grow(tcb, acked, engine.sample_rtt):
        cubic_begin(tcb)  # its words were HyStart's
    return 0


@kernel
def _recovery_ack(tcb: Tcb, acked: int) -> int:
    """RFC 6582 §3.2, step 3: full and partial acknowledgments."""
    if seq_le(tcb.recover, tcb.snd_una):
        flight = seq_diff(tcb.snd_max, tcb.snd_una)
        tcb.cwnd = min(tcb.ssthresh, max(flight, tcb.mss) + tcb.mss)
        tcb.in_recovery = Recovery.NONE
        return 0
    tcb.resend = 1
    tcb.cwnd = max(tcb.cwnd - acked, tcb.mss) + (tcb.mss if acked >= tcb.mss else 0)
    return 0


@kernel
def _keep_window(tcb: Tcb) -> int:
    """End slow start where the window is: as at any such end, CUBIC's words may still be HyStart's."""
    tcb.ssthresh = tcb.cwnd
    return cubic_restart(tcb) if tcb.congestion == Congestion.CUBIC else 0


@kernel
def on_duplicate_ack(engine: Engine, tcb: Tcb) -> int:
    """Take one duplicate acknowledgment; return 1 if the first unacknowledged segment has to go out again."""
    if tcb.in_recovery:
        tcb.cwnd += tcb.mss
        return 0
    tcb.duplicate_acks += 1
    # RFC 6582 §3.2 step 2: not for duplicates of what was sent before the last recovery.
    if tcb.duplicate_acks != 3 or seq_le(tcb.snd_una, tcb.recover):
        return 0
    if is_of_probe(tcb, tcb.snd_una):  # no congestion (RFC 4821 §7.6.2)
        fail_probe(engine, tcb)
        _keep_window(tcb)
    else:
        tcb.ssthresh = reduced(tcb)
    tcb.cwnd = tcb.ssthresh + 3 * tcb.mss
    tcb.recover = tcb.snd_max
    tcb.in_recovery = Recovery.FAST
    tcb.resend = 1
    return 1


@kernel
def on_timeout(tcb: Tcb) -> int:
    """Take a time-out without SACK, or with a closed window (RFC 5681 §3.1 equation 4; RFC 6582 §3.2 step 4)."""
    if tcb.retransmissions <= 1:
        tcb.ssthresh = reduced(tcb)
    tcb.cwnd = tcb.mss
    tcb.recover = tcb.snd_max
    tcb.in_recovery = Recovery.NONE
    tcb.duplicate_acks = 0
    tcb.resend = 0
    return 0


@kernel
def on_lost(engine: Engine, tcb: Tcb, lost: int) -> int:
    """So many bytes more are known to be lost."""
    return bbr_lost(engine, tcb, lost) if tcb.rate_block else 0


@kernel
def on_silence(engine: Engine, tcb: Tcb) -> int:
    """A retransmission time-out, of whatever kind, was taken."""
    return bbr_timed_out(engine, tcb) if tcb.rate_block else 0


@kernel
def on_needless_timeout(tcb: Tcb) -> int:
    """The window of before the time-out is back: nothing had been lost."""
    return cubic_undone(tcb) if tcb.congestion == Congestion.CUBIC else 0


@kernel
def on_marked(tcb: Tcb) -> int:
    """Packets were marked on the way: a congestion as any other, though nothing is lost (RFC 3168 §6.1.2)."""
    return _reduce(tcb)


@kernel
def on_repaired_tail(tcb: Tcb) -> int:
    """A tail loss probe has repaired a loss, which is a congestion as any other (RFC 8985 §7.4.2)."""
    return _reduce(tcb)


@kernel
def _reduce(tcb: Tcb) -> int:
    tcb.ssthresh = _reduced_from(tcb, tcb.cwnd)
    tcb.cwnd = min(tcb.cwnd, tcb.ssthresh)
    return 0


@kernel
def on_lost_syn(tcb: Tcb) -> int:
    """Begin with one segment where a SYN had to be sent again (RFC 5681 §3.1)."""
    tcb.cwnd = tcb.mss
    return 0


@kernel
def send_allowance(engine: Engine, tcb: Tcb) -> int:
    """Return how far behind `snd_una` may be sent: with each of the first two duplicates one segment more (RFC 3042).

    With SACK what has arrived, or is lost, is not in flight (RFC 6675, `pipe`).
    """
    if tcb.sack_permitted:
        if tcb.snd_nxt != tcb.snd_max:
            return tcb.cwnd + arrived_before(engine, tcb, tcb.snd_nxt)
        return tcb.cwnd + tcb.sacked_bytes + tcb.lost_bytes
    return tcb.cwnd + (0 if tcb.in_recovery else min(tcb.duplicate_acks, 2) * tcb.mss)


@kernel
def on_restart(engine: Engine, tcb: Tcb) -> int:
    """Begin again with the restart window after an idle time of more than one time-out (RFC 5681 §4.1)."""
    if tcb.rate_block:
        return bbr_resumed(engine, tcb)
    tcb.cwnd = min(tcb.cwnd, _initial_window(engine, tcb))
    return cubic_restart(tcb) if tcb.congestion == Congestion.CUBIC else 0


@kernel
def on_processed(engine: Engine, tcb: Tcb) -> int:
    """An acknowledgment was processed, recovery included: an algorithm with a model has the last word."""
    return bbr_acknowledged(engine, tcb) if tcb.rate_block else 0
