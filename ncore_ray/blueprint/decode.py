"""The configured tables of one bank, read back: what the data plane works by, whoever wrote it."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any, Final

import numpy as np

from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes
from ncore_ray.blueprint.rows import OWN_TIMEOUTS, Rows, ServiceRow, VserverRow
from ncore_ray.blueprint.words import CONGESTION, COOKIES, ECN, KEY_KINDS, METHODS, MTU_PROBING, PROTOCOLS
from ncore_ray.config.addresses import Endpoint
from ncore_ray.config.model import (
    Configuration,
    HttpMonitor,
    HttpOptions,
    Method,
    Mode,
    Monitor,
    OwnTcp,
    PayloadKey,
    Protocol,
    Service,
    SynCookies,
    TcpMonitor,
    TimeoutOverrides,
    Timeouts,
    Unit,
    VServer,
)
from ncore_ray.machine.record import size_of, table, view
from ncore_ray.tables.service import Arrival, Binding, MonitorKind, RowState, Vserver
from ncore_ray.tables.service import Service as ServiceRecord
from ncore_ray.wire.address import text_of

_CONGESTION: Final = {int(word): name for name, word in CONGESTION.items()}
_COOKIES: Final = {int(word): name for name, word in COOKIES.items()}
_ECN: Final = {int(word): name for name, word in ECN.items()}
_KEY_KINDS: Final = {int(word): name for name, word in KEY_KINDS.items()}
_MTU_PROBING: Final = {int(word): name for name, word in MTU_PROBING.items()}
_METHODS: Final = {int(word): name for name, word in METHODS.items()}
_PROTOCOLS: Final = {int(word): name for name, word in PROTOCOLS.items()}


def read_rows(array: Bytes, bank: int) -> Rows:
    """Return the rows of a bank. A vServer that the look-up does not find counts as one that drains."""
    arena = view(Arena, array)
    services = {number: _service(array, arena, record) for number, record in _used(array, ServiceRecord, bank)}
    weights = _weights(array, arena, bank)
    services = {number: _weighed(row, weights.get(number, set())) for number, row in services.items()}
    names = {number: row.service.name for number, row in services.items()}
    listed = _listed(array, arena, bank)
    vservers = {
        number: _vserver(array, arena, record, names, is_listed=number in listed)
        for number, record in _used(array, Vserver, bank)
    }
    return Rows(services, vservers)


def _used(array: Bytes, record: Any, bank: int) -> Iterator[tuple[int, Any]]:
    """Yield number and record of the rows that are not free."""
    arena = view(Arena, array)
    is_service = record is ServiceRecord
    start = (arena.services if is_service else arena.vservers) + bank
    count = arena.service_count if is_service else arena.vserver_count
    for number in np.flatnonzero(table(record, array, start, count)["state"] != RowState.FREE):
        yield int(number), view(record, array, start + int(number) * size_of(record))


def _listed(array: Bytes, arena: Arena, bank: int) -> set[int]:
    start = arena.vserver_index + bank
    entries = array[start : start + 4 * arena.vserver_index_size].view("<u4")
    return {int(entry) - 1 for entry in entries if entry}


def _text(array: Bytes, arena: Arena, offset: int, length: int) -> str:
    return array[arena.texts + offset : arena.texts + offset + length].tobytes().decode("latin-1")


def _endpoint(record: Any) -> Endpoint:
    return Endpoint(ip_address(text_of(record.high, record.low)), record.port)


def _bindings(array: Bytes, arena: Arena, record: Vserver) -> list[tuple[int, int]]:
    """Return (service, weight) of each binding of a vServer."""
    rows = table(Binding, array, arena.bindings, arena.binding_count)
    found = rows[record.first_binding : record.first_binding + record.bindings]
    return [(int(row["service"]), int(row["weight"])) for row in found]


def _weights(array: Bytes, arena: Arena, bank: int) -> dict[int, set[int]]:
    """Return the weights that the vServers which do not drain give each service: there should be one."""
    weights: dict[int, set[int]] = {}
    for _, record in _used(array, Vserver, bank):
        for service, weight in _bindings(array, arena, record):
            weights.setdefault(service, set()).add(weight)
    return weights


def _weighed(row: ServiceRow, weights: set[int]) -> ServiceRow:
    """Return a service with the weight that it has: what a vServer gives it, and of several what is not its own."""
    others = sorted(weights - {row.service.weight})
    if not others:
        return row
    return ServiceRow(row.service.model_copy(update={"weight": others[0]}), row.draining)


def _service(array: Bytes, arena: Arena, record: ServiceRecord) -> ServiceRow:
    service = Service.model_construct(
        name=_text(array, arena, record.name, record.name_length),
        address=_endpoint(record),
        weight=record.weight,
        monitor=_monitor(array, arena, record),
        congestion=_CONGESTION.get(record.congestion),
        mss=record.mss or None,
    )
    return ServiceRow(service, record.state == RowState.DRAINING)


def _monitor(array: Bytes, arena: Arena, record: ServiceRecord) -> Monitor:
    if record.monitor == MonitorKind.NONE:
        return None
    times: dict[str, Any] = {
        "interval": record.interval_us,
        "timeout": record.timeout_us,
        "fall": record.fall,
        "rise": record.rise,
    }
    if record.monitor == MonitorKind.TCP:
        return TcpMonitor.model_construct(**times)
    path, host = _request(_text(array, arena, record.probe, record.probe_length))
    address = str(_endpoint(record))
    return HttpMonitor.model_construct(
        path=path,
        host=None if host == address else host,
        expect=(record.expect_low, record.expect_high),
        **times,
    )


def _request(text: str) -> tuple[str, str]:
    """Return path and Host field of a probe's request."""
    line, host, *_ = [*text.split("\r\n"), "", ""]
    return line.removeprefix("GET ").removesuffix(" HTTP/1.1"), host.removeprefix("Host: ")


