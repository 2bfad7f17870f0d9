"""The two sides of a session without connections: what UDP and the vServers of protocol ANY have in common."""

from __future__ import annotations

from ncore_ray.engine.balance.choose import is_usable
from ncore_ray.engine.connection import (
    Role,
    Tcb,
    Work,
    find_connection,
    index_connection,
    make_ports,
    mark,
    peer_of,
    take_connection,
    tcb_of,
)
from ncore_ray.engine.datagrams import count_datagrams, enter_datagrams, has_share
from ncore_ray.engine.lifecycle import destroy, evict_datagrams
from ncore_ray.engine.partition import Engine, base_of, service_stats, vserver_stats
from ncore_ray.engine.proxy.relay import pair
from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.engine.tcp.user import address_active, choose_port, destroy_unused
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.route import NO_ROUTE
from ncore_ray.tables.service import vserver_of
from ncore_ray.wire.ipv4 import PROTOCOL_ICMP, PROTOCOL_UDP
from ncore_ray.wire.ipv6 import PROTOCOL_ICMPV6
from ncore_ray.wire.packet import Packet


@kernel
def is_stale(engine: Engine, tcb: Tcb) -> int:
    """Return 1 for a client's side whose service has failed: nothing but its monitor can tell."""
    if tcb.role != Role.UDP_CLIENT or not tcb.peer:
        return 0
    return 1 - is_usable(base_of(engine), peer_of(engine, tcb).service)


@kernel
def open_pair(engine: Engine, packet: Packet, ports: int, vserver: int, service: int, port: int) -> int:
    """Make both sides of a session of a client's packet, with a port of the service; return the client's number plus 1.

    ``ports`` are the client's side's. 0: there is no room, or no port.
    """
    if not has_share(engine) and not evict_datagrams(engine):
        return 0
    number = take_connection(engine)
    other = take_connection(engine) if number else 0
    if other == 0:
        if number:
            destroy_unused(engine, tcb_of(engine, number - 1))
        return 0
    client, server = tcb_of(engine, number - 1), tcb_of(engine, other - 1)
    client.role = Role.MONITOR  # counted for their true roles only when both are sure to stay
    server.role = Role.MONITOR
    _address_client(client, packet, ports, vserver)
    address_active(engine, server, service)
    if not _choose_ports(engine, server, port, ports & 0xFF):
        destroy_unused(engine, client)
        destroy_unused(engine, server)
        return 0
    _start(engine, client, Role.UDP_CLIENT)
    _start(engine, server, Role.UDP_SERVER)
    pair(engine, client, server)
    enter_datagrams(engine, client)
    count_datagrams(engine, client, 1)
    count_datagrams(engine, server, 1)
    _count(engine, vserver, service)
    return number


@kernel
def _address_client(client: Tcb, packet: Packet, ports: int, vserver: int) -> int:
    client.vserver = vserver
    client.remote_high = packet.source_high
    client.remote_low = packet.source_low
    client.local_high = packet.destination_high
    client.local_low = packet.destination_low
    client.ports = ports
    client.nic = packet.nic
    client.remote_mac = packet.ethernet_source
    client.route = NO_ROUTE
    return 0


@kernel
def _choose_ports(engine: Engine, server: Tcb, port: int, protocol: int) -> int:
    """Give the service's side a port, or identifier, of its own; a protocol that has none, the one place there is."""
    if protocol in (PROTOCOL_UDP, PROTOCOL_ICMP, PROTOCOL_ICMPV6):
        return choose_port(engine, server, port, protocol)
    ports = make_ports(0, 0, protocol)
    if find_connection(engine, server.remote_high, server.remote_low, server.local_high, server.local_low, ports):
        return 0
    server.ports = ports
    return 1


@kernel
def _start(engine: Engine, tcb: Tcb, role: int) -> int:
    tcb.role = role
    tcb.state = TcpState.DATAGRAM
    tcb.last_received_at = engine.now
    index_connection(engine, tcb)
    mark(engine, tcb, Work.OUTPUT)
    return 0


@kernel
def _count(engine: Engine, vserver: int, service: int) -> int:
    vserver_stats(engine, vserver).connections += 1
    vserver_stats(engine, vserver).total_connections += 1
    service_stats(engine, service).connections += 1
    service_stats(engine, service).total_connections += 1
    return 0


@kernel
def note_received(engine: Engine, tcb: Tcb, target: Tcb, length: int) -> int:
    """Note that one side has said something: the session lives for another while."""
    tcb.last_received_at = engine.now
    tcb.received_bytes += length
    if tcb.role == Role.UDP_CLIENT:
        vserver_stats(engine, tcb.vserver).received_bytes += length
        vserver_stats(engine, tcb.vserver).requests += 1
    else:
        service_stats(engine, tcb.service).received_bytes += length
    session = tcb if tcb.role == Role.UDP_CLIENT else target
    session.application_at = engine.now + vserver_of(base_of(engine), session.vserver).udp_us
    return mark(engine, session, Work.OUTPUT)


@kernel
def count_sent(engine: Engine, tcb: Tcb, length: int) -> int:
    """Count what went out to one side."""
    tcb.sent_bytes += length
    if tcb.role == Role.UDP_CLIENT:
        vserver_stats(engine, tcb.vserver).sent_bytes += length
    else:
        service_stats(engine, tcb.service).sent_bytes += length
        service_stats(engine, tcb.service).requests += 1
    return 0


@kernel
def end_pair(engine: Engine, tcb: Tcb) -> int:
    """End a session, by one of its sides."""
    if tcb.peer:
        destroy(engine, peer_of(engine, tcb))
    return destroy(engine, tcb)
