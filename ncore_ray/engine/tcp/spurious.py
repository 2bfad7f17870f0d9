"""Forward RTO recovery (RFC 5682 §3): a time-out that came only because the way got slower is undone.

After a time-out the first acknowledgment lets out new bytes instead of more old ones. If the next one acknowledges what
was sent only once, before the time-out, then nothing was lost. Only for connections with SACK.
"""

from __future__ import annotations

from enum import IntEnum

from ncore_ray.engine.connection import Tcb, send_chain
from ncore_ray.engine.partition import Engine, counters_of
from ncore_ray.engine.tcp import congestion
from ncore_ray.engine.tcp.rtt import restore_rto
from ncore_ray.engine.tcp.scoreboard import in_flight
from ncore_ray.engine.tcp.sequence import seq_add, seq_diff, seq_le, seq_lt
from ncore_ray.engine.tcp.spans import Mark, join_spans, marks_of, sent_at_of, set_span, span_of
from ncore_ray.engine.tcp.state import Recovery
from ncore_ray.engine.tcp.timestamps import echoed_until
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load32be
from ncore_ray.wire.packet import Packet
from ncore_ray.wire.tcp import SACK_BLOCK


class Verification(IntEnum):
    """How far it is known what a time-out meant."""

    DONE = 0
    FIRST = 1
    """The first unacknowledged segment went out again (§3.1, step 2)."""
    SECOND = 2
    """Its acknowledgment came, and new bytes went out (step 3)."""


@kernel
def begin_verification(tcb: Tcb) -> int:
    """Prepare to undo a time-out that is the first in a row, if no recovery was under way (step 1)."""
    tcb.verification = Verification.DONE
    if tcb.in_recovery == Recovery.NONE:
        tcb.undo_window = tcb.cwnd
        tcb.undo_threshold = tcb.ssthresh
        tcb.verification = Verification.FIRST
    return 0


@kernel
def is_holding_back(tcb: Tcb) -> int:
    """Return 1 while what seems lost waits for what new bytes bring about."""
    return 1 if tcb.in_recovery == Recovery.TIMEOUT and tcb.verification == Verification.SECOND else 0


@kernel
def verify(engine: Engine, tcb: Tcb, packet: Packet, acked: int, delivered: int) -> int:
    """Take an acknowledgment after a time-out.

    Timestamps tell at once: what is acknowledged was sent before the time-out (RFC 3522).
    """
    if tcb.verification != Verification.DONE and acked and echoed_until(engine, tcb, packet) < tcb.recovery_at:
        return _undo(engine, tcb)
    if tcb.verification == Verification.FIRST and acked:
        return _take_first(tcb, packet)
    if tcb.verification != Verification.SECOND or delivered == 0:
        return 0
    tcb.verification = Verification.DONE
    if acked or not _tells_of_new(tcb, packet):
        return _undo(engine, tcb)
    tcb.cwnd = 3 * tcb.mss  # the new bytes arrived before the old ones: these are lost (step 3a)
    return 0


@kernel
def _take_first(tcb: Tcb, packet: Packet) -> int:
    """Step 2: go on with new bytes, if there are any and the peer's window has room for them.

    The window that this acknowledgment tells is in force only when all of it is processed.
    """
    waiting = seq_diff(seq_add(tcb.send_base, send_chain(tcb).length), tcb.snd_nxt)
    window = min(tcb.snd_wnd, packet.window << max(tcb.snd_scale, 0))
    room = window - seq_diff(tcb.snd_max, tcb.snd_una)
    if seq_le(tcb.recover, tcb.snd_una) or waiting <= 0 or room < min(tcb.mss, waiting):
        tcb.verification = Verification.DONE
        return 0
    tcb.verification = Verification.SECOND
    tcb.cwnd = in_flight(tcb) + 2 * tcb.mss
    return 0


@kernel
def _tells_of_new(tcb: Tcb, packet: Packet) -> int:
    """Return 1 if a block lies beyond what had been sent before the time-out."""
    for i in range(packet.sack_count):
        if seq_lt(tcb.recover, load32be(packet.sack_blocks + SACK_BLOCK * i + 4)):
            return 1
    return 0


@kernel
def _undo(engine: Engine, tcb: Tcb) -> int:
    """Nothing was lost: the window is as before the time-out (step 3b)."""
    counters_of(engine).spurious_timeouts += 1
    for index in range(tcb.span_count):
        span = span_of(engine, tcb, index)
        set_span(engine, tcb, index, sent_at_of(span), marks_of(span) & ~Mark.LOST)
    join_spans(engine, tcb, 0, tcb.span_count - 1, 0)
    tcb.verification = Verification.DONE
    tcb.lost_again = 0
    tcb.in_recovery = Recovery.NONE
    tcb.ssthresh = tcb.undo_threshold
    tcb.cwnd = max(tcb.cwnd, tcb.undo_window)
    congestion.on_needless_timeout(tcb)
    return restore_rto(engine, tcb)
