"""What a management does of its own accord, from its beginning to its end: it watches, repairs, scales, writes down."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Final

from ncore_ray.blueprint.queues import plan_queues
from ncore_ray.management import counters
from ncore_ray.management.access.log import AccessLogWriter
from ncore_ray.management.exporting import exporting
from ncore_ray.management.health import HealthWatch
from ncore_ray.management.history import History
from ncore_ray.management.nics import NicKeeper
from ncore_ray.management.parts import Parts
from ncore_ray.management.pulse import Pulse, Tell
from ncore_ray.management.repair import Repair
from ncore_ray.management.samples import Sampler, sample
from ncore_ray.management.scaling import Scaling
from ncore_ray.management.seat import NotActiveError
from ncore_ray.management.team import Member
from ncore_ray.metrics.ring_words import ring_words
from ncore_ray.metrics.thread import ExportThread

_US: Final = 1_000_000

log: Final = logging.getLogger("ncore_ray")


class Duties:
    """Of one management: threads, each with its own."""

    def __init__(
        self,
        parts: Parts,
        tell: Tell,
        *,
        started_at: float,
        state: Callable[[], str],
        on_repaired: Callable[[], None],
        order: Sequence[int],
        archived: dict[Hashable, int],
        history: History | None,
    ) -> None:
        """Make everything ready.

        Args:
            parts: what there is of the appliance.
            tell: takes events.
            started_at: when the appliance was built.
            state: returns what it is up to.
            on_repaired: called after every repair.
            order: the engines, in the order of their receive queues.
            archived: totals of metrics that a former management counted.
            history: what samples are taken for; None: somebody else takes them.
        """
        built, array = parts.built, parts.mapping.array
        self._parts, self._tell = parts, tell
        self._health = HealthWatch(lambda: counters.health_of_all(array), tell)
        self._sampler = None if history is None else Sampler(history, lambda: sample(array, built.source))
        self._export = ExportThread(lambda: exporting(built, parts.office, started_at, state, archived))
        access = built.configuration.access_log
        self._access = None if access is None else AccessLogWriter(access, array, tell)
        pulse = self._watch_breaths()
        self.repair = self._repairing(pulse, on_repaired, order)
        self.scaling = Scaling(parts.team, self.repair, pulse, array, lambda: built.configuration, tell, on_repaired)
        self.nics = NicKeeper(parts.team, self.repair, pulse.names, array, parts.team.seats, tell, parts.note_seats)
        self.scaling.also = lambda: self.nics.look(built.configuration.appliance.drain_time / _US)

    def _watch_breaths(self) -> Pulse:
        parts = self._parts
        names = {member.number: member.name for member in parts.team.workers}
        nics = [name or f"place-{place}" for place, name in parts.built.nics()]
        array = parts.mapping.array
        return Pulse(array, names, list(ring_words(array, nics)), self._tell, self._hangs)

    def _hangs(self, name: str, why: str) -> None:
        self.repair.hangs(name, why)

    def _repairing(self, pulse: Pulse, on_repaired: Callable[[], None], order: Sequence[int]) -> Repair:
        parts = self._parts
        return Repair(
            parts.team,
            parts.place,
            pulse,
            lambda members: plan_queues(parts.team.blueprint, parts.mapping.array, members),
            self._tell,
            on_repaired,
            order,
            parts.built.configuration.appliance.standbys,
            self._renew,
        )

    def _renew(self) -> None:
        """Renew the lease. A management that has lost it ends at once: another one is at work."""
        try:
            self._parts.office.seat.renew()
        except NotActiveError:
            log.error("another management of %s is at work: process %s ends", self._parts.team.name, os.getpid())
            os._exit(1)

    def begin(self, pauses: Mapping[str, Sequence[float]], standbys: Sequence[Member], *, resumed: bool) -> None:
        """Start all threads.

        Args:
            pauses: of crash loops, as a former management noted them.
            standbys: processes that waited for a former management.
            resumed: whether there was one.
        """
        if resumed:
            self._health.begin()
        self._health.start()
        if self._sampler is not None:
            self._sampler.start()
        self._export.start()
        if self._access is not None:
            self._access.start()
        self.repair.pauses.restore(pauses)
        self.repair.adopt(standbys)
        self.repair.start()
        self._parts.built.state_of_engine = self.scaling.state_of
        self.scaling.start()

    def stop(self) -> None:
        """End all threads but the one that writes the access log: the engines may have more to say."""
        if self._sampler is not None:
            self._sampler.stop()
        self.scaling.stop()
        self._health.stop()
        self._export.stop()
        self.repair.stop()

    def finish(self) -> None:
        """Write what the engines have said to their end."""
        if self._access is not None:
            self._access.stop()
