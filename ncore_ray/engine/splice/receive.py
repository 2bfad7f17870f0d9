"""What becomes of a segment that belongs to a spliced pair.

While segments only go on, nothing is marked as being changed (`engine/change.py`), as `judge.note` says. Handshakes and
ends are.
"""

from __future__ import annotations

from ncore_ray.engine.change import begin_change, end_change
from ncore_ray.engine.connection import Role, Tcb, Work, mark, peer_of, tcb_of
from ncore_ray.engine.half_open import leave_half_open
from ncore_ray.engine.ip.header import headers_to, pseudo_to, write_headers_to
from ncore_ray.engine.lifecycle import destroy
from ncore_ray.engine.partition import Engine, base_of, counters_of
from ncore_ray.engine.splice.closing import abandon, doubt, end_by_reset, end_streams, settle_doubt
from ncore_ray.engine.splice.forward import forward
from ncore_ray.engine.splice.judge import is_acceptable, is_exact_reset, is_over, is_plausible_reset, left_edge, note
from ncore_ray.engine.splice.opening import answer_client, take_answer, try_another
from ncore_ray.engine.splice.words import words_of
from ncore_ray.engine.tcp.challenge import may_challenge
from ncore_ray.engine.tcp.segment import answer_reset
from ncore_ray.engine.tcp.sequence import seq_add
from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.engine.transmit import header_address, slots_left, take_slot
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.service import vserver_of
from ncore_ray.wire.ipv4 import PROTOCOL_TCP
from ncore_ray.wire.packet import Packet
from ncore_ray.wire.tcp import ACK, RST, SYN, TCP_HEADER, finish_tcp_checksum, write_tcp


@kernel
def receive_spliced(engine: Engine, packet: Packet, number: int) -> int:
    """Take a segment for one side of a spliced pair, by its number plus 1."""
    tcb = tcb_of(engine, number - 1)
    if not tcb.peer:
        return _left_alone(engine, packet, number)
    peer = peer_of(engine, tcb)
    if tcb.state == TcpState.SPLICE_OPENING:
        begin_change(engine, number)
        _opening(engine, tcb, peer, packet)
        return end_change(engine)
    if packet.flags & SYN:
        return _take_syn(engine, tcb, peer, packet)
    if packet.flags & RST:
        return _take_reset(engine, tcb, peer, packet)
    if not is_acceptable(engine, tcb, peer, packet):
        return 0
    if tcb.state == TcpState.SPLICE_ANSWERED and tcb.role == Role.CLIENT:
        _establish(engine, tcb, peer, number)
    return _pass_on(engine, tcb, peer, packet)


@kernel
def _pass_on(engine: Engine, tcb: Tcb, peer: Tcb, packet: Packet) -> int:
    note(engine, tcb, peer, packet)
    if words_of(tcb).doubted | words_of(peer).doubted:
        settle_doubt(engine, tcb, peer)
    counters_of(engine).used_tcp_packets += forward(engine, tcb, peer, packet)
    if tcb.state == TcpState.SPLICED and is_over(tcb, peer):
        end_streams(engine, tcb, peer)
    return 0


@kernel
def _left_alone(engine: Engine, packet: Packet, number: int) -> int:
    """The other side is gone, because its record was needed: so is this one now."""
    begin_change(engine, number)
    destroy(engine, tcb_of(engine, number - 1))
    counters_of(engine).drop_tcp_no_connection_packets += 1
    answer_reset(engine, packet)
    return end_change(engine)


@kernel
def _opening(engine: Engine, tcb: Tcb, peer: Tcb, packet: Packet) -> int:
    """Take a segment while the service has not answered yet."""
    if tcb.role == Role.CLIENT:
        return _opening_client(engine, tcb, peer, packet)
    counters = counters_of(engine)
    answers = packet.flags & ACK and packet.acknowledgment == seq_add(tcb.iss, 1)
    if answers and packet.flags & RST:
        counters.used_tcp_packets += 1
        return try_another(engine, tcb)
    if answers and packet.flags & SYN:
        counters.used_tcp_packets += 1
        return take_answer(engine, peer, tcb, packet)
    if packet.flags & RST:
        counters.drop_tcp_bad_reset_packets += 1
        return 0
    counters.drop_tcp_bad_acknowledgment_packets += 1
    return answer_reset(engine, packet) if packet.flags & ACK else 0  # of a former connection (RFC 9293 §3.5.1)


