"""The configured tables: addresses, services, vServers and settings of a bank; source ports of the engines."""

from __future__ import annotations

from collections.abc import Mapping

from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes
from ncore_ray.blueprint.routes import route_to
from ncore_ray.blueprint.rows import Rows, TableFullError, VserverRow
from ncore_ray.blueprint.texts import Texts, probe_text
from ncore_ray.blueprint.words import CONGESTION, COOKIES, ECN, KEY_KINDS, METHODS, MTU_PROBING, PROTOCOLS
from ncore_ray.config.addresses import IpAddress
from ncore_ray.config.model import Configuration, HttpMonitor, Mode, Nic, Parallelism, Protocol, Service, Unit, VServer
from ncore_ray.machine.record import size_of, view
from ncore_ray.tables.own_address import AddressKind, add_address, keep_given_up
from ncore_ray.tables.port_owner import NO_OWNER, PORTS, port_ranges
from ncore_ray.tables.service import Arrival, Binding, MonitorKind, RowState, Vserver, index_vserver
from ncore_ray.tables.service import Service as ServiceRecord
from ncore_ray.tables.settings import Settings
from ncore_ray.wire.address import words_of


def write_bank(
    array: Bytes,
    arena: Arena,
    bank: int,
    rows: Rows,
    configuration: Configuration,
    epoch: int,
    kept: Mapping[IpAddress, int] | None = None,
) -> None:
    """Write all tables of a bank that no actor looks at (``bank`` 0 or `Arena.bank_stride`).

    The routes of the configuration have been written. ``kept`` are SNIPs, with their NICs, that connections use though
    they are configured no more.

    Raises:
        TableFullError: the texts do not fit.
    """
    array[arena.settings + bank : arena.settings + bank + arena.bank_stride] = 0
    texts = _texts_of(arena, bank)
    _write_settings(array, arena, bank, configuration, epoch)
    settings = view(Settings, array, arena.settings + bank)
    datagrams = (Protocol.UDP, Protocol.ANY)
    settings.has_streams = int(any(row.vserver.protocol not in datagrams for row in rows.vservers.values()))
    settings.any_vservers = sum(row.vserver.protocol is Protocol.ANY for row in rows.vservers.values())
    _write_addresses(array, bank, configuration, rows, kept or {})
    for number, row in rows.services.items():
        _write_service(array, arena, bank, number, row.service, configuration, texts)
        _service(array, arena, bank, number).state = RowState.DRAINING if row.draining else RowState.ACTIVE
    _write_vservers(array, arena, bank, rows, configuration, texts)
    if len(texts.content) > texts_room(arena):
        raise TableFullError(
            f"limits.services: names, addresses and requests of monitors take {len(texts.content):,} bytes, but there"
            f" is room for {texts_room(arena):,}; deploy with a larger limits.services"
        )
    texts.write(array, arena.texts)


def texts_room(arena: Arena) -> int:
    """Return the bytes that the texts of one bank may take."""
    return (arena.texts_size - arena.texts_fixed) // 2


def _texts_of(arena: Arena, bank: int) -> Texts:
    return Texts(arena.texts_fixed + (texts_room(arena) if bank else 0))


def _write_settings(array: Bytes, arena: Arena, bank: int, configuration: Configuration, epoch: int) -> None:
    settings, tcp = view(Settings, array, arena.settings + bank), configuration.tcp
    settings.epoch = epoch
    settings.initial_window, settings.sack = tcp.initial_window, int(tcp.sack)
    settings.pacing, settings.ecn = int(tcp.pacing), ECN[tcp.ecn]
    settings.mtu_probing = MTU_PROBING[tcp.mtu_probing]
    settings.nagle, settings.cork_us = int(tcp.nagle), tcp.cork
    settings.delayed_ack_us = tcp.delayed_ack
    settings.min_rto_us, settings.max_rto_us = tcp.min_rto, tcp.max_rto
    settings.syn_retries, settings.retries = tcp.syn_retries, tcp.retries
    settings.keepalive_us, settings.user_us = configuration.timeouts.keepalive, configuration.timeouts.user
    settings.challenge_limit, settings.fast_open_limit = tcp.challenge_acks, tcp.fast_open or 0
    settings.reset_limit, settings.error_limit = tcp.stray_resets, configuration.limits.icmp_errors
    settings.echo_limit = configuration.limits.echo_replies
    settings.idle_limit = configuration.limits.idle_server_connections
    settings.splices = int(any(vserver.mode is Mode.SPLICE for vserver in configuration.vservers))


def _write_addresses(
    array: Bytes, bank: int, configuration: Configuration, rows: Rows, kept: Mapping[IpAddress, int]
) -> None:
    """Enter SNIPs and VIPs; a VIP belongs to the NIC on whose network it is, or to the first."""
    base = array.ctypes.data
    snips = {address.ip: index for index, nic in enumerate(configuration.nics) for address in nic.addresses}
    for snip, index in {**kept, **snips}.items():
        add_address(base, bank, *words_of(str(snip)), int(AddressKind.SNIP), index)
    for row in rows.vservers.values():
        vip = row.vserver.address.address
        add_address(base, bank, *words_of(str(vip)), int(AddressKind.VIP), _nic_of(configuration.nics, vip))
    keep_given_up(array, bank)


