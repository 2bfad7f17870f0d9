"""One received packet on its way up: Ethernet, ARP, IPv4 or IPv6, and on to ICMP, UDP or TCP."""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.core import Drain
from ncore_ray.arena.frame import (
    FRAME_SIZE,
    descriptor_checksum,
    descriptor_frame,
    descriptor_length,
    descriptor_queue,
    frame_address,
)
from ncore_ray.arena.rings import nic_of_queue
from ncore_ray.engine.any.session import forward_query, receive_other
from ncore_ray.engine.application import on_events, on_lost
from ncore_ray.engine.buffer import NO_FRAME, free_frame
from ncore_ray.engine.change import NEW_ONE, begin_change, end_change
from ncore_ray.engine.connection import Role, Tcb, find_connection, make_ports, tcb_of
from ncore_ray.engine.handshake.admit import NO_COOKIE, begin_handshake, end_handshake
from ncore_ray.engine.handshake.early_data import take_early_data
from ncore_ray.engine.ip.arp import receive_arp
from ncore_ray.engine.ip.bridge import pass_on
from ncore_ray.engine.ip.icmp import NOT_FOUND, is_hard_error, next_hop_mtu, quoted_sequence, receive_icmp
from ncore_ray.engine.ip.icmpv6 import quoted6_sequence, receive_icmpv6
from ncore_ray.engine.ip.reassembly import reassemble
from ncore_ray.engine.ip.too_big import take_report
from ncore_ray.engine.lifecycle import destroy, forget_stray
from ncore_ray.engine.offer import LEAST_KEPT, end_offer, offer_frame
from ncore_ray.engine.partition import Engine, base_of, counters_of
from ncore_ray.engine.pieces import piece_address, piece_length
from ncore_ray.engine.splice.errors import take_error
from ncore_ray.engine.splice.receive import receive_spliced
from ncore_ray.engine.tcp.receive import Event, continue_early, receive_segment
from ncore_ray.engine.tcp.segment import answer_reset
from ncore_ray.engine.tcp.sequence import seq_le, seq_lt
from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.engine.tcp.user import number_after
from ncore_ray.engine.udp.session import receive_udp
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.own_address import AddressKind, find_address
from ncore_ray.tables.service import NO_VSERVER, find_vserver
from ncore_ray.wire.address import ipv4_of
from ncore_ray.wire.ethernet import TYPE_ARP, TYPE_IPV4, TYPE_IPV6, read_ethernet
from ncore_ray.wire.icmp import icmp_type, is_too_big, quoted_length, told_mtu
from ncore_ray.wire.icmpv6 import PACKET_TOO_BIG, UNREACHABLE6, quoted6_length, told_mtu6
from ncore_ray.wire.ipv4 import PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP, read_ipv4
from ncore_ray.wire.ipv6 import LEAST_MTU, PROTOCOL_ICMPV6, is_bad_source6, read_ipv6
from ncore_ray.wire.packet import Packet, Verdict
from ncore_ray.wire.tcp import ACK, NO_FAST_OPEN, RST, SYN, read_tcp

_FIRST_MULTICAST: Final = 0xE000_0000
"""No host sends from here on: multicast and broadcast addresses (RFC 1122 §3.2.1.3, RFC 9293 MUST-57)."""


@kernel
def receive_packet(engine: Engine, packet: Packet, descriptor: int) -> int:
    """Take the packet that a descriptor names; the frame stays the caller's."""
    packet.frame = frame_address(base_of(engine), descriptor_frame(descriptor))
    packet.length = descriptor_length(descriptor)
    packet.chain = descriptor_frame(descriptor)
    packet.chain_at = packet.frame
    packet.before = NO_FRAME
    packet.nic = nic_of_queue(base_of(engine), descriptor_queue(descriptor))
    packet.checksum = descriptor_checksum(descriptor)
    counters = counters_of(engine)
    counters.received_packets += 1
    counters.received_bytes += packet.length
    if read_ethernet(packet) != Verdict.GOOD:
        counters.drop_ethernet_truncated_packets += 1
        return 0
    if engine.bridges and pass_on(engine, packet):
        return 0
    if packet.ether_type == TYPE_IPV4:
        return _receive_ipv4(engine, packet)
    if packet.ether_type == TYPE_IPV6:
        return _receive_ipv6(engine, packet)
    if packet.ether_type == TYPE_ARP:
        return receive_arp(engine, packet)
    counters.drop_ethernet_unknown_type_packets += 1
    return 0


@kernel
def _count_bad_ip(engine: Engine, verdict: int) -> int:
    counters = counters_of(engine)
    if verdict == Verdict.TRUNCATED:
        counters.drop_ip_truncated_packets += 1
    elif verdict == Verdict.BAD_CHECKSUM:
        counters.drop_ip_bad_checksum_packets += 1
    else:
        counters.drop_ip_bad_header_packets += 1
    return 0


