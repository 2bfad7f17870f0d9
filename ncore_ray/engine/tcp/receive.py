"""SEGMENT ARRIVES for a connection (RFC 9293 §3.10.7.3 and §3.10.7.4), with the checks of RFC 5961.

The stage knows nothing of what the bytes are for: it leaves in the packet record the new bytes that are in order, moves
`rcv_nxt` over them, and says in a set of events what happened.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ncore_ray.arena.frame import FRAME_SIZE, frame_address, frame_meta
from ncore_ray.engine.buffer import NO_FRAME, has_memory
from ncore_ray.engine.connection import Tcb, Work, mark
from ncore_ray.engine.half_open import enter_half_open, leave_half_open
from ncore_ray.engine.lifecycle import destroy, enter_time_wait
from ncore_ray.engine.orphans import enter_orphans, is_orphan
from ncore_ray.engine.partition import Engine, base_of, counters_of
from ncore_ray.engine.tcp import congestion, ecn
from ncore_ray.engine.tcp.accept import is_full
from ncore_ray.engine.tcp.acknowledge import fin_acknowledged, take_acknowledgment
from ncore_ray.engine.tcp.buffers import note_received
from ncore_ray.engine.tcp.challenge import challenge
from ncore_ray.engine.tcp.path import begin_path
from ncore_ray.engine.tcp.patience import keepalive_of
from ncore_ray.engine.tcp.reassembly import Kept, clear_early, detach_early, keep_early, next_early
from ncore_ray.engine.tcp.rtt import after_lost_syn, take_sample
from ncore_ray.engine.tcp.sack import note_duplicate, note_early
from ncore_ray.engine.tcp.segment import answer_reset, mss_limit_of, told_mss
from ncore_ray.engine.tcp.sequence import seq_add, seq_diff, seq_le, seq_lt
from ncore_ray.engine.tcp.state import FastOpen, TcpState, can_receive
from ncore_ray.engine.tcp.timestamps import Age, begin_timestamps, judge_age, note_timestamp
from ncore_ray.machine.jit import kernel
from ncore_ray.wire.address import is_ipv4
from ncore_ray.wire.packet import Packet
from ncore_ray.wire.tcp import ACK, CWR, ECE, FIN, RST, SYN, URG

_DEFAULT_MSS: Final = 536
_DEFAULT_MSS6: Final = 1_220
_LEAST_MSS: Final = 64
_REFUSAL_INTERVAL_US: Final = 50_000
"""A connection answers at most one segment of no use in that time: far less than the 200 ms of a peer's first probe."""


class Event(IntEnum):
    """What a segment brought about (bits)."""

    NOTHING = 0
    ESTABLISHED = 1
    DATA = 2
    """The packet's payload is new and in order."""
    FREED = 4
    """Bytes of ours were acknowledged, so there is room in the send chain."""
    FIN = 8
    """The peer has sent everything."""
    RESET = 16
    """The peer gave up: the connection is still there, for the owner to see, and is to be destroyed."""
    GONE = 32
    """The connection ended in order and is freed already."""