def _nic_of(nics: tuple[Nic, ...], address: IpAddress) -> int:
    return next((index for index, nic in enumerate(nics) if nic.reaches(address)), 0)


def _service(array: Bytes, arena: Arena, bank: int, number: int) -> ServiceRecord:
    return view(ServiceRecord, array, arena.services + bank + number * size_of(ServiceRecord))


def _write_service(
    array: Bytes, arena: Arena, bank: int, number: int, service: Service, configuration: Configuration, texts: Texts
) -> None:
    """Write a service; the probes are shared out among the engines."""
    record = _service(array, arena, bank, number)
    record.high, record.low = words_of(str(service.address.address))
    record.port, record.weight = service.address.port, service.weight
    record.route = route_to(array, arena, configuration, service.address.address)
    record.congestion = CONGESTION[service.congestion or configuration.tcp.congestion]
    record.mss = service.mss or 0
    record.host, record.host_length = texts.add(str(service.address).encode("ascii"))
    record.name, record.name_length = texts.add(service.name.encode("ascii"))
    record.monitor_engine = number % configuration.appliance.engines
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


def _write_vservers(
    array: Bytes, arena: Arena, bank: int, rows: Rows, configuration: Configuration, texts: Texts
) -> None:
    """Write the vServers, their bindings, and the index by which those that do not drain are found."""
    place = arena.binding_count // 2 if bank else 0
    for number, row in rows.vservers.items():
        record = view(Vserver, array, arena.vservers + bank + number * size_of(Vserver))
        _write_vserver(record, row, configuration, texts)
        record.first_binding = place
        for service in row.services:
            binding = view(Binding, array, arena.bindings + place * size_of(Binding))
            binding.service, binding.weight = service, rows.services[service].service.weight
            place += 1
        if not row.draining:
            index_vserver(array.ctypes.data, bank, number)


def _write_vserver(record: Vserver, row: VserverRow, configuration: Configuration, texts: Texts) -> None:
    vserver = row.vserver
    record.high, record.low = words_of(str(vserver.address.address))
    record.port = vserver.address.port
    record.protocol, record.method = PROTOCOLS[vserver.protocol], METHODS[vserver.method]
    record.bindings = len(row.services)
    record.congestion = CONGESTION[vserver.congestion or configuration.tcp.congestion]
    record.name, record.name_length = texts.add(vserver.name.encode("ascii"))
    record.state = RowState.DRAINING if row.draining else RowState.ACTIVE
    record.engines = row.engines
    _write_limits(record, configuration, vserver)
    _write_tcp(record, configuration, vserver)
    _write_key(record, configuration, vserver, texts)


def _write_limits(record: Vserver, configuration: Configuration, vserver: VServer) -> None:
    timeouts, http = configuration.timeouts_of(vserver), vserver.http
    record.client_idle_us, record.header_us = timeouts.client_idle, timeouts.header
    record.connect_us, record.server_us, record.udp_us = timeouts.connect, timeouts.server, timeouts.udp
    record.x_forwarded_for, record.via = int(http.x_forwarded_for), int(http.via)
    record.max_header, record.max_request_line = http.max_header, http.max_request_line
    record.max_fields = http.max_fields
    record.max_body = -1 if http.max_body is None else http.max_body
    record.access_log = int(http.access_log)


def _write_tcp(record: Vserver, configuration: Configuration, vserver: VServer) -> None:
    timeouts, own, tcp = configuration.timeouts_of(vserver), vserver.tcp, configuration.tcp
    record.keepalive_us, record.time_wait_us, record.user_us = timeouts.keepalive, timeouts.time_wait, timeouts.user
    record.fin_wait_us = timeouts.fin_wait
    record.syn_cookies = COOKIES[own.syn_cookies or tcp.syn_cookies]
    record.half_open_limit, record.connection_limit = own.half_open or 0, own.connections or 0
    record.mss, record.send_limit = own.mss or 0, own.send_buffer or 0
    record.splice = int(vserver.mode is Mode.SPLICE)


def _write_key(record: Vserver, configuration: Configuration, vserver: VServer, texts: Texts) -> None:
    """Write what decides which engine serves a client; where there is one engine at most, nothing has to be."""
    several = configuration.appliance.engine_room > 1 and vserver.protocol in (Protocol.HTTP, Protocol.TCP)
    if several and configuration.distribution.parallelism is Parallelism.FUNCTIONAL:
        record.arrival = Arrival.FUNCTION
    if several and vserver.unit is Unit.TRANSACTION:
        record.arrival = Arrival.TRANSACTION
    if vserver.key is None:
        return
    record.key_kind = KEY_KINDS[vserver.key.kind]
    record.key_name, record.key_name_length = texts.add(vserver.key.name.encode("ascii"))
    if several:
        record.arrival = Arrival.KEY


def write_port_owners(array: Bytes, arena: Arena, there: int) -> None:
    """Write which engine owns which source port; nobody owns those of engines that are not there yet."""
    owners = array[arena.port_owners : arena.port_owners + PORTS]
    owners[:] = NO_OWNER
    for engine, (first, count) in enumerate(port_ranges(arena.engine_count)[:there]):
        owners[first : first + count] = engine
