"""Loss recovery by selective acknowledgments (RFC 6675), paced by proportional rate reduction (RFC 6937).

Only for connections whose both ends understand SACK; the others recover by RFC 6582 in `congestion`.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.connection import Tcb
from ncore_ray.engine.partition import Engine, counters_of
from ncore_ray.engine.tcp import congestion
from ncore_ray.engine.tcp.scoreboard import (
    drop_sacked,
    hole_length,
    judge_lost,
    note_sacked,
    uncounted,
)
from ncore_ray.engine.tcp.sequence import seq_add, seq_diff, seq_le, seq_lt, seq_max
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load32be
from ncore_ray.wire.packet import Packet
from ncore_ray.wire.tcp import SACK_BLOCK

_DUPLICATES: Final = 3


@kernel
def take_selective(engine: Engine, tcb: Tcb, packet: Packet, acked: int) -> int:
    """Take the acknowledgment of a connection with SACK; ``acked`` bytes are new, `snd_una` is already the new one.

    Returns 1 if a recovery begins.
    """
    delivered = acked - (drop_sacked(tcb) if tcb.sacked_count else 0)
    fresh = _take_blocks(engine, tcb, packet) if packet.sack_count else 0
    delivered += fresh
    if tcb.in_recovery:
        return _go_on(tcb, acked, delivered)
    if acked:
        congestion.on_ack(engine, tcb, acked)
    if fresh == 0:
        if tcb.sacked_count == 0:
            tcb.lost_edge = tcb.snd_una
            tcb.resent_to = tcb.snd_una
        return 0
    tcb.duplicate_acks += 1
    judge_lost(tcb)
    lost = seq_lt(tcb.snd_una, tcb.lost_edge) or tcb.duplicate_acks >= _DUPLICATES
    return _begin(tcb, delivered) if lost and seq_le(tcb.recover, tcb.snd_una) else 0


@kernel
def _take_blocks(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    """Enter all blocks that lie in flight; return how many of their bytes were not known to have arrived."""
    fresh = 0
    for i in range(packet.sack_count):
        start = load32be(packet.sack_blocks + SACK_BLOCK * i)
        end = load32be(packet.sack_blocks + SACK_BLOCK * i + 4)
        if not seq_lt(start, end) or seq_lt(tcb.snd_max, end):
            counters_of(engine).bad_sack_blocks += 1
        elif seq_lt(start, packet.acknowledgment):
            counters_of(engine).duplicate_sack_blocks += 1  # RFC 2883 §4: before the acknowledgment
        elif seq_le(tcb.snd_una, start):
            fresh += note_sacked(tcb, start, end)
    return fresh


@kernel
def _begin(tcb: Tcb, delivered: int) -> int:
    """Enter recovery: the first hole goes out at once (RFC 6675 §5, step 4)."""
    flight = seq_diff(tcb.snd_max, tcb.snd_una)
    tcb.ssthresh = congestion.reduced(tcb)
    tcb.recover = tcb.snd_max
    tcb.in_recovery = 1
    tcb.resend = 1
    tcb.resent_to = tcb.snd_una
    _lose_first_hole(tcb)
    tcb.flight_at_loss = max(flight, 1)
    tcb.delivered_in_recovery = 0
    tcb.sent_in_recovery = 0
    _proportion(tcb, delivered)
    return 1


@kernel
def _lose_first_hole(tcb: Tcb) -> int:
    """The segment that the peer waits for is lost."""
    most = min(tcb.mss, seq_diff(tcb.snd_max, tcb.snd_una))
    tcb.lost_edge = seq_max(tcb.lost_edge, seq_add(tcb.snd_una, hole_length(tcb, tcb.snd_una, most)))
    return 0


@kernel
def _go_on(tcb: Tcb, acked: int, delivered: int) -> int:
    """An acknowledgment in recovery; it ends when all is acknowledged that was in flight when it began."""
    if seq_le(tcb.recover, tcb.snd_una):
        tcb.in_recovery = 0
        tcb.duplicate_acks = 0
        tcb.cwnd = max(tcb.ssthresh, tcb.mss)
        return 0
    judge_lost(tcb)
    if acked and seq_le(tcb.resent_to, tcb.snd_una):
        _lose_first_hole(tcb)  # what follows the hole that was filled is missing too
    if delivered > 0:
        _proportion(tcb, delivered)
    return 0


@kernel
def _proportion(tcb: Tcb, delivered: int) -> int:
    """Let out in proportion to what arrives, and catch up where more than half was lost (RFC 6937 §3, with SSRB)."""
    tcb.delivered_in_recovery += delivered
    in_flight = seq_diff(tcb.snd_max, tcb.snd_una) - uncounted(tcb)
    if in_flight > tcb.ssthresh:
        share = -(-tcb.delivered_in_recovery * tcb.ssthresh // tcb.flight_at_loss)
        room = share - tcb.sent_in_recovery
    else:
        behind = max(tcb.delivered_in_recovery - tcb.sent_in_recovery, delivered)
        room = min(tcb.ssthresh - in_flight, behind + tcb.mss)
    tcb.cwnd = in_flight + max(room, 0)
    return 0