@kernel
def receive_segment(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    """Take one segment of a connection; return a set of `Event` bits."""
    if tcb.state == TcpState.SYN_SENT:
        return _receive_syn_sent(engine, tcb, packet)
    counters = counters_of(engine)
    if tcb.timestamps and judge_age(engine, tcb, packet) == Age.REFUSED:
        if packet.has_timestamp:
            _answer_refused(engine, tcb, packet)
        return Event.NOTHING
    if not _in_window(tcb, packet):
        return _not_in_window(engine, tcb, packet)
    if packet.flags & RST:
        return _receive_reset(engine, tcb, packet)
    if packet.flags & SYN:
        counters.drop_tcp_unexpected_syn_packets += 1  # RFC 5961 §4.2
        challenge(engine, tcb)
        return Event.NOTHING
    if not packet.flags & ACK:
        counters.drop_tcp_no_acknowledgment_packets += 1
        return Event.NOTHING
    counters.used_tcp_packets += 1
    if tcb.timestamps:
        note_timestamp(engine, tcb, packet)
    if tcb.ecn & ecn.Ecn.AGREED:
        ecn.take_mark(engine, tcb, packet)
    return _receive_acknowledged(engine, tcb, packet)


@kernel
def _segment_length(packet: Packet) -> int:
    return packet.payload_length + (1 if packet.flags & SYN else 0) + (1 if packet.flags & FIN else 0)


@kernel
def _in_window(tcb: Tcb, packet: Packet) -> int:
    """The four cases of the acceptance test (RFC 9293 §3.4, table 6), and a fifth.

    A segment of no length may also stand right at the window's edge: there stand the acknowledgments of a peer that has
    filled the window when its first segment was lost. Two such ends would refuse each other's acknowledgments, each
    with one more of its own.
    """
    window = seq_diff(tcb.rcv_edge, tcb.rcv_nxt)
    ahead = seq_diff(packet.sequence, tcb.rcv_nxt)
    length = _segment_length(packet)
    if length == 0:
        return 1 if 0 <= ahead <= window else 0
    return 1 if ahead < window and ahead + length > 0 else 0


@kernel
def _not_in_window(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    counters = counters_of(engine)
    if packet.flags & RST:
        counters.drop_tcp_bad_reset_packets += 1
        return Event.NOTHING
    if tcb.state == TcpState.SYN_RECEIVED and packet.flags & SYN and packet.sequence == tcb.irs:
        return _receive_syn_again(engine, tcb, packet)
    if seq_lt(packet.sequence, tcb.rcv_nxt):
        if _segment_length(packet):
            counters.drop_tcp_bad_sequence_packets += 1
        else:
            counters.drop_tcp_old_acknowledgment_packets += 1
        note_duplicate(tcb, packet.sequence, min(packet.payload_length, seq_diff(tcb.rcv_nxt, packet.sequence)))
    else:
        counters.drop_tcp_out_of_window_packets += 1
    if tcb.state == TcpState.TIME_WAIT and packet.flags & FIN:
        enter_time_wait(engine, tcb)
    _answer_refused(engine, tcb, packet)
    return _heed_acknowledgment(engine, tcb, packet)


@kernel
def _answer_refused(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    """Tell the peer of a refused segment where the stream stands (RFC 9293 §3.10.7.4), those without data seldom.

    Two ends that disagree, perhaps made to by somebody else, would answer each other's answers without an end
    (RFC 5961 §7).
    """
    if packet.payload_length == 0 and packet.flags & FIN == 0:
        if tcb.refused_at and engine.now - tcb.refused_at < _REFUSAL_INTERVAL_US:
            counters_of(engine).challenge_acks_suppressed += 1
            return 0
        tcb.refused_at = engine.now
    tcb.ack_now = 1
    return mark(engine, tcb, Work.OUTPUT)


@kernel
def _receive_syn_again(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    """The SYN once more: so is our answer; with an acknowledgment of ours where both ends opened at once."""
    if packet.flags & ACK and packet.acknowledgment == tcb.snd_max and tcb.snd_max != tcb.iss:
        counters_of(engine).used_tcp_packets += 1
        packet.sequence = tcb.rcv_nxt
        packet.flags &= ~SYN
        tcb.ack_now = 1
        return _receive_acknowledged(engine, tcb, packet)
    counters_of(engine).drop_tcp_bad_sequence_packets += 1
    tcb.snd_nxt = tcb.iss
    mark(engine, tcb, Work.OUTPUT)
    return Event.NOTHING


@kernel
def _heed_acknowledgment(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    """Where a closed window refuses a segment, its acknowledgment still counts (RFC 9293 §3.10.7.4, first step)."""
    if packet.flags & ACK == 0 or packet.sequence != tcb.rcv_nxt or tcb.state < TcpState.ESTABLISHED:
        return Event.NOTHING
    return _acknowledge(engine, tcb, packet) if _acknowledgment_in_range(tcb, packet) else Event.NOTHING


@kernel
def _receive_reset(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    if packet.sequence != tcb.rcv_nxt:  # RFC 5961 §3.2: in the window, but not exactly
        counters_of(engine).drop_tcp_bad_reset_packets += 1
        challenge(engine, tcb)
        return Event.NOTHING
    counters_of(engine).used_tcp_packets += 1
    if tcb.state >= TcpState.CLOSING:  # both streams have ended: nobody needs to be told (RFC 9293 §3.10.7.4)
        destroy(engine, tcb)
        return Event.GONE
    return Event.RESET


@kernel
def _acknowledgment_in_range(tcb: Tcb, packet: Packet) -> int:
    """RFC 5961 §5.2: SND.UNA − MAX.SND.WND ≤ SEG.ACK ≤ SND.MAX."""
    behind = seq_diff(tcb.snd_una, packet.acknowledgment)
    return 1 if seq_le(packet.acknowledgment, tcb.snd_max) and behind <= tcb.max_window else 0


@kernel
def _receive_acknowledged(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    events = 0
    if tcb.state == TcpState.SYN_RECEIVED:
        if not (seq_lt(tcb.snd_una, packet.acknowledgment) and seq_le(packet.acknowledgment, tcb.snd_max)):
            counters_of(engine).drop_tcp_bad_acknowledgment_packets += 1
            counters_of(engine).used_tcp_packets -= 1
            answer_reset(engine, packet)
            return Event.NOTHING
        if is_full(engine, tcb):  # the peer says it again, with its data: until then, this is its place in the queue
            counters_of(engine).drop_tcp_connection_limit_packets += 1
            counters_of(engine).used_tcp_packets -= 1
            return Event.NOTHING
        _syn_acknowledged(engine, tcb, packet)
        tcb.snd_wl1 = seq_add(packet.sequence, -1)
        events |= 0 if tcb.fast_open == FastOpen.TAKEN else Event.ESTABLISHED
    if not _acknowledgment_in_range(tcb, packet):
        counters_of(engine).drop_tcp_bad_acknowledgment_packets += 1
        counters_of(engine).used_tcp_packets -= 1
        challenge(engine, tcb)
        return events
    events |= _acknowledge(engine, tcb, packet)
    return events if events & Event.GONE else events | _receive_text(engine, tcb, packet)


@kernel
def _acknowledge(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    """Fifth step, for an acknowledgment in range."""
    _heard(engine, tcb, packet)
    events = 0
    if take_acknowledgment(engine, tcb, packet) > 0:
        events |= Event.FREED
    if fin_acknowledged(tcb) and _our_fin_acknowledged(engine, tcb):
        events |= Event.GONE
    return events


@kernel
def _heard(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    """Note that the peer lives; answers to a client go back the way its packets come."""
    tcb.last_received_at = engine.now
    if tcb.route < 0:
        tcb.remote_mac = packet.ethernet_source
    return 0


@kernel
def _syn_acknowledged(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    """Enter ESTABLISHED: our SYN has arrived."""
    if tcb.state == TcpState.SYN_RECEIVED:
        leave_half_open(engine, tcb)
    tcb.state = TcpState.ESTABLISHED
    if tcb.discard:  # it was answered with its handshake (RFC 7413)
        enter_orphans(engine, tcb)
    if keepalive_of(engine, tcb):
        tcb.keepalive_at = engine.now + keepalive_of(engine, tcb)
    tcb.snd_una = packet.acknowledgment
    tcb.snd_nxt = packet.acknowledgment
    tcb.snd_max = packet.acknowledgment
    tcb.retransmit_at = 0
    if tcb.rtt_started_at:
        take_sample(engine, tcb, engine.now - tcb.rtt_started_at)
        tcb.rtt_started_at = 0
    if tcb.retransmissions:
        after_lost_syn(engine, tcb)
        congestion.on_lost_syn(tcb)
        tcb.retransmissions = 0
    return 0


@kernel
def _our_fin_acknowledged(engine: Engine, tcb: Tcb) -> int:
    """Make the state change that the acknowledgment of our FIN causes; return 1 if the connection is gone."""
    if tcb.state == TcpState.FIN_WAIT_1:
        tcb.state = TcpState.FIN_WAIT_2
    elif tcb.state == TcpState.CLOSING:
        enter_time_wait(engine, tcb)
    elif tcb.state == TcpState.LAST_ACK:
        destroy(engine, tcb)
        return 1
    return 0


@kernel
def _receive_text(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    """Seventh and eighth step: payload and FIN."""
    if packet.payload_length == 0 and packet.flags & FIN == 0:
        return Event.NOTHING
    if packet.flags & URG:
        counters_of(engine).urgent_segments += 1  # its bytes stay where they are in the stream (RFC 6093 §3.2, §6)
    mark(engine, tcb, Work.OUTPUT)
    if not can_receive(tcb.state):
        tcb.ack_now = 1  # the FIN or its like again
        if tcb.state == TcpState.TIME_WAIT and packet.flags & FIN:
            enter_time_wait(engine, tcb)
        return Event.NOTHING
    _cut_to_window(tcb, packet)
    if seq_lt(tcb.rcv_nxt, packet.sequence):
        tcb.duplicate_acks_due += 1  # at once, so that the sender learns of the gap (RFC 5681 §4.2)
        _keep(engine, tcb, packet)
        return Event.NOTHING
    if not tcb.discard and packet.payload_length and not _make_room(engine, tcb, packet.payload_length):
        counters_of(engine).drop_tcp_no_memory_packets += 1
        counters_of(engine).used_tcp_packets -= 1
        return Event.NOTHING
    return _receive_in_order(engine, tcb, packet)


@kernel
def _keep(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    """Keep what came too early, and note what to say of it."""
    sequence, length = packet.sequence, packet.payload_length
    kept = keep_early(engine, tcb, packet)
    if tcb.sack_permitted and kept != Kept.NOT:
        note_early(engine, tcb, sequence)
    return note_duplicate(tcb, sequence, length if kept == Kept.BEFORE else 0)


@kernel
def _make_room(engine: Engine, tcb: Tcb, length: int) -> int:
    """Return 1 if there is memory for bytes in order, for which the connection gives up what came too early.

    Kept segments wait for just these bytes: where pools are full of them, refusing the bytes would stop all for ever.
    The peer sends them again, as nothing has said that they arrived (RFC 9293 §3.10.7.4 lets a receiver drop them).
    """
    if has_memory(engine, length):
        return 1
    if tcb.out_of_order == NO_FRAME:
        return 0
    clear_early(engine, tcb)
    return has_memory(engine, length)


@kernel
def _cut_to_window(tcb: Tcb, packet: Packet) -> int:
    """Leave of the segment what is new and lies in the window; a FIN beyond the window is cut off too."""
    known = seq_diff(tcb.rcv_nxt, packet.sequence)
    if known > 0:
        known = min(known, packet.payload_length)
        note_duplicate(tcb, packet.sequence, known)
        packet.payload += known
        packet.payload_length -= known
        packet.sequence = seq_add(packet.sequence, known)
    room = seq_diff(tcb.rcv_edge, packet.sequence)
    if packet.payload_length > room:
        packet.payload_length = room
        packet.flags &= ~FIN
    return 0


@kernel
def _receive_in_order(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    events = 0
    length = packet.payload_length
    if length:
        events |= Event.DATA
        advance_receive(engine, tcb, length)
        note_received(engine, tcb)
        tcb.ack_pending += 1 if length <= FRAME_SIZE else 2
        # RFC 5681 §4.2: every second full segment at once, and at once what fills a gap.
        if tcb.ack_pending >= 2 or tcb.out_of_order != NO_FRAME or engine.delayed_ack_us == 0:
            tcb.ack_now = 1
        elif tcb.ack_at == 0:
            tcb.ack_at = engine.now + engine.delayed_ack_us
    if packet.flags & FIN and seq_add(packet.sequence, length) == tcb.rcv_nxt:
        events |= receive_fin(engine, tcb)
    return events


@kernel
def advance_receive(engine: Engine, tcb: Tcb, length: int) -> int:
    """Move over bytes that are taken in."""
    tcb.rcv_nxt = seq_add(tcb.rcv_nxt, length)
    tcb.duplicate_acks_due = 0
    tcb.received_bytes += length
    return 0


@kernel
def receive_fin(engine: Engine, tcb: Tcb) -> int:
    """Eighth step: the peer's FIN, in order."""
    tcb.rcv_nxt = seq_add(tcb.rcv_nxt, 1)
    if seq_lt(tcb.rcv_edge, tcb.rcv_nxt):
        tcb.rcv_edge = tcb.rcv_nxt
    tcb.fin_received = 1
    tcb.ack_now = 1
    if tcb.state == TcpState.ESTABLISHED:
        tcb.state = TcpState.CLOSE_WAIT
    elif tcb.state == TcpState.FIN_WAIT_1:
        _enter_closing(engine, tcb)
    else:
        enter_time_wait(engine, tcb)
    return Event.FIN


@kernel
def _enter_closing(engine: Engine, tcb: Tcb) -> int:
    """Both streams have ended: the connection has no owner any more."""
    known = is_orphan(tcb)
    tcb.state = TcpState.CLOSING
    return 0 if known else enter_orphans(engine, tcb)


@kernel
def continue_early(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    """Let the packet record name the next kept bytes that are in order now; return their frame, or NO_FRAME.

    The caller takes the bytes and then frees the frame, which stands in no list any more.
    """
    if not can_receive(tcb.state):
        return NO_FRAME
    frame = next_early(engine, tcb)
    if frame == NO_FRAME:
        return NO_FRAME
    detach_early(engine, tcb)
    meta = frame_meta(base_of(engine), frame)
    packet.payload = frame_address(base_of(engine), frame) + meta.start
    packet.payload_length = meta.end - meta.start
    advance_receive(engine, tcb, packet.payload_length)
    return frame


@kernel
def take_options(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    """Take what a SYN says: initial sequence, segment size, window scale (RFC 9293 §3.7.1, RFC 7323 §2)."""
    default = _DEFAULT_MSS if is_ipv4(packet.source_high, packet.source_low) else _DEFAULT_MSS6
    offered = packet.option_mss if packet.option_mss else default
    tcb.mss = max(
        min(offered, told_mss(engine, tcb.nic, tcb.remote_high, tcb.remote_low, mss_limit_of(engine, tcb))), _LEAST_MSS
    )
    tcb.irs = packet.sequence
    tcb.rcv_nxt = seq_add(packet.sequence, 1)
    tcb.rcv_edge = seq_add(tcb.rcv_nxt, min(engine.receive_limit, 65535))
    tcb.snd_scale = packet.option_window_scale
    tcb.rcv_scale = engine.receive_scale if packet.option_window_scale >= 0 else 0
    tcb.sack_permitted = engine.sack & packet.option_sack_permitted
    begin_timestamps(engine, tcb, packet)
    tcb.snd_wnd = packet.window  # never scaled in a SYN
    tcb.max_window = packet.window
    tcb.snd_wl1 = packet.sequence
    tcb.snd_wl2 = packet.acknowledgment
    if packet.flags & (ECE | CWR):
        ecn.take_syn_flags(engine, tcb, packet)
    begin_path(engine, tcb)
    return congestion.begin(engine, tcb)


@kernel
def _receive_syn_sent(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    """RFC 9293 §3.10.7.3."""
    counters = counters_of(engine)
    if packet.flags & ACK and packet.acknowledgment != seq_add(tcb.iss, 1):
        counters.drop_tcp_bad_acknowledgment_packets += 1
        answer_reset(engine, packet)
        return Event.NOTHING
    if packet.flags & RST:
        if not packet.flags & ACK:
            counters.drop_tcp_bad_reset_packets += 1
            return Event.NOTHING
        counters.used_tcp_packets += 1
        return Event.RESET
    if not packet.flags & SYN:
        counters.drop_tcp_no_acknowledgment_packets += 1
        return Event.NOTHING
    counters.used_tcp_packets += 1
    _heard(engine, tcb, packet)
    take_options(engine, tcb, packet)
    tcb.ack_now = 1
    mark(engine, tcb, Work.OUTPUT)
    if not packet.flags & ACK:  # both ends opened at once
        tcb.state = TcpState.SYN_RECEIVED
        enter_half_open(engine, tcb)
        tcb.snd_nxt = tcb.iss
        return Event.NOTHING
    _syn_acknowledged(engine, tcb, packet)
    return Event.ESTABLISHED
