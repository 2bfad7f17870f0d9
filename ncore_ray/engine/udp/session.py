"""UDP sessions: pairs of entries in the connection table, one for the client's side and one for the service's."""

from __future__ import annotations

from ncore_ray.engine.balance.choose import NO_SERVICE, choose_service, is_usable
from ncore_ray.engine.change import NEW_ONE, begin_change, end_change
from ncore_ray.engine.connection import (
    Role,
    Tcb,
    Work,
    find_connection,
    index_connection,
    local_port,
    make_ports,
    mark,
    peer_of,
    remote_port,
    take_connection,
    tcb_of,
)
from ncore_ray.engine.ip.errors import tell_port_unreachable
from ncore_ray.engine.ip.fragment import NOT_SENT, is_too_long, send_fragments
from ncore_ray.engine.ip.header import headers_to, pseudo_to, write_headers_to
from ncore_ray.engine.lifecycle import destroy
from ncore_ray.engine.partition import Engine, base_of, counters_of, service_stats, vserver_stats
from ncore_ray.engine.proxy.relay import pair
from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.engine.tcp.user import address_active, choose_port, destroy_unused
from ncore_ray.engine.transmit import header_address, resolve, slot_of, take_slot
from ncore_ray.engine.udp.train import begin_train, join_train, may_join
from ncore_ray.machine.jit import kernel
from ncore_ray.nic.direct import Offload
from ncore_ray.tables.route import NO_ROUTE
from ncore_ray.tables.service import NO_VSERVER, find_vserver, service_of, vserver_of
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
    if number and _is_stale(engine, tcb_of(engine, number - 1)):
        begin_change(engine, number)
        session_timeout(engine, tcb_of(engine, number - 1))
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
def _is_stale(engine: Engine, tcb: Tcb) -> int:
    """Return 1 for a client's side whose service has failed: nothing but its monitor can tell."""
    if tcb.role != Role.UDP_CLIENT or not tcb.peer:
        return 0
    return 1 - is_usable(base_of(engine), peer_of(engine, tcb).service)


@kernel
def _begin_session(engine: Engine, packet: Packet, ports: int) -> int:
    """Return the number plus 1 of the client's side of a new session, or 0 (counted)."""
    counters = counters_of(engine)
    base = base_of(engine)
    vserver = find_vserver(base, packet.destination_high, packet.destination_low, packet.destination_port, 1)
    if vserver == NO_VSERVER:
        counters.drop_udp_no_vserver_packets += 1
        return tell_port_unreachable(engine, packet)
    service = choose_service(engine, vserver, NO_SERVICE)
    if service == NO_SERVICE or service_of(base, service).route < 0:
        counters.drop_udp_no_service_packets += 1
        vserver_stats(engine, vserver).errors += 1
        return 0
    number = take_connection(engine)
    other = take_connection(engine) if number else 0
    if other == 0:
        counters.drop_udp_table_full_packets += 1
        if number:
            destroy_unused(engine, tcb_of(engine, number - 1))
        return 0
    return _fill_session(engine, packet, ports, vserver, service, number, other)


@kernel
def _fill_session(
    engine: Engine, packet: Packet, ports: int, vserver: int, service: int, number: int, other: int
) -> int:
    client = tcb_of(engine, number - 1)
    server = tcb_of(engine, other - 1)
    client.role = Role.MONITOR  # counted for their true roles only when both are sure to stay
    server.role = Role.MONITOR
    client.vserver = vserver
    client.remote_high = packet.source_high
    client.remote_low = packet.source_low
    client.local_high = packet.destination_high
    client.local_low = packet.destination_low
    client.ports = ports
    client.nic = packet.nic
    client.remote_mac = packet.ethernet_source
    client.route = NO_ROUTE
    address_active(engine, server, service)
    if not choose_port(engine, server, service_of(base_of(engine), service).port, PROTOCOL_UDP):
        counters_of(engine).drop_udp_table_full_packets += 1
        destroy_unused(engine, client)
        destroy_unused(engine, server)
        return 0
    _start(engine, client, Role.UDP_CLIENT)
    _start(engine, server, Role.UDP_SERVER)
    pair(engine, client, server)
    vserver_stats(engine, vserver).connections += 1
    vserver_stats(engine, vserver).total_connections += 1
    service_stats(engine, service).connections += 1
    service_stats(engine, service).total_connections += 1
    counters_of(engine).udp_sessions += 1
    return number


@kernel
def _start(engine: Engine, tcb: Tcb, role: int) -> int:
    tcb.role = role
    tcb.state = TcpState.DATAGRAM
    tcb.last_received_at = engine.now
    index_connection(engine, tcb)
    mark(engine, tcb, Work.OUTPUT)
    return 0


@kernel
def _forward(engine: Engine, tcb: Tcb, target: Tcb, packet: Packet) -> int:
    """Send the datagram's payload, where it lies in the received frame, to the other side."""
    counters = counters_of(engine)
    tcb.last_received_at = engine.now
    tcb.received_bytes += packet.payload_length
    _count_received(engine, tcb, packet.payload_length)
    session = tcb if tcb.role == Role.UDP_CLIENT else target
    session.application_at = engine.now + vserver_of(base_of(engine), session.vserver).udp_us
    mark(engine, session, Work.OUTPUT)
    if not resolve(engine, target):
        counters.made_packets += 1
        counters.drop_send_no_neighbour_packets += 1
        return 0
    if not _send(engine, target, packet):
        counters.drop_udp_too_long_packets += 1
        counters.used_udp_packets -= 1
        return 0
    _count_sent(engine, target, packet.payload_length)
    counters.udp_datagrams += 1
    return 0


@kernel
def _count_received(engine: Engine, tcb: Tcb, length: int) -> int:
    if tcb.role == Role.UDP_CLIENT:
        vserver_stats(engine, tcb.vserver).received_bytes += length
        vserver_stats(engine, tcb.vserver).requests += 1
    else:
        service_stats(engine, tcb.service).received_bytes += length
    return 0


@kernel
def _count_sent(engine: Engine, tcb: Tcb, length: int) -> int:
    tcb.sent_bytes += length
    if tcb.role == Role.UDP_CLIENT:
        vserver_stats(engine, tcb.vserver).sent_bytes += length
    else:
        service_stats(engine, tcb.service).sent_bytes += length
        service_stats(engine, tcb.service).requests += 1
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


@kernel
def session_timeout(engine: Engine, tcb: Tcb) -> int:
    """End a session that was silent for the time its vServer grants."""
    if tcb.peer:
        destroy(engine, peer_of(engine, tcb))
    return destroy(engine, tcb)
