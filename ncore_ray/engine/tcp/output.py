"""What a connection sends now: SYN, data as the windows allow, FIN, acknowledgments (RFC 9293 §3.8)."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ncore_ray.arena.frame import frame_meta
from ncore_ray.engine.buffer import NO_FRAME
from ncore_ray.engine.connection import Tcb, send_chain
from ncore_ray.engine.partition import Engine, base_of, counters_of
from ncore_ray.engine.tcp import congestion
from ncore_ray.engine.tcp.acknowledge import fin_sequence
from ncore_ray.engine.tcp.segment import receive_room, send_segment, send_syn
from ncore_ray.engine.tcp.sequence import seq_add, seq_diff, seq_le, seq_lt, seq_max
from ncore_ray.engine.tcp.state import TcpState, can_receive, can_send
from ncore_ray.engine.transmit import SPARE_SLOTS, resolve, slots_left
from ncore_ray.machine.jit import kernel
from ncore_ray.wire.tcp import ACK, FIN, PSH, SYN

RESOLVE_RETRY_US: Final = 5_000
"""How soon a packet is tried again whose next hop's link-layer address is being asked for."""


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
    if not _has_something(engine, tcb):
        return Output.DONE
    if slots_left(engine) <= SPARE_SLOTS:
        return Output.BLOCKED
    if not resolve(engine, tcb):
        counters_of(engine).drop_send_no_neighbour_packets += 1
        counters_of(engine).made_packets += 1
        tcb.retransmit_at = engine.now + RESOLVE_RETRY_US
        tcb.unresolved = 1
        return Output.DONE
    tcb.unresolved = 0
    if tcb.state <= TcpState.SYN_RECEIVED:
        return _output_syn(engine, tcb)
    if tcb.resend:
        _resend(engine, tcb)
    blocked = _output_data(engine, tcb) if can_send(tcb.state) else Output.DONE
    if tcb.keepalive_due:
        tcb.keepalive_due = 0
        send_segment(engine, tcb, seq_add(tcb.snd_nxt, -1), 0, 0)  # RFC 1122 §4.2.3.6
    if tcb.ack_now:
        _send_acknowledgment(engine, tcb)
    return blocked


@kernel
def _has_something(engine: Engine, tcb: Tcb) -> int:
    if tcb.state <= TcpState.SYN_RECEIVED:
        return 1 if tcb.snd_nxt == tcb.iss else 0
    if not tcb.ack_now and _window_update_due(engine, tcb):
        tcb.ack_now = 1
    if tcb.ack_now or tcb.resend or tcb.keepalive_due:
        return 1
    return 1 if can_send(tcb.state) and _unsent(tcb) > 0 else 0


@kernel
def _unsent(tcb: Tcb) -> int:
    """Return the bytes behind `snd_nxt`, with 1 for a FIN that has not gone out."""
    return seq_diff(fin_sequence(tcb), tcb.snd_nxt) + (1 if tcb.fin_wanted else 0)


@kernel
def _window_update_due(engine: Engine, tcb: Tcb) -> int:
    """RFC 9293 §3.8.6.2.2: tell of a larger window only when it grew by a good part."""
    if not can_receive(tcb.state):
        return 0
    known = seq_diff(tcb.rcv_edge, tcb.rcv_nxt)
    gain = receive_room(engine, tcb) - known
    return 1 if known <= engine.receive_limit >> 1 and gain >= min(engine.receive_limit >> 2, 8 * tcb.mss) else 0


@kernel
def _start_timer(engine: Engine, tcb: Tcb) -> int:
    if tcb.retransmit_at == 0:
        tcb.retransmit_at = engine.now + tcb.rto
    return 0


