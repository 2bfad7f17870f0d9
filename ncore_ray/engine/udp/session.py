"""UDP sessions: pairs of entries in the connection table, one for the client's side and one for the service's."""

from __future__ import annotations

from ncore_ray.engine.balance.choose import NO_SERVICE, choose_service
from ncore_ray.engine.change import NEW_ONE, begin_change, end_change
from ncore_ray.engine.connection import Tcb, find_connection, local_port, make_ports, peer_of, remote_port, tcb_of
from ncore_ray.engine.ip.errors import tell_port_unreachable
from ncore_ray.engine.ip.fragment import NOT_SENT, is_too_long, send_fragments
from ncore_ray.engine.ip.header import headers_to, pseudo_to, write_headers_to
from ncore_ray.engine.partition import Engine, base_of, counters_of, vserver_stats
from ncore_ray.engine.transmit import header_address, resolve, slot_of, take_slot
from ncore_ray.engine.udp.pairs import count_sent, end_pair, is_stale, note_received, open_pair
from ncore_ray.engine.udp.train import begin_train, join_train, may_join
from ncore_ray.machine.jit import kernel
from ncore_ray.nic.direct import Offload
from ncore_ray.tables.route import may_leave
from ncore_ray.tables.service import NO_VSERVER, VserverProtocol, find_datagram_vserver, service_of, vserver_of
from ncore_ray.wire.checksum import sum_bytes
from ncore_ray.wire.ipv4 import PROTOCOL_UDP
from ncore_ray.wire.packet import Packet, Verdict
from ncore_ray.wire.udp import UDP_HEADER, begin_udp, read_udp, write_udp


@kernel
def receive_udp(engine: Engine, packet: Packet) -> int:
    """Take one datagram: pass it to the other side of its session, which a client's first one begins."""
    counters = counters_of(engine)
    if read_udp(packet) != Verdict.GOOD:
        counters.drop_udp_bad_packets += 1
        return 0
    ports = make_ports(packet.source_port, packet.destination_port, PROTOCOL_UDP)
    number = find_connection(
        engine, packet.source_high, packet.source_low, packet.destination_high, packet.destination_low, ports
    )
    if number and is_stale(engine, tcb_of(engine, number - 1)):
        begin_change(engine, number)
        end_pair(engine, tcb_of(engine, number - 1))
        end_change(engine)
        number = 0
    if number == 0:
        begin_change(engine, NEW_ONE)
        number = _begin_session(engine, packet, ports)
        end_change(engine)
        if number == 0:
            return 0
    tcb = tcb_of(engine, number - 1)
    if not tcb.peer:
        counters.drop_udp_no_session_packets += 1
        return 0
    counters.used_udp_packets += 1
    return _forward(engine, tcb, peer_of(engine, tcb), packet)


@kernel
def _begin_session(engine: Engine, packet: Packet, ports: int) -> int:
    """Return the number plus 1 of the client's side of a new session, or 0 (counted)."""
    counters = counters_of(engine)
    base = base_of(engine)
    vserver = find_datagram_vserver(base, packet.destination_high, packet.destination_low, packet.destination_port)
    if vserver == NO_VSERVER:
        counters.drop_udp_no_vserver_packets += 1
        return tell_port_unreachable(engine, packet)
    service = choose_service(engine, vserver, NO_SERVICE)
    if service == NO_SERVICE or not may_leave(base, service_of(base, service).route):
        counters.drop_udp_no_service_packets += 1
        vserver_stats(engine, vserver).errors += 1
        return 0
    is_any = vserver_of(base, vserver).protocol == VserverProtocol.ANY
    port = packet.destination_port if is_any else service_of(base, service).port
    number = open_pair(engine, packet, ports, vserver, service, port)
    if number:
        counters.udp_sessions += 1
    else:
        counters.drop_udp_table_full_packets += 1
    return number


@kernel
def _forward(engine: Engine, tcb: Tcb, target: Tcb, packet: Packet) -> int:
    """Send the datagram's payload, where it lies in the received frame, to the other side."""
    counters = counters_of(engine)
    note_received(engine, tcb, target, packet.payload_length)
    if not resolve(engine, target):
        counters.made_packets += 1
        counters.drop_send_no_neighbour_packets += 1
        return 0
    if not _send(engine, target, packet):
        counters.drop_udp_too_long_packets += 1
        counters.used_udp_packets -= 1
        return 0
    count_sent(engine, target, packet.payload_length)
    counters.udp_datagrams += 1
    return 0


@kernel
def _send(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    """Return 1, or 0 if there are not enough slots for all fragments."""
    length = packet.payload_length
    if engine.train_of and may_join(engine, tcb, length):
        return _write_headers(engine, tcb, engine.slots_used - 1, join_train(engine, packet))
    if is_too_long(engine, tcb.nic, tcb.remote_high, tcb.remote_low, UDP_HEADER + length):
        return _send_in_fragments(engine, tcb, packet)
    index = take_slot(engine, tcb.nic, headers_to(tcb) + UDP_HEADER)
    slot = slot_of(engine, index)
    slot.first = packet.payload - base_of(engine)
    slot.first_length = begin_train(engine, tcb, length)
    return _write_headers(engine, tcb, index, length)


@kernel
def _write_headers(engine: Engine, tcb: Tcb, index: int, length: int) -> int:
    """Write the headers of the packet in a slot; where the NIC completes checksums, nobody sums the payload."""
    slot = slot_of(engine, index)
    at = header_address(engine, index)
    at += write_headers_to(engine, tcb, at, PROTOCOL_UDP, UDP_HEADER + length)
    total = pseudo_to(tcb, PROTOCOL_UDP, UDP_HEADER + length)
    if slot.offload:
        slot.offload = Offload.DATAGRAM
        begin_udp(at, local_port(tcb), remote_port(tcb), length, total)
        return 1
    total += sum_bytes(base_of(engine) + slot.first, length)
    write_udp(at, local_port(tcb), remote_port(tcb), length, total)
    return 1


@kernel
def _send_in_fragments(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    length = packet.payload_length
    at = send_fragments(
        engine,
        tcb.nic,
        tcb.remote_mac,
        tcb.local_high,
        tcb.local_low,
        tcb.remote_high,
        tcb.remote_low,
        PROTOCOL_UDP,
        packet.payload,
        length,
    )
    if at == NOT_SENT:
        return 0
    total = sum_bytes(packet.payload, length) + pseudo_to(tcb, PROTOCOL_UDP, UDP_HEADER + length)
    write_udp(at, local_port(tcb), remote_port(tcb), length, total)
    counters_of(engine).fragmented_packets += 1
    return 1
