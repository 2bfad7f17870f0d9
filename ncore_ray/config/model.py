"""The whole configuration of an appliance: one frozen value. `load.parse` makes it from YAML.

Spans are integers in µs, sizes in bytes, shares in parts per million; docs/configuration.md is the reference.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from ncore_ray.config.access import AccessLog, LogFormat
from ncore_ray.config.addresses import Endpoint
from ncore_ray.config.appliance import (
    Algorithm,
    Appliance,
    Distribution,
    Fanout,
    Forwarding,
    Function,
    HashFunction,
    KeyField,
    Parallelism,
    Placement,
    Replication,
)
from ncore_ray.config.checks import NAMED_SECTIONS, Draft, cross_check
from ncore_ray.config.expect import Finding
from ncore_ray.config.management import Logs, Source, Statistics
from ncore_ray.config.nics import Driver, Faults, Nic
from ncore_ray.config.overrides import Override
from ncore_ray.config.section import Section
from ncore_ray.config.servers import (
    HttpMonitor,
    HttpOptions,
    Method,
    Mode,
    Monitor,
    PayloadKey,
    Protocol,
    Service,
    TcpMonitor,
    Unit,
    VServer,
)
from ncore_ray.config.transport import Limits, OwnTcp, SynCookies, Tcp, TimeoutOverrides, Timeouts
from ncore_ray.config.words import entries, none_is

__all__ = [
    "AccessLog",
    "Algorithm",
    "Appliance",
    "Configuration",
    "Distribution",
    "Driver",
    "Endpoint",
    "Fanout",
    "Faults",
    "Forwarding",
    "Function",
    "HashFunction",
    "HttpMonitor",
    "HttpOptions",
    "KeyField",
    "Limits",
    "LogFormat",
    "Logs",
    "Method",
    "Mode",
    "Monitor",
    "Nic",
    "Override",
    "OwnTcp",
    "Parallelism",
    "PayloadKey",
    "Placement",
    "Protocol",
    "Replication",
    "Service",
    "Source",
    "Statistics",
    "SynCookies",
    "Tcp",
    "TcpMonitor",
    "TimeoutOverrides",
    "Timeouts",
    "Unit",
    "VServer",
]


class Configuration(Section):
    """Everything that a configuration file says, checked."""

    is_whole = True

    appliance: Appliance
    distribution: Distribution = Distribution()
    overrides: tuple[Override, ...] = ()
    """What holds for one engine only."""
    nics: Annotated[tuple[Nic, ...], entries(1, 64, once=False)]
    services: tuple[Service, ...] = ()
    vservers: tuple[VServer, ...] = ()
    timeouts: Timeouts = Timeouts()
    tcp: Tcp = Tcp()
    limits: Limits = Limits()
    access_log: Annotated[AccessLog | None, *none_is("none")] = None
    """A line for each HTTP request; None: there is no access log."""
    logs: Logs = Logs()
    statistics: Statistics = Statistics()

    def service(self, name: str) -> Service:
        """Return the service of a name; `KeyError` when there is none."""
        return {service.name: service for service in self.services}[name]

    def override(self, engine: int) -> Override:
        """Return what holds for one engine only, if anything does."""
        found = (one for one in self.overrides if one.engine == engine)
        return next(found, Override(name=f"engine-{engine}"))

    def functions(self) -> tuple[Function, ...]:
        """Return the function of each engine."""
        engines = self.appliance.engines
        listed = self.distribution.functions_of(engines)
        return tuple(self.override(k).function or listed[k] for k in range(engines))

    @property
    def nic_room(self) -> int:
        """How many NICs the arena has room for."""
        return max(len(self.nics), self.appliance.max_nics or 0)

    def timeouts_of(self, vserver: VServer) -> Timeouts:
        """Return the timeouts of a vServer: its own, else the appliance's."""
        return self.timeouts.overridden_by(vserver.timeouts)

    def findings(self) -> Iterator[Finding]:
        """Yield what does not fit together between the sections."""
        yield from cross_check(
            Draft(
                nics=self.nics,
                overrides=self.overrides,
                services=self.services,
                vservers=self.vservers,
                appliance=self.appliance,
                distribution=self.distribution,
                timeouts=self.timeouts,
                wanted=[vserver.services for vserver in self.vservers],
                names={section: [entry.name for entry in getattr(self, section)] for section in NAMED_SECTIONS},
            )
        )
