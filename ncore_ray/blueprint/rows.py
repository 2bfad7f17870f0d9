"""Which row of the arena's tables each service and vServer has, and what it keeps when the configuration changes.

A row is the number by which connections name a service or vServer, so it stays as it is while one of them lives: what
is configured no more drains, and its row is free when nothing names it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from ncore_ray.blueprint.parallelism import application_engines
from ncore_ray.config.addresses import IpAddress
from ncore_ray.config.model import (
    Configuration,
    HttpMonitor,
    Parallelism,
    Service,
    TimeoutOverrides,
    Timeouts,
    Unit,
    VServer,
)
from ncore_ray.config.transport import CongestionControl, SynCookies
from ncore_ray.errors import NcoreError

SPARE: Final = 64
"""Rows of services and of vServers at least, unless the configuration says how many."""
_SPARE_BINDINGS: Final = 256
OWN_TIMEOUTS: Final = (
    "client_idle",
    "header",
    "connect",
    "server",
    "keepalive",
    "time_wait",
    "fin_wait",
    "user",
    "udp",
)
"""Time-outs that stand in a vServer's row."""
_LIVE_LIMITS: Final = ("idle_server_connections", "icmp_errors", "echo_replies")


class TableFullError(NcoreError):
    """More services, vServers or bindings than the tables have rows for."""


@dataclass(frozen=True)
class Capacity:
    """How many rows the tables have."""

    services: int
    vservers: int
    bindings: int


@dataclass(frozen=True)
class ServiceRow:
    """One service."""

    service: Service
    draining: bool = False


@dataclass(frozen=True)
class VserverRow:
    """One vServer."""

    vserver: VServer
    services: tuple[int, ...]
    """Rows of its services."""
    engines: int
    """Those that may serve its clients, a bit for each."""
    draining: bool = False


@dataclass(frozen=True)
class Rows:
    """The tables, by the number of the row; free rows are missing."""

    services: Mapping[int, ServiceRow] = field(default_factory=dict)
    vservers: Mapping[int, VserverRow] = field(default_factory=dict)


@dataclass(frozen=True)
class Named:
    """The rows that something in the data plane still names."""

    services: Set[int] = frozenset()
    vservers: Set[int] = frozenset()
    routes: Set[int] = frozenset()
    snips: Mapping[IpAddress, int] = field(default_factory=dict)
    """Addresses towards services, with their NICs."""


NOTHING: Final = Named()


def capacity_of(configuration: Configuration) -> Capacity:
    """Return the rows of the tables: as the configuration says, else room for twice as many."""
    limits = configuration.limits
    bindings = sum(len(vserver.services) for vserver in configuration.vservers)
    return Capacity(
        limits.services or max(2 * len(configuration.services), SPARE),
        limits.vservers or max(2 * len(configuration.vservers), SPARE),
        limits.bindings or max(2 * bindings, _SPARE_BINDINGS),
    )


def effective(configuration: Configuration) -> Configuration:
    """Return a configuration in the form in which the data plane can give it back: nothing is said twice.

    What holds for all vServers or services stands in each of them, and they are in the order of their names.
    """
    tcp = configuration.tcp
    services = [_effective_service(service, tcp.congestion) for service in configuration.services]
    vservers = [_effective_vserver(configuration, vserver) for vserver in configuration.vservers]
    general = configuration.timeouts
    timeouts = Timeouts(keepalive=general.keepalive, time_wait=general.time_wait, user=general.user)
    return configuration.model_copy(
        update={
            "services": tuple(sorted(services, key=lambda service: service.name)),
            "vservers": tuple(sorted(vservers, key=lambda vserver: vserver.name)),
            "timeouts": timeouts,
            "tcp": tcp.model_copy(update={"congestion": CongestionControl.CUBIC, "syn_cookies": SynCookies.AUTO}),
        }
    )


def _effective_service(service: Service, congestion: CongestionControl) -> Service:
    monitor = service.monitor
    if isinstance(monitor, HttpMonitor) and monitor.host == str(service.address):
        monitor = monitor.model_copy(update={"host": None})  # it is so anyway
    return service.model_copy(update={"congestion": service.congestion or congestion, "monitor": monitor})


def _effective_vserver(configuration: Configuration, vserver: VServer) -> VServer:
    timeouts = configuration.timeouts_of(vserver)
    own = TimeoutOverrides(**{key: getattr(timeouts, key) for key in OWN_TIMEOUTS})
    tcp = configuration.tcp
    congestion = vserver.congestion or tcp.congestion
    own_tcp = {"syn_cookies": vserver.tcp.syn_cookies or tcp.syn_cookies}
    unit = vserver.unit if configuration.appliance.engine_room > 1 else Unit.FLOW  # nothing has to be decided
    return vserver.model_copy(
        update={
            "timeouts": own,
            "congestion": congestion,
            "tcp": vserver.tcp.model_copy(update=own_tcp),
            "engines": None,
            "unit": unit,
        }
    )


