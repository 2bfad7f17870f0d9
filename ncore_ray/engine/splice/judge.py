"""Whether a segment of a spliced pair can be its host's, and what it tells (RFC 9293 §3.10.7.4, RFC 5961).

The window is the one that was seen to be told last. The ends look at everything once more, with what they know
better; what can be found forged here would else change what the engine believes of the pair.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.connection import Role, Tcb
from ncore_ray.engine.partition import Engine, counters_of, service_stats, vserver_stats
from ncore_ray.engine.splice.words import words_of
from ncore_ray.engine.tcp.sequence import seq_add, seq_diff, seq_le, seq_max
from ncore_ray.machine.jit import kernel
from ncore_ray.wire.packet import Packet
from ncore_ray.wire.tcp import ACK, FIN, SYN

_LEAST_SPAN: Final = 65_535
"""Bytes by which a segment may be old at the least: it is answered by its receiver (RFC 9293 §3.10.7.4, first)."""


@kernel
def left_edge(tcb: Tcb, peer: Tcb) -> int:
    """Return up to where the other side has acknowledged, in the numbers of this side's host."""
    return seq_add(peer.snd_una, -words_of(tcb).sequence_shift)


@kernel
def segment_length(packet: Packet) -> int:
    """Return the sequence numbers that a segment takes."""
    return packet.payload_length + (1 if packet.flags & SYN else 0) + (1 if packet.flags & FIN else 0)


@kernel
def is_in_window(tcb: Tcb, peer: Tcb, packet: Packet) -> int:
    """Return 1 if a segment begins in its receiver's window, at its edge, or not long before it."""
    if seq_diff(packet.sequence, tcb.rcv_edge) > 0:
        return 0
    behind = seq_diff(left_edge(tcb, peer), seq_add(packet.sequence, segment_length(packet)))
    return 1 if behind <= max(peer.max_window, _LEAST_SPAN) else 0


@kernel
def is_acceptable(engine: Engine, tcb: Tcb, peer: Tcb, packet: Packet) -> int:
    """Return 1 if a segment that is no SYN and no reset may go on; else it is counted why not."""
    counters = counters_of(engine)
    if not packet.flags & ACK:
        counters.drop_tcp_no_acknowledgment_packets += 1
        return 0
    if not is_in_window(tcb, peer, packet):
        counters.drop_tcp_out_of_window_packets += 1
        return 0
    ahead = seq_diff(packet.acknowledgment, tcb.snd_max)
    if ahead > 0:
        counters.drop_tcp_bad_acknowledgment_packets += 1
        return 0
    if seq_diff(tcb.snd_una, packet.acknowledgment) > max(tcb.max_window, _LEAST_SPAN):
        counters.drop_tcp_old_acknowledgment_packets += 1
        return 0
    return 1


@kernel
def is_plausible_reset(tcb: Tcb, peer: Tcb, packet: Packet) -> int:
    """Return 1 if a reset is in its receiver's window (RFC 5961 §3.2)."""
    return seq_le(left_edge(tcb, peer), packet.sequence) & seq_le(packet.sequence, tcb.rcv_edge)


@kernel
def is_exact_reset(tcb: Tcb, peer: Tcb, packet: Packet) -> int:
    """Return 1 if the other side is sure to heed a reset: it stands where that can only expect the next byte."""
    left = left_edge(tcb, peer)
    return 1 if packet.sequence == left and left == tcb.rcv_nxt else 0


@kernel
def note(engine: Engine, tcb: Tcb, peer: Tcb, packet: Packet) -> int:
    """Keep what an acceptable segment tells, before it goes on.

    Each store leaves the pair whole: what is known only grows, and what may be acknowledged before what has come. So no
    mark is needed (`engine/change.py`), and a process that dies here costs no more than the packet.
    """
    words = words_of(tcb)
    tcb.last_received_at = engine.now
    tcb.snd_una = seq_max(tcb.snd_una, packet.acknowledgment)
    window = packet.window << max(tcb.snd_scale, 0)
    tcb.snd_wnd = window
    tcb.max_window = max(tcb.max_window, window)
    edge = seq_add(packet.acknowledgment, window - words_of(peer).sequence_shift)
    peer.rcv_edge = seq_max(peer.rcv_edge, edge)
    end = seq_add(packet.sequence, segment_length(packet))
    peer.snd_max = seq_max(peer.snd_max, seq_add(end, words.sequence_shift))
    fresh = seq_diff(end, tcb.rcv_nxt)
    if fresh > 0:
        tcb.rcv_nxt = end
        _count(engine, tcb, peer, fresh)
    if packet.flags & FIN and not words.ended:
        words.ended = 1
        _count(engine, tcb, peer, -1)  # its number is that of no byte
    return 0


@kernel
def _count(engine: Engine, tcb: Tcb, peer: Tcb, fresh: int) -> int:
    """Count bytes of the stream: those of a gap too, which is filled later, and those that are sent again once."""
    tcb.received_bytes += fresh
    peer.sent_bytes += fresh
    vserver = vserver_stats(engine, tcb.vserver)
    if tcb.role == Role.CLIENT:
        vserver.received_bytes += fresh
        service_stats(engine, peer.service).sent_bytes += fresh
    else:
        vserver.sent_bytes += fresh
        service_stats(engine, tcb.service).received_bytes += fresh
    return 0


@kernel
def is_over(tcb: Tcb, peer: Tcb) -> int:
    """Return 1 if both streams have ended and all of them is acknowledged."""
    if not words_of(tcb).ended or not words_of(peer).ended:
        return 0
    return 1 if tcb.snd_una == tcb.snd_max and peer.snd_una == peer.snd_max else 0