@kernel
def _receive_ipv4(engine: Engine, packet: Packet) -> int:
    verdict = read_ipv4(packet)
    if verdict == Verdict.FRAGMENT:
        if not reassemble(engine, packet):
            return 0
        verdict = read_ipv4(packet)
    if verdict != Verdict.GOOD:
        return _count_bad_ip(engine, verdict)
    counters = counters_of(engine)
    if ipv4_of(packet.source_low) >= _FIRST_MULTICAST:
        counters.drop_ip_bad_source_packets += 1
        return 0
    if find_address(base_of(engine), packet.destination_high, packet.destination_low).kind == AddressKind.FOREIGN:
        counters.drop_ip_not_for_us_packets += 1
        return 0
    if packet.protocol == PROTOCOL_ICMP:
        return _receive_icmp(engine, packet)
    return _receive_transport(engine, packet)


@kernel
def _receive_ipv6(engine: Engine, packet: Packet) -> int:
    verdict = read_ipv6(packet)
    if verdict == Verdict.FRAGMENT:
        if not reassemble(engine, packet):
            return 0
        verdict = read_ipv6(packet)
    if verdict != Verdict.GOOD:
        return _count_bad_ip(engine, verdict)
    if packet.protocol == PROTOCOL_ICMPV6:
        return _receive_icmpv6(engine, packet)
    counters = counters_of(engine)
    if is_bad_source6(packet.source_high, packet.source_low):
        counters.drop_ip_bad_source_packets += 1
        return 0
    if find_address(base_of(engine), packet.destination_high, packet.destination_low).kind == AddressKind.FOREIGN:
        counters.drop_ip_not_for_us_packets += 1
        return 0
    return _receive_transport(engine, packet)


@kernel
def _receive_transport(engine: Engine, packet: Packet) -> int:
    if packet.protocol == PROTOCOL_TCP:
        return _receive_tcp(engine, packet)
    if packet.protocol == PROTOCOL_UDP:
        return receive_udp(engine, packet)
    return receive_other(engine, packet)


@kernel
def _receive_icmp(engine: Engine, packet: Packet) -> int:
    if engine.forwards and forward_query(engine, packet):
        return 0
    number = receive_icmp(engine, packet)
    if number == NOT_FOUND:
        return 0
    sequence, is_hard = quoted_sequence(packet), is_hard_error(packet)
    if tcb_of(engine, number - 1).state >= TcpState.SPLICE_OPENING:
        return take_error(engine, packet, number, sequence, is_hard, next_hop_mtu(packet))
    if is_too_big(packet):
        return take_report(engine, number, sequence, told_mtu(packet), quoted_length(packet))
    return _unreachable(engine, number, sequence) if is_hard else 0


@kernel
def _receive_icmpv6(engine: Engine, packet: Packet) -> int:
    if engine.forwards and not is_bad_source6(packet.source_high, packet.source_low) and forward_query(engine, packet):
        return 0
    number = receive_icmpv6(engine, packet)
    if number == NOT_FOUND:
        return 0
    sequence, kind = quoted6_sequence(packet), icmp_type(packet)
    if tcb_of(engine, number - 1).state >= TcpState.SPLICE_OPENING:
        mtu = max(told_mtu6(packet), LEAST_MTU) if kind == PACKET_TOO_BIG else 0
        return take_error(engine, packet, number, sequence, 1 if kind == UNREACHABLE6 else 0, mtu)
    if kind == PACKET_TOO_BIG:
        return take_report(engine, number, sequence, told_mtu6(packet), quoted6_length(packet))
    return _unreachable(engine, number, sequence) if kind == UNREACHABLE6 else 0


@kernel
def _unreachable(engine: Engine, number: int, sequence: int) -> int:
    """An unreachable server ends an attempt to connect; what is established lives on (RFC 1122 §4.2.3.9)."""
    tcb = tcb_of(engine, number - 1)
    in_flight = seq_le(tcb.snd_una, sequence) and seq_lt(sequence, tcb.snd_max)
    if tcb.state == TcpState.SYN_SENT and in_flight:
        begin_change(engine, number)
        on_lost(engine, tcb)
        end_change(engine)
    return 0


@kernel
def _count_bad_tcp(engine: Engine, verdict: int) -> int:
    counters = counters_of(engine)
    if verdict == Verdict.TRUNCATED:
        counters.drop_tcp_truncated_packets += 1
    elif verdict == Verdict.BAD_CHECKSUM:
        counters.drop_tcp_bad_checksum_packets += 1
    else:
        counters.drop_tcp_bad_header_packets += 1
    return 0


@kernel
def _receive_tcp(engine: Engine, packet: Packet) -> int:
    verdict = read_tcp(packet)
    if verdict != Verdict.GOOD:
        return _count_bad_tcp(engine, verdict)
    ports = make_ports(packet.source_port, packet.destination_port, PROTOCOL_TCP)
    number = find_connection(
        engine, packet.source_high, packet.source_low, packet.destination_high, packet.destination_low, ports
    )
    if number and tcb_of(engine, number - 1).state >= TcpState.SPLICE_OPENING:
        if not _is_new_incarnation(tcb_of(engine, number - 1), packet):
            return receive_spliced(engine, packet, number)
    begin_change(engine, number if number else NEW_ONE)
    if number == 0:
        _receive_unknown(engine, packet, 0)
    elif _is_new_incarnation(tcb_of(engine, number - 1), packet):
        _reincarnate(engine, tcb_of(engine, number - 1), packet)
    else:
        _receive_known(engine, tcb_of(engine, number - 1), packet)
    return end_change(engine)