def _vserver(array: Bytes, arena: Arena, record: Vserver, names: dict[int, str], *, is_listed: bool) -> VserverRow:
    services = tuple(service for service, _ in _bindings(array, arena, record))
    times = {key: getattr(record, f"{key}_us") for key in OWN_TIMEOUTS}
    vserver = VServer.model_construct(
        name=_text(array, arena, record.name, record.name_length),
        address=_endpoint(record),
        protocol=_PROTOCOLS.get(record.protocol, Protocol.TCP),
        services=tuple(names.get(service, "?") for service in services),
        method=_METHODS.get(record.method, Method.ROUNDROBIN),
        timeouts=TimeoutOverrides.model_construct(**times),
        congestion=_CONGESTION.get(record.congestion),
        tcp=_tcp(record),
        http=_http(record),
        key=_key(array, arena, record),
        unit=Unit.TRANSACTION if record.arrival == Arrival.TRANSACTION else Unit.FLOW,
        mode=Mode.SPLICE if record.splice else Mode.PROXY,
    )
    return VserverRow(vserver, services, record.engines, draining=record.state == RowState.DRAINING or not is_listed)


def _tcp(record: Vserver) -> OwnTcp:
    return OwnTcp.model_construct(
        syn_cookies=_COOKIES.get(record.syn_cookies),
        half_open=record.half_open_limit or None,
        connections=record.connection_limit or None,
        mss=record.mss or None,
        send_buffer=record.send_limit or None,
    )


def _http(record: Vserver) -> HttpOptions:
    return HttpOptions.model_construct(
        x_forwarded_for=bool(record.x_forwarded_for),
        via=bool(record.via),
        max_header=record.max_header,
        max_request_line=record.max_request_line,
        max_fields=record.max_fields,
        max_body=None if record.max_body < 0 else record.max_body,
        access_log=bool(record.access_log),
    )


def _key(array: Bytes, arena: Arena, record: Vserver) -> PayloadKey | None:
    if not record.key_name_length:
        return None
    name = _text(array, arena, record.key_name, record.key_name_length)
    fields: dict[str, Any] = {_KEY_KINDS.get(record.key_kind, "cookie"): name}
    return PayloadKey.model_construct(**fields)


def read_live(settings: Any, static: Configuration) -> Configuration:
    """Return what an engine's header, or the settings of a bank, say of engines as a whole; the rest is ``static``."""
    timeouts = Timeouts.model_construct(
        keepalive=settings.keepalive_us, time_wait=static.timeouts.time_wait, user=settings.user_us
    )
    tcp = {
        "initial_window": settings.initial_window,
        "sack": bool(settings.sack),
        "pacing": bool(settings.pacing),
        "ecn": _ECN.get(settings.ecn),
        "mtu_probing": _MTU_PROBING.get(settings.mtu_probing),
        "nagle": bool(settings.nagle),
        "cork": settings.cork_us,
        "delayed_ack": settings.delayed_ack_us,
        "min_rto": settings.min_rto_us,
        "max_rto": settings.max_rto_us,
        "syn_retries": settings.syn_retries,
        "retries": settings.retries,
        "congestion": Configuration.model_fields["tcp"].default.congestion,
        "syn_cookies": SynCookies.AUTO,
        "challenge_acks": settings.challenge_limit,
        "stray_resets": settings.reset_limit,
        "fast_open": settings.fast_open_limit or None,
    }
    limits = {
        "idle_server_connections": settings.idle_limit,
        "icmp_errors": settings.error_limit,
        "echo_replies": settings.echo_limit,
    }
    return static.model_copy(
        update={
            "timeouts": timeouts,
            "tcp": static.tcp.model_copy(update=tcp),
            "limits": static.limits.model_copy(update=limits),
        }
    )
