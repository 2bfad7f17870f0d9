"""What metrics tell beside the arena's counters: state, life of the actors, health of the services."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from ncore_ray.machine.system import monotonic_us
from ncore_ray.management import counters
from ncore_ray.management.directory import names_by_row, service_rows, vserver_rows
from ncore_ray.management.report import Reporter
from ncore_ray.metrics.exporter import Vital
from ncore_ray.metrics.words import Names

STATES: Final = ("running", "draining", "degraded")
_SECOND: Final = 1e6


class Vitals:
    """Reads them from a running appliance."""

    def __init__(self, reporter: Reporter, started_at: float, state: Callable[[], str]) -> None:
        self._reporter = reporter
        self._started_at = started_at
        self._state = state

    def names(self) -> Names:
        """Return what the rows of the arena's tables are called."""
        configuration = self._reporter.configuration
        return Names(
            configuration.appliance.name,
            [name for _, name in self._reporter.nics()],
            names_by_row(vserver_rows(self._reporter.array)),
            names_by_row(service_rows(self._reporter.array)),
            self._reporter.cores(),
        )

    def __call__(self) -> Iterator[Vital]:
        """Yield all values of now."""
        configuration = self._reporter.configuration
        yield Vital("vitals.start_time", {}, self._started_at)
        yield Vital("vitals.engines", {}, configuration.appliance.engines)
        yield Vital("vitals.arena", {}, self._reporter.team.blueprint.size)
        now = self._state()
        for state in STATES:
            yield Vital(f"vitals.state.{state}", {}, int(now == state))
        yield from self._actors()
        yield from self._health()

    def _actors(self) -> Iterator[Vital]:
        now = monotonic_us()
        array = self._reporter.array
        for member in self._reporter.team.members:
            label = {"actor": member.name}
            lives = member.failure is None
            if member.number >= 0:
                lives = lives and counters.core_state(array, member.number) == "running"
                age = max(now - counters.core_view(array, member.number).heartbeat_at, 0) / _SECOND
                yield Vital("vitals.heartbeat_age", label, age)
            yield Vital("vitals.actor_up", label, int(lives))

    def _health(self) -> Iterator[Vital]:
        up = {name: int(word == "up") for name, word in self._reporter.health().items()}
        for name, value in up.items():
            yield Vital("vitals.service_up", {"service": name}, value)
        for vserver in self._reporter.configuration.vservers:
            label = {"vserver": vserver.name}
            yield Vital("vitals.vserver_services", label, len(vserver.services))
            yield Vital("vitals.vserver_services_up", label, sum(up.get(name, 0) for name in vserver.services))
