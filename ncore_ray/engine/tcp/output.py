"""What a connection sends now: SYN, data as the windows allow, FIN, acknowledgments (RFC 9293 §3.8)."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ncore_ray.arena.frame import frame_meta
from ncore_ray.engine.buffer import NO_FRAME
from ncore_ray.engine.connection import Tcb, send_chain
from ncore_ray.engine.orphans import enter_orphans, is_orphan
from ncore_ray.engine.partition import Engine, base_of, counters_of
from ncore_ray.engine.tcp import congestion
from ncore_ray.engine.tcp.acknowledge import fin_sequence, leave_probing
from ncore_ray.engine.tcp.pace import is_paced, may_send, most_at_once, note_paced
from ncore_ray.engine.tcp.path import forget_probe, next_probe, note_probe, room_for_probe
from ncore_ray.engine.tcp.rate import note_idle, note_sending
from ncore_ray.engine.tcp.scoreboard import NO_HOLE, first_lost, hole_length, in_flight, past_sacked
from ncore_ray.engine.tcp.segment import (
    most_payload,
    send_acknowledgment,
    send_segment,
    send_syn,
    window_gain,
    window_step,
)
from ncore_ray.engine.tcp.sequence import seq_add, seq_diff, seq_lt, seq_max
from ncore_ray.engine.tcp.small import forget_wait, waits_for_company
from ncore_ray.engine.tcp.spans import note_sent, span_end, span_of
from ncore_ray.engine.tcp.spurious import is_holding_back
from ncore_ray.engine.tcp.state import TcpState, Wait, can_receive, can_send
from ncore_ray.engine.tcp.tail import TailProbe, set_tail_timer
from ncore_ray.engine.transmit import SPARE_SLOTS, resolve, slots_left
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.service import Congestion
from ncore_ray.wire.tcp import ACK, FIN, PSH, SYN

_ENOUGH_WINDOW: Final = 32 << 10
"""A peer that may send so much is not held up: no segment goes out only to tell of a larger window."""
_ENOUGH_DUPLICATES: Final = 3
_RESOLVE_RETRY_US: Final = 5_000
"""How soon a packet is tried again whose next hop's link-layer address is being asked for."""
_RESOLVE_TRIES: Final = 32
"""After each quarter of so many tries the next is twice as late: thousands of connections that wait for a host that is
away must not keep the engine busy."""
_RESOLVE_LATEST_US: Final = _RESOLVE_RETRY_US << 4


class Output(IntEnum):
    """How far a connection got."""

    DONE = 0
    BLOCKED = 1
    """No slot is left: again after the flush."""


@kernel
def tcp_output(engine: Engine, tcb: Tcb) -> int:
    """Send everything that may be sent now; return an `Output`."""
    if tcb.state == TcpState.CLOSED:
        return Output.DONE
    if tcb.pace_waits:
        forget_wait(engine, tcb)
    if not _has_something(engine, tcb):
        return Output.DONE
    if slots_left(engine) <= SPARE_SLOTS:
        return Output.BLOCKED
    if not resolve(engine, tcb):
        return _wait_for_neighbour(engine, tcb)
    if tcb.unresolved:
        tcb.unresolved = 0
        tcb.retransmit_at = engine.now + tcb.rto if tcb.snd_una != tcb.snd_max else 0
    if tcb.state <= TcpState.SYN_RECEIVED:
        return _output_syn(engine, tcb) if tcb.snd_nxt == tcb.iss else _send_acknowledgments(engine, tcb)
    if tcb.resend:
        _resend(engine, tcb)
    if tcb.in_recovery and tcb.sack_permitted:
        _fill_holes(engine, tcb)
    if tcb.probe_tail:
        _probe_tail(engine, tcb)
    blocked = _output_data(engine, tcb) if can_send(tcb.state) else Output.DONE
    if tcb.keepalive_due:
        tcb.keepalive_due = 0
        send_segment(engine, tcb, seq_add(tcb.snd_nxt, -1), 0, 0)  # RFC 1122 §4.2.3.6
    _send_acknowledgments(engine, tcb)
    return blocked


@kernel
def _wait_for_neighbour(engine: Engine, tcb: Tcb) -> int:
    """What should go out stays unsent, and is tried again soon."""
    if not tcb.unresolved:
        counters_of(engine).drop_send_no_neighbour_packets += 1
        counters_of(engine).made_packets += 1
    elif 0 < tcb.retransmit_at - engine.now <= _RESOLVE_LATEST_US:
        return Output.DONE  # the next try is set
    tcb.retransmit_at = engine.now + (_RESOLVE_RETRY_US << (tcb.unresolved >> 3))
    tcb.unresolved = min(tcb.unresolved + 1, _RESOLVE_TRIES)
    return Output.DONE


