"""Loss recovery by selective acknowledgments: what is lost goes out again, by the pace of what arrives.

What is lost RACK says (RFC 8985, in `rack`); how much goes out proportional rate reduction (RFC 6937), and after a
time-out slow start. Only for connections whose both ends understand SACK; the others recover by RFC 6582 in
`congestion`.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.connection import Tcb
from ncore_ray.engine.partition import Engine, counters_of
from ncore_ray.engine.tcp import congestion, ecn
from ncore_ray.engine.tcp.blind import go_blind, lose_by_count
from ncore_ray.engine.tcp.rack import detect_lost, lose_after_timeout, recovery_over, widen_window
from ncore_ray.engine.tcp.resizing import resize_probe
from ncore_ray.engine.tcp.rtt import is_backed_off, take_sample
from ncore_ray.engine.tcp.scoreboard import NO_ROOM, drop_spans, furthest_arrived, in_flight, note_sacked
from ncore_ray.engine.tcp.sequence import seq_add, seq_diff, seq_le, seq_lt
from ncore_ray.engine.tcp.spurious import begin_verification, is_holding_back, verify
from ncore_ray.engine.tcp.state import Recheck, Recovery, Sack
from ncore_ray.engine.tcp.tail import TailProbe, set_tail_timer, take_tail_acknowledgment
from ncore_ray.engine.tcp.timestamps import UNKNOWN_INSTANT, echoed_until
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load32be
from ncore_ray.wire.packet import Packet
from ncore_ray.wire.tcp import SACK_BLOCK

_NOT_SAID: Final = -1


@kernel
def take_selective(engine: Engine, tcb: Tcb, packet: Packet, acked: int) -> int:
    """Take the acknowledgment of a connection with SACK; ``acked`` bytes are new, `snd_una` is already the new one.

    Returns 1 if a recovery begins.
    """
    if packet.sack_count or tcb.sacked_bytes or tcb.in_recovery or tcb.tail_probe:
        return _take_news(engine, tcb, packet, acked)
    if acked:
        engine.delivered = drop_spans(engine, tcb, tcb.snd_una, UNKNOWN_INSTANT)
        congestion.on_ack(engine, tcb, acked)
        set_tail_timer(engine, tcb)
    return 0


@kernel
def _take_news(engine: Engine, tcb: Tcb, packet: Packet, acked: int) -> int:
    furthest = furthest_arrived(engine, tcb, seq_add(tcb.snd_una, -acked))
    until = echoed_until(engine, tcb, packet)
    delivered = drop_spans(engine, tcb, furthest, until)
    engine.unnoted = 0
    fresh = _take_blocks(engine, tcb, packet, furthest, until)
    delivered += fresh
    if packet.duplicate_end != _NOT_SAID:
        widen_window(tcb)
    if fresh:
        tcb.duplicate_acks += 1
    if take_tail_acknowledgment(tcb, packet, acked):
        congestion.on_repaired_tail(tcb)
    if tcb.sack_permitted == Sack.BLIND:
        delivered += lose_by_count(engine, tcb, acked)
    else:
        congestion.on_lost(engine, tcb, detect_lost(engine, tcb))
    engine.delivered = delivered
    if engine.sample_rtt and is_backed_off(engine, tcb):
        take_sample(engine, tcb, engine.sample_rtt)  # of what was sent only once: Karn allows it
    if tcb.sack_permitted == Sack.FULL:
        delivered += engine.unnoted
    began = _after_news(engine, tcb, packet, acked, delivered)
    if acked:
        set_tail_timer(engine, tcb)
    return began


@kernel
def _after_news(engine: Engine, tcb: Tcb, packet: Packet, acked: int, delivered: int) -> int:
    """Begin, continue or end a recovery; return 1 if one begins."""
    if tcb.in_recovery >= Recovery.TIMEOUT:
        _go_on_after_timeout(engine, tcb, packet, acked, delivered)
    elif tcb.in_recovery:
        _go_on(tcb, delivered)
    elif acked:
        congestion.on_ack(engine, tcb, acked)
    if tcb.lost_again or (tcb.lost_bytes and tcb.in_recovery == Recovery.NONE):
        return 0 if resize_probe(engine, tcb) else _begin(engine, tcb, delivered)
    return 0


@kernel
def _take_blocks(engine: Engine, tcb: Tcb, packet: Packet, furthest: int, until: int) -> int:
    """Enter all blocks that lie in flight; return how many of their bytes were not known to have arrived.

    The first may tell of what came twice (RFC 2883 §4): it lies before the acknowledgment, or within the second.
    """
    fresh = 0
    packet.duplicate_end = _NOT_SAID
    for i in range(packet.sack_count):
        start = load32be(packet.sack_blocks + SACK_BLOCK * i)
        end = load32be(packet.sack_blocks + SACK_BLOCK * i + 4)
        if not seq_lt(start, end) or seq_lt(tcb.snd_max, end):
            counters_of(engine).bad_sack_blocks += 1
        elif seq_lt(start, packet.acknowledgment) or (i == 0 and _is_within_second(packet, start, end)):
            counters_of(engine).duplicate_sack_blocks += 1
            if i == 0 and seq_le(seq_add(tcb.snd_una, -tcb.max_window), start):
                packet.duplicate_end = end
        elif tcb.sack_permitted == Sack.FULL and seq_le(tcb.snd_una, start):
            noted = note_sacked(engine, tcb, start, end, furthest, until)
            if noted != NO_ROOM:
                fresh += noted
            else:
                _pass_over(engine, tcb, seq_diff(end, start) if i == 0 else 0)
    return fresh


@kernel
def _pass_over(engine: Engine, tcb: Tcb, length: int) -> int:
    """There is no room to note a block; that something arrived still lets something out, if it is the latest."""
    engine.unnoted += min(length, tcb.mss)
    return go_blind(engine, tcb) if tcb.span_block == 0 else 0


@kernel
def _is_within_second(packet: Packet, start: int, end: int) -> int:
    if packet.sack_count < 2:
        return 0
    second = packet.sack_blocks + SACK_BLOCK
    return 1 if seq_le(load32be(second), start) and seq_le(end, load32be(second + 4)) else 0


@kernel
def _begin(engine: Engine, tcb: Tcb, delivered: int) -> int:
    """Enter recovery: the first hole goes out at once (RFC 6675 §5, step 4).

    What is lost once more while it is recovered is a second congestion (RFC 5681 §4.3): another recovery begins.
    """
    flight = seq_diff(tcb.snd_max, tcb.snd_una)
    tcb.ssthresh = congestion.reduced(tcb)
    tcb.recover = tcb.snd_max
    tcb.in_recovery = Recovery.FAST
    tcb.recovery_at = engine.now
    tcb.lost_again = 0
    tcb.tail_probe = TailProbe.NONE
    tcb.probe_tail = 0
    tcb.resend = 1
    tcb.flight_at_loss = max(flight, 1)
    tcb.delivered_in_recovery = 0
    tcb.sent_in_recovery = 0
    _proportion(tcb, delivered)
    if tcb.ecn & ecn.Ecn.CAPABLE:
        ecn.has_reduced(tcb)
    return 1


@kernel
def _end(tcb: Tcb) -> int:
    """Leave recovery: all is acknowledged that was in flight when it began."""
    tcb.in_recovery = Recovery.NONE
    tcb.duplicate_acks = 0
    tcb.lost_again = 0
    tcb.sack_permitted = Sack.FULL
    return recovery_over(tcb)


@kernel
def _go_on(tcb: Tcb, delivered: int) -> int:
    """An acknowledgment in fast recovery."""
    if seq_le(tcb.recover, tcb.snd_una):
        tcb.cwnd = max(tcb.ssthresh, tcb.mss)
        return _end(tcb)
    return _proportion(tcb, delivered) if delivered > 0 else 0


@kernel
def _go_on_after_timeout(engine: Engine, tcb: Tcb, packet: Packet, acked: int, delivered: int) -> int:
    """An acknowledgment after a time-out: slow start, as soon as it is clear that something was lost.

    So it is where segments were too long.
    """
    verify(engine, tcb, packet, acked, delivered)
    if tcb.in_recovery == Recovery.NONE:
        return recovery_over(tcb)
    if acked and not is_holding_back(tcb):
        congestion.grow(engine, tcb, acked)
    return _end(tcb) if seq_le(tcb.recover, tcb.snd_una) else 0


@kernel
def _proportion(tcb: Tcb, delivered: int) -> int:
    """Let out in proportion to what arrives, and catch up where more than half was lost (RFC 6937 §3, with SSRB)."""
    tcb.delivered_in_recovery += delivered
    flying = in_flight(tcb)
    if flying > tcb.ssthresh:
        share = -(-tcb.delivered_in_recovery * tcb.ssthresh // tcb.flight_at_loss)
        room = share - tcb.sent_in_recovery
    else:
        behind = max(tcb.delivered_in_recovery - tcb.sent_in_recovery, delivered)
        room = min(tcb.ssthresh - flying, behind + tcb.mss)
    tcb.cwnd = flying + max(room, 0)
    return 0


@kernel
def on_reordering_timer(engine: Engine, tcb: Tcb) -> int:
    """What was given time to arrive, and did not, is lost (RFC 8985 §6.3)."""
    lost = detect_lost(engine, tcb)
    if lost == 0:
        return 0
    if tcb.in_recovery == Recovery.NONE and resize_probe(engine, tcb):
        return 0
    congestion.on_lost(engine, tcb, lost)
    if tcb.in_recovery == Recovery.NONE or tcb.lost_again:
        counters_of(engine).fast_retransmits += _begin(engine, tcb, 0)
    elif tcb.in_recovery == Recovery.FAST:
        _proportion(tcb, 0)
    return 0


@kernel
def on_timeout(engine: Engine, tcb: Tcb) -> int:
    """Take a retransmission time-out: what was sent before is lost, and the window begins with one segment."""
    if tcb.retransmissions <= 1:
        begin_verification(tcb)
        tcb.ssthresh = congestion.reduced(tcb)
    lose_after_timeout(engine, tcb)
    tcb.cwnd = tcb.mss
    tcb.recover = tcb.snd_max
    tcb.in_recovery = Recovery.TIMEOUT
    tcb.recovery_at = engine.now
    tcb.duplicate_acks = 0
    tcb.resend = 1
    tcb.tail_probe = TailProbe.NONE
    tcb.probe_tail = 0
    tcb.recheck = Recheck.NOTHING
    tcb.recheck_at = 0
    if tcb.ecn & ecn.Ecn.CAPABLE:
        ecn.has_reduced(tcb)
    return congestion.on_silence(engine, tcb)
