"""The shared tables as a configuration says: addresses, routes, services, vServers, ports."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Final

from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes
from ncore_ray.blueprint.parallelism import application_engines
from ncore_ray.blueprint.texts import Texts, probe_text
from ncore_ray.config.model import Configuration, HttpMonitor, Nic, Parallelism, Protocol, Service, Unit, VServer
from ncore_ray.config.model import Method as ConfiguredMethod
from ncore_ray.config.transport import CongestionControl
from ncore_ray.engine.http.message.key import KeyKind
from ncore_ray.machine.record import size_of, view
from ncore_ray.tables.own_address import AddressKind, add_address
from ncore_ray.tables.port_owner import NO_OWNER, PORTS, port_ranges
from ncore_ray.tables.route import NO_ROUTE, Route
from ncore_ray.tables.service import (
    Arrival,
    Binding,
    Congestion,
    Method,
    MonitorKind,
    Vserver,
    VserverProtocol,
    index_vserver,
)
from ncore_ray.tables.service import Service as ServiceRecord
from ncore_ray.wire.address import words_of

_PROTOCOLS: Final = {
    Protocol.TCP: VserverProtocol.TCP,
    Protocol.HTTP: VserverProtocol.HTTP,
    Protocol.UDP: VserverProtocol.UDP,
}
_CONGESTION: Final = {
    CongestionControl.CUBIC: Congestion.CUBIC,
    CongestionControl.NEWRENO: Congestion.NEWRENO,
}
_KEY_KINDS: Final = {"cookie": KeyKind.COOKIE, "parameter": KeyKind.PARAMETER, "header": KeyKind.HEADER}
_METHODS: Final = {
    ConfiguredMethod.ROUNDROBIN: Method.ROUND_ROBIN,
    ConfiguredMethod.LEASTCONNECTION: Method.LEAST_CONNECTION,
}


def write_addresses(array: Bytes, configuration: Configuration) -> None:
    """Enter SNIPs and VIPs; a VIP belongs to the NIC on whose network it is, or to the first."""
    base = array.ctypes.data
    for index, nic in enumerate(configuration.nics):
        for address in nic.addresses:
            add_address(base, *words_of(str(address.ip)), int(AddressKind.SNIP), index)
    for vserver in configuration.vservers:
        nic_index = _nic_of(configuration.nics, vserver.address.address)
        add_address(base, *words_of(str(vserver.address.address)), int(AddressKind.VIP), nic_index)


def _nic_of(nics: tuple[Nic, ...], address: IPv4Address) -> int:
    return next((index for index, nic in enumerate(nics) if nic.reaches(address)), 0)


def routes_of(configuration: Configuration) -> list[tuple[IPv4Network, int, IPv4Address | None, IPv4Address]]:
    """Return (network, NIC, gateway or None, SNIP), longest prefixes first; at most one default route."""
    rows: list[tuple[IPv4Network, int, IPv4Address | None, IPv4Address]] = []
    for index, nic in enumerate(configuration.nics):
        rows += [(address.network, index, None, address.ip) for address in nic.addresses]
    for index, nic in enumerate(configuration.nics):
        if nic.gateway is not None:
            source = next(address.ip for address in nic.addresses if nic.gateway in address.network)
            rows.append((IPv4Network("0.0.0.0/0"), index, nic.gateway, source))
            break
    return sorted(rows, key=lambda row: -row[0].prefixlen)


def write_routes(array: Bytes, arena: Arena, configuration: Configuration) -> None:
    """Write the routes in the order in which they are looked at."""
    for place, (network, nic, gateway, source) in enumerate(routes_of(configuration)):
        route = view(Route, array, arena.routes + place * size_of(Route))
        route.high, route.low = words_of(str(network.network_address))
        route.mask_high, route.mask_low = -1, -(1 << (32 - network.prefixlen))
        route.nic = nic
        route.source_high, route.source_low = words_of(str(source))
        if gateway is not None:
            route.gateway_high, route.gateway_low = words_of(str(gateway))


def _route_to(configuration: Configuration, address: IPv4Address) -> int:
    rows = routes_of(configuration)
    return next((place for place, row in enumerate(rows) if address in row[0]), NO_ROUTE)


def write_services(array: Bytes, arena: Arena, configuration: Configuration, texts: Texts) -> None:
    """Write the services; the probes are shared out among the engines."""
    for index, service in enumerate(configuration.services):
        record = view(ServiceRecord, array, arena.services + index * size_of(ServiceRecord))
        record.high, record.low = words_of(str(service.address.address))
        record.port, record.weight = service.address.port, service.weight
        record.route = _route_to(configuration, service.address.address)
        record.congestion = _CONGESTION[service.congestion or configuration.tcp.congestion]
        record.host, record.host_length = texts.add(str(service.address).encode("ascii"))
        record.monitor_engine = index % configuration.appliance.engines
        _write_monitor(record, service, texts)


def _write_monitor(record: ServiceRecord, service: Service, texts: Texts) -> None:
    monitor = service.monitor
    if monitor is None:
        record.monitor = MonitorKind.NONE
        return
    record.monitor = MonitorKind.TCP
    record.interval_us, record.timeout_us = monitor.interval, monitor.timeout
    record.fall, record.rise = monitor.fall, monitor.rise
    if isinstance(monitor, HttpMonitor):
        record.monitor = MonitorKind.HTTP
        record.expect_low, record.expect_high = monitor.expect
        record.probe, record.probe_length = texts.add(probe_text(service))


def write_vservers(array: Bytes, arena: Arena, configuration: Configuration, texts: Texts) -> None:
    """Write the vServers, their bindings, and the index by which they are found."""
    numbers = {service.name: index for index, service in enumerate(configuration.services)}
    place = 0
    for index, vserver in enumerate(configuration.vservers):
        record = view(Vserver, array, arena.vservers + index * size_of(Vserver))
        record.high, record.low = words_of(str(vserver.address.address))
        record.port = vserver.address.port
        record.protocol, record.method = _PROTOCOLS[vserver.protocol], _METHODS[vserver.method]
        record.first_binding, record.bindings = place, len(vserver.services)
        record.congestion = _CONGESTION[vserver.congestion or configuration.tcp.congestion]
        _write_limits(record, configuration, vserver)
        _write_key(record, configuration, vserver, texts)
        for name in vserver.services:
            binding = view(Binding, array, arena.bindings + place * size_of(Binding))
            binding.service, binding.weight = numbers[name], configuration.service(name).weight
            place += 1
        index_vserver(array.ctypes.data, index)


def _write_limits(record: Vserver, configuration: Configuration, vserver: VServer) -> None:
    timeouts, http = configuration.timeouts_of(vserver), vserver.http
    record.client_idle_us, record.header_us = timeouts.client_idle, timeouts.header
    record.connect_us, record.server_us, record.udp_us = timeouts.connect, timeouts.server, timeouts.udp
    record.x_forwarded_for, record.via = int(http.x_forwarded_for), int(http.via)
    record.max_header, record.max_request_line = http.max_header, http.max_request_line
    record.max_fields = http.max_fields
    record.max_body = -1 if http.max_body is None else http.max_body
    record.access_log = int(http.access_log)


def _write_key(record: Vserver, configuration: Configuration, vserver: VServer, texts: Texts) -> None:
    """Write what decides which engine serves a client; with one engine, nothing has to be decided."""
    record.engines = application_engines(configuration, vserver)
    if configuration.appliance.engines == 1 or vserver.protocol is Protocol.UDP:
        return
    if configuration.distribution.parallelism is Parallelism.FUNCTIONAL:
        record.arrival = Arrival.FUNCTION
    if vserver.unit is Unit.TRANSACTION:
        record.arrival = Arrival.TRANSACTION
    if vserver.key is None:
        return
    record.arrival, record.key_kind = Arrival.KEY, _KEY_KINDS[vserver.key.kind]
    record.key_name, record.key_name_length = texts.add(vserver.key.name.encode("ascii"))


def write_port_owners(array: Bytes, arena: Arena, engines: int) -> None:
    """Write which engine owns which source port."""
    owners = array[arena.port_owners : arena.port_owners + PORTS]
    owners[:] = NO_OWNER
    for engine, (first, count) in enumerate(port_ranges(engines)):
        owners[first : first + count] = engine