@kernel
def _opening_client(engine: Engine, tcb: Tcb, peer: Tcb, packet: Packet) -> int:
    """The client says its SYN again, which goes on by a timer of ours, or gives up."""
    counters = counters_of(engine)
    if packet.flags & RST and packet.sequence == tcb.rcv_nxt:
        counters.used_tcp_packets += 1
        return abandon(engine, tcb, peer)
    if packet.flags & RST:
        counters.drop_tcp_bad_reset_packets += 1
    elif packet.flags & (SYN | ACK) == SYN and packet.sequence == tcb.irs:
        counters.used_tcp_packets += 1
    else:
        counters.drop_tcp_bad_acknowledgment_packets += 1
    return 0


@kernel
def _establish(engine: Engine, client: Tcb, server: Tcb, number: int) -> int:
    """The client has acknowledged the service's answer."""
    begin_change(engine, number)
    leave_half_open(engine, client)
    client.state = server.state = TcpState.SPLICED
    client.application_at = engine.now + vserver_of(base_of(engine), client.vserver).client_idle_us
    server.application_at = 0
    mark(engine, client, Work.OUTPUT)
    counters_of(engine).spliced_connections += 1
    return end_change(engine)


@kernel
def _take_syn(engine: Engine, tcb: Tcb, peer: Tcb, packet: Packet) -> int:
    """A SYN said again by who has no answer to it; any other has its sender prove itself (RFC 5961 §4.2)."""
    counters = counters_of(engine)
    again = packet.sequence == tcb.irs
    if again and tcb.role == Role.SERVER and packet.flags & ACK:
        counters.used_tcp_packets += 1
        return answer_client(engine, peer, tcb)
    if again and tcb.state == TcpState.SPLICE_ANSWERED:
        counters.used_tcp_packets += 1
        return answer_client(engine, tcb, peer)
    counters.drop_tcp_unexpected_syn_packets += 1
    if slots_left(engine) and may_challenge(engine, tcb):
        _acknowledge(engine, tcb, peer)
    return 0


@kernel
def _acknowledge(engine: Engine, tcb: Tcb, peer: Tcb) -> int:
    """Say to one side where the other stands."""
    before = headers_to(tcb)
    index = take_slot(engine, tcb.nic, before + TCP_HEADER)
    at = header_address(engine, index)
    at += write_headers_to(engine, tcb, at, PROTOCOL_TCP, TCP_HEADER)
    window = min(peer.snd_wnd >> max(tcb.rcv_scale, 0), 0xFFFF)
    ports = tcb.ports
    write_tcp(at, ports >> 8 & 0xFFFF, ports >> 24, tcb.snd_max, left_edge(tcb, peer), ACK, window, TCP_HEADER)
    return finish_tcp_checksum(at, TCP_HEADER, pseudo_to(tcb, PROTOCOL_TCP, TCP_HEADER))


@kernel
def _take_reset(engine: Engine, tcb: Tcb, peer: Tcb, packet: Packet) -> int:
    """Pass a reset on if it is in the window. The other side may heed it or not, so only a sure one ends the pair."""
    if not is_plausible_reset(tcb, peer, packet):
        counters_of(engine).drop_tcp_bad_reset_packets += 1
        return 0
    is_sure = tcb.state == TcpState.SPLICE_ENDED or is_exact_reset(tcb, peer, packet)
    counters_of(engine).used_tcp_packets += forward(engine, tcb, peer, packet)
    return end_by_reset(engine, tcb) if is_sure else doubt(engine, tcb, peer)