@kernel
def _has_something(engine: Engine, tcb: Tcb) -> int:
    if tcb.state <= TcpState.SYN_RECEIVED:
        return 1 if tcb.snd_nxt == tcb.iss or tcb.ack_now else 0
    if not tcb.ack_now and _window_update_due(engine, tcb):
        tcb.ack_now = 1
    if tcb.ack_now or tcb.resend or tcb.keepalive_due or tcb.duplicate_acks_due or tcb.in_recovery or tcb.probe_tail:
        return 1
    return 1 if can_send(tcb.state) and (_unsent(tcb) > 0 or tcb.probing) else 0


@kernel
def _unsent(tcb: Tcb) -> int:
    """Return the bytes behind `snd_nxt`, with 1 for a FIN that has not gone out."""
    return seq_diff(fin_sequence(tcb), tcb.snd_nxt) + (1 if tcb.fin_wanted else 0)


@kernel
def _window_update_due(engine: Engine, tcb: Tcb) -> int:
    """RFC 9293 §3.8.6.2.2: tell of a larger window only when it grew by a good part."""
    if not can_receive(tcb.state):
        return 0
    quarter = min(engine.receive_limit >> 2, _ENOUGH_WINDOW)
    step = window_step(engine, tcb)
    if seq_diff(tcb.rcv_edge, tcb.rcv_nxt) >= max(quarter, step):
        return 0  # the peer is not held up
    return 1 if window_gain(engine, tcb, tcb.rcv_scale) >= max(min(quarter, 8 * tcb.mss), step) else 0


@kernel
def _start_timer(engine: Engine, tcb: Tcb) -> int:
    if tcb.retransmit_at == 0:
        tcb.retransmit_at = engine.now + tcb.rto
    return 0


@kernel
def _output_syn(engine: Engine, tcb: Tcb) -> int:
    send_syn(engine, tcb, SYN if tcb.state == TcpState.SYN_SENT else SYN | ACK)
    if tcb.snd_max == tcb.iss:
        tcb.rtt_started_at = engine.now
        tcb.rtt_sequence = tcb.iss
    else:
        tcb.rtt_started_at = 0  # Karn: which of the two is acknowledged cannot be told
        counters_of(engine).retransmitted_segments += 1
    tcb.snd_nxt = seq_add(tcb.iss, 1)
    tcb.snd_max = tcb.snd_nxt
    _start_timer(engine, tcb)
    return Output.DONE


@kernel
def _seek(engine: Engine, tcb: Tcb, sequence: int) -> int:
    """Put the cursor on the frame that holds the byte ``sequence``; return 0 if there is none."""
    if not tcb.cursor_valid or seq_lt(sequence, tcb.cursor_sequence):
        tcb.cursor_frame = send_chain(tcb).first
        tcb.cursor_sequence = tcb.send_base
        tcb.cursor_valid = 1
    while tcb.cursor_frame != NO_FRAME:
        meta = frame_meta(base_of(engine), tcb.cursor_frame)
        held = meta.end - meta.start
        if seq_diff(sequence, tcb.cursor_sequence) < held:
            return 1
        if meta.next == NO_FRAME:
            return 0
        tcb.cursor_frame = meta.next
        tcb.cursor_sequence = seq_add(tcb.cursor_sequence, held)
    tcb.cursor_valid = 0
    return 0


@kernel
def _send_at(engine: Engine, tcb: Tcb, sequence: int, length: int, fin: int) -> int:
    """Send up to ``length`` bytes from ``sequence`` on, and the FIN behind them; return the sequence space used."""
    if length > 0 and not _seek(engine, tcb, sequence):
        return 0
    flags = PSH if seq_add(sequence, length) == fin_sequence(tcb) and length > 0 else 0
    taken = send_segment(engine, tcb, sequence, flags | (FIN if fin else 0), length)
    if engine.pacing or tcb.congestion == Congestion.BBR:
        _note_rate(engine, tcb, taken)
    tcb.sent_bytes += taken
    tcb.sent_in_recovery += taken
    tcb.last_sent_at = engine.now
    if fin and taken == length:
        _fin_sent(engine, tcb)
        taken += 1
    if tcb.sack_permitted and taken > 0:
        note_sent(engine, tcb, sequence, taken)
    if seq_lt(sequence, tcb.snd_max):
        counters_of(engine).retransmitted_segments += 1
    elif tcb.rtt_started_at == 0:
        tcb.rtt_started_at = engine.now
        tcb.rtt_sequence = sequence
    return taken


@kernel
def _note_rate(engine: Engine, tcb: Tcb, taken: int) -> int:
    if tcb.congestion == Congestion.BBR and tcb.rate_block == 0:
        congestion.on_first_sending(engine, tcb)
    note_paced(engine, tcb, taken)
    return note_sending(engine, tcb) if tcb.rate_block else 0