@kernel
def _output_syn(engine: Engine, tcb: Tcb) -> int:
    send_syn(engine, tcb, SYN if tcb.state == TcpState.SYN_SENT else SYN | ACK)
    tcb.snd_nxt = seq_add(tcb.iss, 1)
    tcb.snd_max = tcb.snd_nxt
    if tcb.retransmissions == 0:
        tcb.rtt_started_at = engine.now
        tcb.rtt_sequence = tcb.iss
    tcb.retransmit_at = engine.now + tcb.rto
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
    tcb.sent_bytes += taken
    tcb.last_sent_at = engine.now
    if fin and taken == length:
        _fin_sent(tcb)
        taken += 1
    if seq_lt(sequence, tcb.snd_max):
        counters_of(engine).retransmitted_segments += 1
    elif tcb.rtt_started_at == 0:
        tcb.rtt_started_at = engine.now
        tcb.rtt_sequence = sequence
    return taken


@kernel
def _fin_sent(tcb: Tcb) -> int:
    if tcb.state == TcpState.ESTABLISHED:
        tcb.state = TcpState.FIN_WAIT_1
    elif tcb.state == TcpState.CLOSE_WAIT:
        tcb.state = TcpState.LAST_ACK
    return 0


@kernel
def _resend(engine: Engine, tcb: Tcb) -> int:
    """Send the oldest unacknowledged segment again, whatever the windows say (RFC 5681 §3.2)."""
    tcb.resend = 0
    tcb.rtt_started_at = 0
    end = fin_sequence(tcb)
    length = min(tcb.mss, seq_diff(end, tcb.snd_una), seq_diff(tcb.snd_max, tcb.snd_una))
    fin = tcb.fin_wanted and seq_add(tcb.snd_una, max(length, 0)) == end and seq_lt(end, tcb.snd_max)
    if length > 0 or fin:
        _send_at(engine, tcb, tcb.snd_una, max(length, 0), 1 if fin else 0)
        tcb.retransmit_at = engine.now + tcb.rto
    return 0


@kernel
def _output_data(engine: Engine, tcb: Tcb) -> int:
    if tcb.snd_una == tcb.snd_max and tcb.last_sent_at and engine.now - tcb.last_sent_at > tcb.rto:
        congestion.on_restart(engine, tcb)
    end = fin_sequence(tcb)
    while _unsent(tcb) > 0:
        waiting = seq_diff(end, tcb.snd_nxt)
        usable = min(tcb.cwnd, tcb.snd_wnd) - seq_diff(tcb.snd_nxt, tcb.snd_una)
        if tcb.probe_now:
            usable = max(usable, 1)
            tcb.probe_now = 0
        elif usable > 0:
            tcb.probing = 0  # the window is open: from here on the timer guards data again
        length = max(min(tcb.mss, waiting, usable), 0)
        fin = 1 if tcb.fin_wanted and length == waiting else 0
        if length == 0 and (not fin or usable < 0):
            break
        # Sender's silly window avoidance (RFC 9293 §3.8.6.2.1): no small segment because of a small window.
        if length < waiting and length < tcb.mss and length < tcb.snd_wnd >> 1 and tcb.snd_una != tcb.snd_nxt:
            break
        if slots_left(engine) <= SPARE_SLOTS:
            return Output.BLOCKED
        taken = _send_at(engine, tcb, tcb.snd_nxt, length, fin)
        if taken == 0:
            break
        tcb.snd_nxt = seq_add(tcb.snd_nxt, taken)
        tcb.snd_max = seq_max(tcb.snd_max, tcb.snd_nxt)
        _start_timer(engine, tcb)
    return _start_persist(engine, tcb)


@kernel
def _start_persist(engine: Engine, tcb: Tcb) -> int:
    """Begin to probe a closed window when nothing is on its way (RFC 9293 §3.8.6.1)."""
    if _unsent(tcb) > 0 and tcb.snd_una == tcb.snd_max and tcb.retransmit_at == 0:
        tcb.probing = 1
        tcb.retransmit_at = engine.now + tcb.rto
    return Output.DONE


@kernel
def _send_acknowledgment(engine: Engine, tcb: Tcb) -> int:
    sequence = tcb.snd_nxt if seq_le(tcb.snd_max, tcb.snd_nxt) else tcb.snd_max
    send_segment(engine, tcb, sequence, 0, 0)
    return 0
