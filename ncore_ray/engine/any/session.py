"""Packets of vServers of protocol ANY: their sessions, and which packets are theirs.

A question of ICMP belongs to a session by its identifier, as a datagram of UDP does by its ports, and the identifier
that goes to the service is one of the engine's own ports. Other protocols have nothing of the kind: by the service's
answer nobody could tell two clients apart, so a service works for one client of such a protocol at a time, until that
has been silent for the time of `timeouts.udp`. UDP itself is in `udp/session.py`.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.any.translate import send_translated
from ncore_ray.engine.balance.choose import NO_SERVICE, choose_service, is_usable
from ncore_ray.engine.change import NEW_ONE, begin_change, end_change
from ncore_ray.engine.connection import Tcb, find_connection, make_ports, peer_of, tcb_of
from ncore_ray.engine.partition import Engine, base_of, counters_of, vserver_stats
from ncore_ray.engine.transmit import resolve
from ncore_ray.engine.udp.pairs import count_sent, end_pair, is_stale, note_received, open_pair
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.route import may_leave, route_of
from ncore_ray.tables.service import ANY_PORT, NO_VSERVER, binding_of, find_any, service_of, vserver_of
from ncore_ray.wire.icmp import ICMP_HEADER, Query, icmp_query, identifier_of
from ncore_ray.wire.packet import Packet

_BUSY: Final = -2
_UNANSWERED_US: Final = 1_000_000
"""For so long a service that has said nothing yet is kept for one client."""


@kernel
def forward_query(engine: Engine, packet: Packet) -> int:
    """Pass a question of ICMP on to a service, or its answer to the client; return 0 if it is not for a vServer."""
    if packet.transport_length < ICMP_HEADER:
        return 0
    query = icmp_query(packet)
    if query == Query.REQUEST:
        return _take(engine, packet, make_ports(identifier_of(packet), 0, packet.protocol), 1)
    if query == Query.REPLY:
        return _take(engine, packet, make_ports(0, identifier_of(packet), packet.protocol), 0)
    return 0


@kernel
def receive_other(engine: Engine, packet: Packet) -> int:
    """Take a packet of a protocol that the appliance does not speak."""
    if engine.forwards and _take(engine, packet, make_ports(0, 0, packet.protocol), 1):
        return 0
    counters_of(engine).drop_ip_unknown_protocol_packets += 1
    return 0


@kernel
def _take(engine: Engine, packet: Packet, ports: int, may_begin: int) -> int:
    """Pass a packet to the other side of its session; return 0 if it belongs to none, and none begins."""
    number = find_connection(
        engine, packet.source_high, packet.source_low, packet.destination_high, packet.destination_low, ports
    )
    if number and is_stale(engine, tcb_of(engine, number - 1)):
        begin_change(engine, number)
        end_pair(engine, tcb_of(engine, number - 1))
        end_change(engine)
        number = 0
    if number:
        return _forward(engine, tcb_of(engine, number - 1), packet)
    vserver = find_any(base_of(engine), packet.destination_high, packet.destination_low) if may_begin else NO_VSERVER
    if vserver == NO_VSERVER:
        return 0
    begin_change(engine, NEW_ONE)
    number = _begin(engine, packet, ports, vserver)
    end_change(engine)
    return _forward(engine, tcb_of(engine, number - 1), packet) if number else 1


@kernel
def _begin(engine: Engine, packet: Packet, ports: int, vserver: int) -> int:
    """Return the number plus 1 of the client's side of a new session, or 0 (counted)."""
    counters = counters_of(engine)
    service = choose_service(engine, vserver, NO_SERVICE)
    if service != NO_SERVICE and ports >> 8 == 0 and not _is_free(engine, service, ports):
        service = _other_service(engine, vserver, ports)
    if service < 0 or not may_leave(base_of(engine), service_of(base_of(engine), service).route):
        vserver_stats(engine, vserver).errors += 1
        if service == _BUSY:
            counters.drop_any_busy_packets += 1
        else:
            counters.drop_any_no_service_packets += 1
        return 0
    number = open_pair(engine, packet, ports, vserver, service, ANY_PORT)
    if number:
        counters.any_sessions += 1
    else:
        counters.drop_any_table_full_packets += 1
    return number


@kernel
def _is_free(engine: Engine, index: int, ports: int) -> int:
    """Return 1 if a service works for no client of a protocol without ports, or for none that it answers."""
    base = base_of(engine)
    service = service_of(base, index)
    if not may_leave(base, service.route):
        return 0
    route = route_of(base, service.route)
    taken = find_connection(engine, service.high, service.low, route.source_high, route.source_low, ports)
    return 1 if taken == 0 or _gives_way(engine, tcb_of(engine, taken - 1)) else 0


@kernel
def _gives_way(engine: Engine, tcb: Tcb) -> int:
    """End a session whose service has not said anything for a while; return 1 if it was one.

    Its client may be made up, and one packet every half minute would keep the service from all others.
    """
    if tcb.received_bytes or engine.now - tcb.last_received_at < _UNANSWERED_US:
        return 0
    end_pair(engine, tcb)
    return 1


@kernel
def _other_service(engine: Engine, vserver: int, ports: int) -> int:
    """Return the first service that may be given work and is free, or _BUSY."""
    base = base_of(engine)
    record = vserver_of(base, vserver)
    for place in range(record.bindings):
        service = binding_of(base, record.first_binding + place).service
        if is_usable(base, service) and _is_free(engine, service, ports):
            return service
    return _BUSY


@kernel
def _forward(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    """Send what is behind the IP header, where it lies in the received frame, to the other side; return 1."""
    counters = counters_of(engine)
    if not tcb.peer:
        counters.drop_any_no_session_packets += 1
        return 1
    target = peer_of(engine, tcb)
    counters.used_any_packets += 1
    note_received(engine, tcb, target, packet.transport_length)
    if not resolve(engine, target):
        counters.made_packets += 1
        counters.drop_send_no_neighbour_packets += 1
        return 1
    if not send_translated(engine, target, packet):
        counters.drop_any_too_long_packets += 1
        counters.used_any_packets -= 1
        return 1
    count_sent(engine, target, packet.transport_length)
    counters.any_packets += 1
    return 1