@kernel
def _fin_sent(engine: Engine, tcb: Tcb) -> int:
    if tcb.state == TcpState.ESTABLISHED:
        tcb.state = TcpState.FIN_WAIT_1
    elif tcb.state == TcpState.CLOSE_WAIT:
        known = is_orphan(tcb)
        tcb.state = TcpState.LAST_ACK
        return 0 if known else enter_orphans(engine, tcb)
    return 0


@kernel
def _resend(engine: Engine, tcb: Tcb) -> int:
    """Send the oldest segment that is lost, or unacknowledged, again, whatever the windows say (RFC 5681 §3.2)."""
    tcb.resend = 0
    index = first_lost(engine, tcb)
    if index != NO_HOLE:
        return _resend_span(engine, tcb, index)
    return _send_again(engine, tcb, tcb.snd_una, min(tcb.mss, seq_diff(tcb.snd_max, tcb.snd_una)))


@kernel
def _resend_span(engine: Engine, tcb: Tcb, index: int) -> int:
    """Send up to a segment of a lost span again; return what was sent."""
    start = span_of(engine, tcb, index).start
    return _send_again(engine, tcb, start, min(tcb.mss, seq_diff(span_end(engine, tcb, index), start)))


@kernel
def _send_again(engine: Engine, tcb: Tcb, sequence: int, length: int) -> int:
    """Send up to ``length`` of what went out before from ``sequence`` on, a FIN included; return what was sent."""
    end = fin_sequence(tcb)
    forget_probe(tcb, engine.now)
    tcb.rtt_started_at = 0  # Karn: which of the two is acknowledged cannot be told
    length = max(min(length, seq_diff(end, sequence)), 0)
    fin = tcb.fin_wanted and seq_add(sequence, length) == end and seq_lt(end, tcb.snd_max)
    if length == 0 and not fin:
        return 0
    taken = _send_at(engine, tcb, sequence, length, 1 if fin else 0)
    tcb.retransmit_at = engine.now + tcb.rto
    return taken


@kernel
def _fill_holes(engine: Engine, tcb: Tcb) -> int:
    """Send again what is lost, as far as the window of the recovery allows (RFC 6675 §5, step C)."""
    while slots_left(engine) > SPARE_SLOTS and not is_holding_back(tcb):
        index = first_lost(engine, tcb)
        if index == NO_HOLE:
            return 0
        length = min(tcb.mss, seq_diff(span_end(engine, tcb, index), span_of(engine, tcb, index).start))
        if in_flight(tcb) + length > tcb.cwnd or (is_paced(engine, tcb) and not may_send(engine, tcb)):
            return 0
        if _resend_span(engine, tcb, index) == 0:
            return 0
    return 0


@kernel
def _probe_tail(engine: Engine, tcb: Tcb) -> int:
    """Send a tail loss probe: new bytes if the peer's window has room, or the last segment again (RFC 8985 §7.3)."""
    tcb.probe_tail = 0
    if tcb.snd_una == tcb.snd_max:
        return 0
    length = min(tcb.mss, seq_diff(fin_sequence(tcb), tcb.snd_nxt))
    room = tcb.snd_wnd - seq_diff(tcb.snd_max, tcb.snd_una)
    if tcb.snd_nxt == tcb.snd_max and 0 < length <= room:
        tcb.tail_probe = TailProbe.NEW
        tcb.snd_nxt = seq_add(tcb.snd_nxt, _send_at(engine, tcb, tcb.snd_nxt, length, 0))
        tcb.snd_max = tcb.snd_nxt
    else:
        tcb.tail_probe = TailProbe.AGAIN
        at = seq_max(tcb.snd_una, seq_add(tcb.snd_max, -tcb.mss))
        taken = 1
        while taken > 0 and at != tcb.snd_max:  # in two segments where the bytes lie in too many frames for one
            taken = _send_again(engine, tcb, at, seq_diff(tcb.snd_max, at))
            at = seq_add(at, taken)
    tcb.tail_end = tcb.snd_max
    tcb.retransmit_at = engine.now + tcb.rto
    counters_of(engine).tail_loss_probes += 1
    return 0