def configuration_of(rows: Rows, static: Configuration, live: Configuration) -> Configuration:
    """Return what some rows stand for, in effective form.

    ``static`` is what never changes while the appliance runs, ``live`` what its engines themselves work by.
    """
    limits = static.limits.model_copy(update={key: getattr(live.limits, key) for key in _LIVE_LIMITS})
    services = (row.service for row in rows.services.values() if not row.draining)
    vservers = (row.vserver for row in rows.vservers.values() if not row.draining)
    return static.model_copy(
        update={
            "services": tuple(sorted(services, key=lambda service: service.name)),
            "vservers": tuple(sorted(vservers, key=lambda vserver: vserver.name)),
            "timeouts": live.timeouts,
            "tcp": live.tcp,
            "limits": limits,
        }
    )


def plan_rows(before: Rows, wanted: Configuration, capacity: Capacity, named: Named = NOTHING) -> Rows:
    """Return the rows for a configuration: known ones stay, what is not wanted drains, what has drained goes.

    Raises:
        TableFullError: there are not rows enough.
    """
    services = _plan_services(before, wanted, capacity, named)
    numbers = {row.service.name: number for number, row in services.items() if not row.draining}
    vservers = _plan_vservers(before, wanted, capacity, named, numbers)
    for number in [number for number in vservers if _has_drained(before.vservers, vservers, number, named.vservers)]:
        del vservers[number]
    bound = {service for row in vservers.values() for service in row.services}
    kept = named.services | bound
    for number in [number for number in services if _has_drained(before.services, services, number, kept)]:
        del services[number]
    rows = Rows(services, vservers)
    _check_bindings(rows, capacity)
    return rows


_Row = TypeVar("_Row", ServiceRow, VserverRow)


def _has_drained(before: Mapping[int, _Row], after: Mapping[int, _Row], number: int, kept: Set[int]) -> bool:
    return number in before and before[number].draining and after[number].draining and number not in kept


def _active_last(rows: Mapping[int, _Row]) -> list[tuple[int, _Row]]:
    return sorted(rows.items(), key=lambda item: not item[1].draining)


def _free(count: int, taken: Set[int]) -> Iterator[int]:
    return (number for number in range(count) if number not in taken)


def _draining(row: ServiceRow) -> ServiceRow:
    """Return the row of a service that drains: it is probed no more, or there would always be a probe that names it."""
    return ServiceRow(row.service.model_copy(update={"monitor": None}), draining=True)


def _plan_services(before: Rows, wanted: Configuration, capacity: Capacity, named: Named) -> dict[int, ServiceRow]:
    known = {(row.service.name, row.service.address): number for number, row in _active_last(before.services)}
    rows = {number: _draining(row) for number, row in before.services.items()}
    free = _free(capacity.services, rows.keys() | named.services)
    for service in wanted.services:
        number = known.get((service.name, service.address))
        number = next(free, None) if number is None else number
        if number is None:
            raise _full("services", capacity.services)
        rows[number] = ServiceRow(_effective_service(service, wanted.tcp.congestion))
    return rows


def _plan_vservers(
    before: Rows, wanted: Configuration, capacity: Capacity, named: Named, numbers: Mapping[str, int]
) -> dict[int, VserverRow]:
    known = {_identity(row.vserver): number for number, row in _active_last(before.vservers)}
    rows = {number: replace(row, draining=True) for number, row in before.vservers.items()}
    free = _free(capacity.vservers, rows.keys() | named.vservers)
    for vserver in wanted.vservers:
        number = known.get(_identity(vserver))
        number = next(free, None) if number is None else number
        if number is None:
            raise _full("vservers", capacity.vservers)
        settled = wanted.distribution.parallelism is Parallelism.VIP and number in rows
        engines = rows[number].engines if settled else application_engines(wanted, vserver)
        services = tuple(numbers[name] for name in vserver.services)
        rows[number] = VserverRow(_effective_vserver(wanted, vserver), services, engines)
    return rows


def _identity(vserver: VServer) -> Hashable:
    """Return what a connection relies on: another address or protocol is another vServer."""
    return vserver.name, vserver.address, vserver.protocol


def _full(section: str, count: int) -> TableFullError:
    return TableFullError(
        f"limits.{section}: all {count} rows of the table are taken, by {section} that are configured or still drain;"
        f" wait for those that drain, or deploy with a larger limits.{section}"
    )


def _check_bindings(rows: Rows, capacity: Capacity) -> None:
    count = sum(len(row.services) for row in rows.vservers.values())
    if count > capacity.bindings:
        raise TableFullError(
            f"limits.bindings: {count} services of vServers, those that drain counted, do not fit into the"
            f" {capacity.bindings} rows of the table; deploy with a larger limits.bindings"
        )
