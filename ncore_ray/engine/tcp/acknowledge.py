"""What an acceptable acknowledgment does (RFC 9293 §3.10.7.4, fifth step)."""

from __future__ import annotations

from ncore_ray.engine.buffer import chain_drop
from ncore_ray.engine.connection import Tcb, Work, mark, send_chain
from ncore_ray.engine.partition import Engine, counters_of
from ncore_ray.engine.tcp.congestion import on_ack, on_duplicate_ack, on_processed
from ncore_ray.engine.tcp.ecn import Ecn, take_echo_of_mark
from ncore_ray.engine.tcp.recovery import take_selective
from ncore_ray.engine.tcp.rtt import restore_rto, take_echo, take_sample
from ncore_ray.engine.tcp.sequence import seq_add, seq_diff, seq_le, seq_lt, seq_max
from ncore_ray.engine.tcp.timestamps import echoed_until
from ncore_ray.machine.jit import kernel
from ncore_ray.wire.packet import Packet
from ncore_ray.wire.tcp import ECE


@kernel
def fin_sequence(tcb: Tcb) -> int:
    """Return the sequence number of our FIN: right behind the last byte of the send chain."""
    return seq_add(tcb.send_base, send_chain(tcb).length)


@kernel
def fin_acknowledged(tcb: Tcb) -> int:
    """Return 1 if our FIN was sent and is acknowledged."""
    return 1 if tcb.fin_wanted and seq_lt(fin_sequence(tcb), tcb.snd_una) else 0


@kernel
def drop_acknowledged(engine: Engine, tcb: Tcb) -> int:
    """Free the bytes of the send chain that are acknowledged."""
    chain = send_chain(tcb)
    count = min(seq_diff(tcb.snd_una, tcb.send_base), chain.length)
    if count <= 0 or tcb.retain:
        return 0
    chain_drop(engine, chain, count)
    tcb.send_base = seq_add(tcb.send_base, count)
    if seq_lt(tcb.cursor_sequence, tcb.send_base):
        tcb.cursor_valid = 0
    return count


@kernel
def leave_probing(engine: Engine, tcb: Tcb) -> int:
    """The window is open again: the timer guards data from here on, without the back-off of the probes."""
    tcb.probing = 0
    tcb.retransmissions = 0
    tcb.retransmit_at = 0
    tcb.rtt_started_at = 0  # a probe is no measure of the way (Karn)
    return restore_rto(engine, tcb)


@kernel
def _new_data_acknowledged(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    acknowledgment = packet.acknowledgment
    if tcb.probing:
        leave_probing(engine, tcb)
    if tcb.rtt_started_at and seq_lt(tcb.rtt_sequence, acknowledgment):
        take_sample(engine, tcb, engine.now - tcb.rtt_started_at)
        if not tcb.sack_permitted:
            engine.sample_rtt = max(engine.now - tcb.rtt_started_at, 1)
            engine.sample_sent_at = tcb.rtt_started_at
        tcb.rtt_started_at = 0
    elif tcb.timestamps and (tcb.retransmissions or tcb.in_recovery):
        take_echo(engine, tcb, echoed_until(engine, tcb, packet))
    tcb.snd_una = acknowledgment
    tcb.snd_nxt = seq_max(tcb.snd_nxt, acknowledgment)
    tcb.retransmissions = 0
    # RFC 6298 §5.2, §5.3
    tcb.retransmit_at = 0 if tcb.snd_una == tcb.snd_max else engine.now + tcb.rto
    return drop_acknowledged(engine, tcb)


@kernel
def _is_duplicate(tcb: Tcb, packet: Packet, window: int) -> int:
    """RFC 5681 §2: no data, no FIN, nothing new acknowledged, data outstanding, the window as before."""
    same = packet.acknowledgment == tcb.snd_una and packet.payload_length == 0 and window == tcb.snd_wnd
    return 1 if same and tcb.snd_una != tcb.snd_max and packet.flags & 3 == 0 else 0


@kernel
def _take_cumulative(engine: Engine, tcb: Tcb, packet: Packet, acked: int, window: int) -> int:
    """Take the acknowledgment of a connection without SACK."""
    if acked:
        engine.delivered = max(acked - tcb.duplicate_acks * tcb.mss, 0)
        return on_ack(engine, tcb, acked)
    if window > 0 and _is_duplicate(tcb, packet, window):
        engine.delivered = min(tcb.mss, seq_diff(tcb.snd_max, tcb.snd_una))
        counters_of(engine).fast_retransmits += on_duplicate_ack(engine, tcb)
    return 0


@kernel
def _update_window(tcb: Tcb, packet: Packet, window: int) -> int:
    newer = seq_lt(tcb.snd_wl1, packet.sequence) or (
        tcb.snd_wl1 == packet.sequence and seq_le(tcb.snd_wl2, packet.acknowledgment)
    )
    if newer:
        tcb.snd_wnd = window
        tcb.max_window = max(tcb.max_window, window)
        tcb.snd_wl1 = packet.sequence
        tcb.snd_wl2 = packet.acknowledgment
    return 0


@kernel
def take_acknowledgment(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    """Take an acknowledgment that was found acceptable; return how many bytes of the send chain it freed."""
    mark(engine, tcb, Work.OUTPUT)
    if seq_lt(packet.acknowledgment, tcb.snd_una):
        return 0  # an old one says nothing, of the window neither
    window = packet.window << max(tcb.snd_scale, 0)
    acked = seq_diff(packet.acknowledgment, tcb.snd_una)
    engine.delivered = 0
    engine.sample_rtt = 0
    engine.sample_sent_at = 0
    congestion_window = tcb.cwnd
    freed = _new_data_acknowledged(engine, tcb, packet) if acked else 0
    if tcb.probing:
        tcb.retransmissions = 0  # an answer to a probe: the peer lives (RFC 9293 §3.8.6.1)
    elif tcb.sack_permitted:
        counters_of(engine).fast_retransmits += take_selective(engine, tcb, packet, acked)
    else:
        _take_cumulative(engine, tcb, packet, acked, window)
    if tcb.ecn & Ecn.CAPABLE and (packet.flags & ECE or tcb.marked_until):
        take_echo_of_mark(engine, tcb, packet, congestion_window)
    if tcb.rate_block:
        on_processed(engine, tcb)
    _update_window(tcb, packet, window)
    return freed