@kernel
def _output_data(engine: Engine, tcb: Tcb) -> int:
    if tcb.snd_una == tcb.snd_max and tcb.last_sent_at and engine.now - tcb.last_sent_at > tcb.rto:
        congestion.on_restart(engine, tcb)
    if tcb.probing and not tcb.probe_now and tcb.snd_wnd > 0:
        tcb.snd_nxt = tcb.snd_una  # the peer may have thrown the probe's byte away
    if tcb.mtu_search and _probe_path(engine, tcb):
        return Output.DONE
    paced = is_paced(engine, tcb)
    most = most_payload(engine, tcb)
    if paced:
        most = most_at_once(engine, tcb, most)
    while _unsent(tcb) > 0:
        if tcb.sacked_bytes and seq_lt(tcb.snd_nxt, tcb.snd_max):
            tcb.snd_nxt = past_sacked(engine, tcb, tcb.snd_nxt)
            most = hole_length(engine, tcb, tcb.snd_nxt, most)
        waiting = seq_diff(fin_sequence(tcb), tcb.snd_nxt)
        sent = seq_diff(tcb.snd_nxt, tcb.snd_una)
        window = tcb.snd_wnd - sent
        length = max(min(most, waiting, window, congestion.send_allowance(engine, tcb) - sent), 0)
        if tcb.mss < length < waiting:
            length -= length % tcb.mss
        if tcb.probe_now:
            length = max(length, min(waiting, 1))
        fin = 1 if tcb.fin_wanted and length == waiting and (window > length or tcb.probe_now) else 0
        if not fin and (length == 0 or _is_silly(tcb, length, waiting)):
            break
        if slots_left(engine) <= SPARE_SLOTS:
            return Output.BLOCKED
        if length < tcb.mss and not fin and (engine.nagle or engine.cork_us) and not tcb.probe_now:
            if waits_for_company(engine, tcb):
                return Output.DONE
        if paced and not tcb.probe_now and not may_send(engine, tcb):
            return Output.DONE
        if tcb.probing and not tcb.probe_now:
            leave_probing(engine, tcb)
        tcb.probe_now = 0
        tcb.pace_waits = Wait.NONE
        taken = _send_at(engine, tcb, tcb.snd_nxt, length, fin)
        if taken == 0:
            break
        tcb.snd_nxt = seq_add(tcb.snd_nxt, taken)
        tcb.snd_max = seq_max(tcb.snd_max, tcb.snd_nxt)
        _start_timer(engine, tcb)
        if tcb.sack_permitted:
            set_tail_timer(engine, tcb)
    tcb.probe_now = 0
    if tcb.rate_block and _unsent(tcb) == 0 and in_flight(tcb) < tcb.cwnd:
        note_idle(engine, tcb)
    return _start_persist(engine, tcb)


@kernel
def _probe_path(engine: Engine, tcb: Tcb) -> int:
    """Send a segment that tries whether the way takes longer ones, if it is time for that (RFC 4821 §7.4).

    Returns 1 if all else has to wait: the next acknowledgment makes room for the probe.
    """
    length = next_probe(engine, tcb)
    if length == 0 or slots_left(engine) <= SPARE_SLOTS or (is_paced(engine, tcb) and not may_send(engine, tcb)):
        return 0
    window = min(tcb.snd_wnd, congestion.send_allowance(engine, tcb))
    if min(window, seq_diff(fin_sequence(tcb), tcb.snd_nxt)) < room_for_probe(tcb, length):
        return 0
    if window - seq_diff(tcb.snd_nxt, tcb.snd_una) < length:
        return 1
    usual = tcb.mss
    tcb.mss = length  # so that no NIC cuts it
    taken = _send_at(engine, tcb, tcb.snd_nxt, length, 0)
    tcb.mss = usual
    tcb.snd_nxt = tcb.snd_max = seq_add(tcb.snd_nxt, taken)
    _start_timer(engine, tcb)
    if taken > usual:
        note_probe(engine, tcb, taken)
    return 0


@kernel
def _is_silly(tcb: Tcb, length: int, waiting: int) -> int:
    """No small segment because of a small window, until the persist timer asks for one (RFC 9293 §3.8.6.2.1)."""
    if tcb.probe_now or length >= waiting or length >= tcb.mss:
        return 0
    return 1 if length < tcb.max_window >> 1 else 0


@kernel
def _start_persist(engine: Engine, tcb: Tcb) -> int:
    """Begin to probe a window that lets nothing through when nothing is on its way (RFC 9293 §3.8.6.1)."""
    if tcb.retransmit_at == 0 and tcb.snd_una == tcb.snd_nxt and _unsent(tcb) > 0:
        tcb.probing = 1
        tcb.retransmit_at = engine.now + tcb.rto
    return Output.DONE


@kernel
def _send_acknowledgments(engine: Engine, tcb: Tcb) -> int:
    """Send what is due: one, or one for each segment that came too early, by which the peer counts (RFC 5681 §4.2).

    With SACK the blocks, which are the same in all of them, say it, and each costs walks along the early segments:
    three of them for a peer that has lost its scoreboard, and counts.
    """
    count = max(tcb.duplicate_acks_due, 1 if tcb.ack_now else 0)
    if tcb.sack_permitted:
        count = min(count, _ENOUGH_DUPLICATES)
    tcb.duplicate_acks_due = 0
    for i in range(count):
        if i > 0 and slots_left(engine) <= SPARE_SLOTS:
            break
        send_acknowledgment(engine, tcb, seq_max(tcb.snd_nxt, tcb.snd_max))
    return Output.DONE