@kernel
def _is_new_incarnation(tcb: Tcb, packet: Packet) -> int:
    """A SYN beyond everything received may reuse a connection in TIME-WAIT (RFC 1122 §4.2.2.13)."""
    if tcb.state != TcpState.TIME_WAIT and tcb.state != TcpState.SPLICE_ENDED:
        return 0
    if packet.flags & (SYN | ACK | RST) != SYN:
        return 0
    return seq_lt(tcb.rcv_nxt, packet.sequence)


@kernel
def _reincarnate(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    """Let a new connection take the place of one in TIME-WAIT."""
    previous = tcb.snd_max
    destroy(engine, tcb)
    number = _receive_unknown(engine, packet, 1)
    return number_after(tcb_of(engine, number - 1), previous) if number else 0


@kernel
def _receive_unknown(engine: Engine, packet: Packet, reborn: int) -> int:
    """A segment of no connection: a SYN to a vServer begins one, all else is answered with a reset.

    Returns the new connection's number plus 1, or 0.
    """
    counters = counters_of(engine)
    if packet.flags & (SYN | ACK | RST) == SYN:
        vserver = find_vserver(
            base_of(engine), packet.destination_high, packet.destination_low, packet.destination_port, 0
        )
        if vserver != NO_VSERVER and engine.draining == Drain.ALL:
            counters.drop_tcp_draining_packets += 1
            return answer_reset(engine, packet)
        if vserver != NO_VSERVER:
            return _begin_handshake(engine, packet, vserver, reborn)
    if packet.flags & (SYN | ACK | RST) == 0 and _is_listening(engine, packet):
        counters.drop_tcp_no_acknowledgment_packets += 1  # RFC 9293 §3.10.7.2, fourth: dropped without an answer
        return 0
    if packet.flags & (SYN | ACK | RST) == ACK and engine.cookies_until >= engine.now:
        number = end_handshake(engine, packet)
        if number != NO_COOKIE:
            return _go_on(engine, packet, number)
    counters.drop_tcp_no_connection_packets += 1
    forget_stray(engine, packet)
    return answer_reset(engine, packet)


@kernel
def _is_listening(engine: Engine, packet: Packet) -> int:
    """Return 1 if there is a vServer at the destination of a segment."""
    vserver = find_vserver(base_of(engine), packet.destination_high, packet.destination_low, packet.destination_port, 0)
    return 1 if vserver != NO_VSERVER else 0


@kernel
def _begin_handshake(engine: Engine, packet: Packet, vserver: int, reborn: int) -> int:
    number = begin_handshake(engine, packet, vserver, reborn)
    if number and not reborn and packet.fast_open != NO_FAST_OPEN:
        take_early_data(engine, tcb_of(engine, number - 1), packet)
    return number


@kernel
def _go_on(engine: Engine, packet: Packet, number: int) -> int:
    """Give the segment that ended a handshake to the connection that was made of it, if there was room for one."""
    return _receive_known(engine, tcb_of(engine, number - 1), packet) if number else 0


@kernel
def _receive_known(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    events = receive_segment(engine, tcb, packet)
    if events != Event.NOTHING and not events & Event.GONE:
        if events & Event.DATA and (packet.length > FRAME_SIZE or packet.payload_length >= LEAST_KEPT):
            _deliver_pieces(engine, tcb, events, packet)
        else:
            on_events(engine, tcb, events, packet.payload, packet.payload_length)
        if events & Event.DATA and tcb.out_of_order_count:
            _deliver_early(engine, tcb, packet)
    return 0


@kernel
def _deliver_pieces(engine: Engine, tcb: Tcb, events: int, packet: Packet) -> int:
    """Hand over a payload whose frames may be kept; one in several frames, which ends no stream, piece by piece.

    One piece may end the connection, and its record be that of a new one already.
    """
    left = packet.payload_length
    while left > 0 and tcb.role != Role.FREE and tcb.state != TcpState.SYN_SENT:
        length = min(piece_length(packet), left)
        address = piece_address(base_of(engine), packet)
        offer_frame(engine, packet, address + length)
        on_events(engine, tcb, events, address, length)
        end_offer(engine, packet)
        packet.payload += length
        left -= length
        events = Event.DATA
    return 0


@kernel
def _deliver_early(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    """Hand over the kept segments that the stream has come up to."""
    while tcb.role != Role.FREE:
        frame = continue_early(engine, tcb, packet)
        if frame == NO_FRAME:
            break
        on_events(engine, tcb, Event.DATA, packet.payload, packet.payload_length)
        free_frame(engine, frame)
    return 0
