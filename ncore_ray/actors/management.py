"""The Management actor: builds the appliance, watches it, answers questions about it, takes it down."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import ray

from ncore_ray.actors.mapping import Mapping
from ncore_ray.arena.core import Drain
from ncore_ray.blueprint.build import build, draw
from ncore_ray.blueprint.placement import CorePlan, place
from ncore_ray.blueprint.queues import plan_queues
from ncore_ray.blueprint.records import digest
from ncore_ray.config.load import dump, parse
from ncore_ray.config.model import Configuration
from ncore_ray.errors import NcoreError
from ncore_ray.management import counters
from ncore_ray.management.access.log import AccessLogWriter
from ncore_ray.management.configuration import ConfigurationService
from ncore_ray.management.events import Event, EventLog, farewell
from ncore_ray.management.health import HealthWatch
from ncore_ray.management.live import LiveTables
from ncore_ray.management.processes import wait_until
from ncore_ray.management.pulse import Pulse
from ncore_ray.management.repair import Place, Repair
from ncore_ray.management.report import Reporter
from ncore_ray.management.scaling import Scaling
from ncore_ray.management.store import SqliteStore, Store
from ncore_ray.management.survivors import survivors
from ncore_ray.management.team import NAMESPACE, Member, Team
from ncore_ray.metrics.ring_words import ring_words
from ncore_ray.metrics.thread import ExportThread

log: Final = logging.getLogger("ncore_ray")
_RECALL_S: Final = 10.0
_IDLE_S: Final = 2.0
"""How long engines may take to close idle clients."""


class Management:
    """One appliance's control plane."""

    def __init__(self, name: str, *, detached: bool) -> None:
        self.name = name
        self._detached = detached
        self._state = "new"
        self._source = ""
        self._events = EventLog()
        self._team: Team | None = None
        self._mapping: Mapping | None = None
        self._built: Reporter | None = None
        self._health: HealthWatch | None = None
        self._export: ExportThread | None = None
        self._access: AccessLogWriter | None = None
        self._configuration: ConfigurationService | None = None
        self._repair: Repair | None = None
        self._scaling: Scaling | None = None
        self._started_at = 0.0
        if detached and ray.get_runtime_context().was_current_actor_reconstructed:
            threading.Thread(target=self._rejoin, name="rejoin", daemon=True).start()

    def __repr__(self) -> str:
        return f"{self.name}/management"

    def build(self, text: str, source: str, folder: str, store: str | None = None, author: str = "") -> list[str]:
        """Build and start the appliance that a YAML text describes; return the names of its actors.

        ``store`` is the file that keeps the versions of its configuration; None: they end with it.

        Raises:
            NcoreError: something cannot be had (memory, an interface, a permission); then nothing is left behind.
        """
        configuration = parse(text, source, Path(folder))
        versions = SqliteStore(Path(store) if store else None)
        blueprint = draw(configuration)
        plan = place(configuration, sorted(os.sched_getaffinity(0)))
        self._state, self._source = "starting", source
        self._team = Team(blueprint, plan, detached=self._detached, on_failure=self._failed)
        try:
            self._built = self._assemble(self._team, plan)
            self._serve_configuration(self._built, versions, author, configuration)
        except BaseException:
            self._team.stop()
            self._state = "failed"
            raise
        known = {"text": text, "source": source, "folder": folder, "epoch": self._place.epoch, "store": store}
        self._started_at, order = time.time(), range(configuration.appliance.engines)
        self._team.owner.remember.remote({**known, "started_at": self._started_at, "order": list(order)})
        self._begin(self._built, self._team, order)
        return [member.name for member in self._team.members]

    def _rejoin(self) -> None:
        """Take over from a management that died: its actors live, and their work goes on."""
        try:
            living = survivors(self.name, NAMESPACE)
            known = ray.get(living[f"{self.name}/arena"].recall.remote(), timeout=_RECALL_S)
            configuration = parse(known["text"], known["source"], Path(known["folder"]))
            blueprint, plan = draw(configuration), place(configuration, sorted(os.sched_getaffinity(0)))
            wanted = parse(known["wanted"], known["source"]) if "wanted" in known else configuration
            engines = wanted.appliance.engines
            team = Team(blueprint, plan, detached=True, on_failure=self._failed, living=living, engines=engines)
            self._team, self._source, self._started_at = team, known["source"], known["started_at"]
            self._built = self._meet(team, known["epoch"])
            versions = SqliteStore(Path(known["store"]) if known["store"] else None)
            self._serve_configuration(self._built, versions, "management", wanted)
            self._begin(self._built, team, known["order"])
            self._events.add("warning", "the management has died, and began anew: what happened before is forgotten")
            team.join()
        except Exception as error:
            self._state = "failed"
            self._events.add("error", f"the management cannot begin anew: {error}")
            log.exception("the management of %s cannot begin anew", self.name)

    def _meet(self, team: Team, epoch: int) -> Reporter:
        """Map the arena of actors that live."""
        team.create()
        reference, node = team.arena_reference()
        self._mapping = Mapping(reference, node)
        self._mapping.check(epoch, digest())
        self._place = Place(reference, node, epoch)
        for member in team.workers:
            member.process = counters.core_view(self._mapping.array, member.number).process
        team.recognise_guests()
        return Reporter(team.blueprint.configuration, team, self._mapping.array)

    def _assemble(self, team: Team, plan: CorePlan) -> Reporter:
        team.create()  # their processes start while the arena is made
        reference, node = team.arena_reference()
        self._mapping = Mapping(reference, node)
        arena = build(self._mapping.array, team.blueprint)
        self._place = Place(reference, node, arena.epoch)
        team.attach(reference, node, arena.epoch)
        if (queues := plan_queues(team.blueprint, self._mapping.array)) is not None:
            team.open_queues(queues)
        team.start()
        return Reporter(team.blueprint.configuration, team, self._mapping.array)

    def _begin(self, built: Reporter, team: Team, order: Sequence[int]) -> None:
        self._state = "running"
        self._events.add("info", f"appliance {self.name} runs")
        self._health = HealthWatch(lambda: counters.service_health(built.array), self._events.add)
        self._health.start()
        self._export = ExportThread(lambda: self._exporting(built))
        self._export.start()
        if (access := built.configuration.access_log) is not None:
            self._access = AccessLogWriter(access, built.array, self._events.add)
            self._access.start()
        self._repair, pulse = self._repairing(built, team, order)
        self._repair.start()
        self._scaling = Scaling(
            team, self._repair, pulse, built.array, lambda: built.configuration, self._events.add, self._repaired
        )
        built.state_of_engine = self._scaling.state_of
        self._scaling.start()

    def _repairing(self, built: Reporter, team: Team, order: Sequence[int]) -> tuple[Repair, Pulse]:
        """Return what repairs the actors, and what watches their breaths."""
        names = {member.number: member.name for member in team.workers}
        nics = [nic.name for nic in built.configuration.nics]
        pulse = Pulse(built.array, names, list(ring_words(built.array, nics)), self._events.add, self._hangs)
        repair = Repair(
            team,
            self._place,
            pulse,
            lambda members: plan_queues(team.blueprint, built.array, members),
            self._events.add,
            self._repaired,
            order,
            built.configuration.appliance.standbys,
        )
        return repair, pulse

    def _hangs(self, name: str, why: str) -> None:
        if self._repair is not None:
            self._repair.hangs(name, why)

    def _repaired(self) -> None:
        """Note that everything may be well again."""
        if self._team is not None and self._repair is not None:
            self._team.owner.remember.remote({"order": self._repair.members})
        well = self._team is not None and all(member.failure is None for member in self._team.members)
        if well and self._state == "degraded":
            self._state = "running"

    def _serve_configuration(self, built: Reporter, store: Store, author: str, wanted: Configuration) -> None:
        """Keep the versions of the configuration, and let it be changed from now on."""
        blueprint = built.team.blueprint

        def changed(wanted: Configuration) -> None:
            built.configuration = wanted
            built.team.owner.remember.remote({"wanted": dump(wanted)})
            if self._scaling is not None:
                self._scaling.hurry()

        live = LiveTables(
            built.array,
            blueprint.configuration,
            blueprint.capacity,
            lambda: _living(built.team),
            lambda: built.team.working(built.configuration.appliance.engines),
        )
        self._configuration = ConfigurationService(
            store,
            live,
            blueprint.configuration,
            wanted=wanted,
            has_links=blueprint.links is not None,
            tell=self._events.add,
            changed=changed,
        )
        built.configuration = wanted
        self._configuration.start(self._source, author)

    def configure(self, method: str, *arguments: Any) -> Any:
        """Ask the configuration service. Raises NcoreError."""
        if self._configuration is None:
            raise NcoreError(f"appliance {self.name} is {self._state}")
        if method not in ("change", "apply", "rollback", "preview", "versions", "version"):
            raise NcoreError(f"the configuration service has no {method}")
        return getattr(self._configuration, method)(*arguments)

    def _exporting(self, built: Reporter) -> Callable[[], None]:
        """Return what exports the metrics once."""
        from ncore_ray.metrics.exporter import Exporter
        from ncore_ray.metrics.ray_instruments import RayInstruments
        from ncore_ray.metrics.vitals import Vitals

        vitals = Vitals(built, self._started_at, lambda: self._state)
        known = vitals.names()
        exporter, instruments = Exporter(built.array, known, vitals), RayInstruments()

        def export() -> None:
            nonlocal known
            if (names := vitals.names()) != known:  # the configuration has changed
                known = names
                exporter.follow(built.array, names)
            exporter.export(instruments)

        return export

    def _failed(self, member: Member) -> None:
        """Say loudly that an actor is gone; one that can be replaced is."""
        if self._state == "running":
            self._state = "degraded"
        text = f"{member.kind} {self.name}/{member.name} (process {member.process}) failed: {member.failure}"
        replaced = self._repair is not None and self._repair.failed(member)
        self._events.add("warning" if replaced else "error", text)
        log.error("%s", text)

    @property
    def _reporter(self) -> Reporter:
        if self._built is None:
            raise NcoreError(f"appliance {self.name} is {self._state}")
        return self._built

    def configuration(self) -> str:
        """Return the configuration as YAML."""
        return dump(self._reporter.configuration)

    def events(self, after: int = 0) -> list[Event]:
        """Return the events with numbers above ``after``, oldest first."""
        return self._events.after(after)

    def wait_events(self, after: int = 0, timeout_s: float = 10.0) -> list[Event]:
        """Return the events above ``after`` as soon as there is one, or none after the time."""
        return self._events.wait(after, timeout_s)

    def status(self) -> dict[str, Any]:
        """Return the state of the appliance and of each actor."""
        head = {"appliance": self.name, "state": self._state, "since": self._started_at, "process": os.getpid()}
        origin = {"configuration": self._source, "detached": self._detached}
        ready = 0 if self._repair is None else self._repair.standbys()
        found = {**self._reporter.status(), "standbys_ready": ready}
        return {**head, **origin, "metrics": _metrics_page(), **found}

    def overview(self) -> dict[str, Any]:
        """Return the appliance in one row, whatever state it is in."""
        row: dict[str, Any] = {"appliance": self.name, "state": self._state, "since": self._started_at}
        if self._built is None:
            return row
        health = list(self._built.health().values())
        vips = [str(vserver.address) for vserver in self._built.configuration.vservers]
        up = f"{health.count('up')} of {len(health)}"
        return {**row, "engines": self._built.configuration.appliance.engines, "vservers": vips, "services_up": up}

    def stat(self) -> dict[str, Any]:
        """Return all counters: per actor, vServer and service, with the instant (µs) they were read at."""
        return self._reporter.stat()

    def scaling(self) -> dict[str, Any]:
        """Return how far the engines are from what is wanted. Raises NcoreError."""
        if self._scaling is None:
            raise NcoreError(f"appliance {self.name} is {self._state}")
        return self._scaling.state()

    def process(self) -> int:
        """Return the id of this process."""
        return os.getpid()

    def processes(self) -> list[int]:
        """Return the ids of all processes of the appliance, this one among them."""
        team = self._reporter.team
        return [os.getpid(), *(member.process for member in [*team.members, *team.standbys])]

    def flows(self, limit: int = 1000) -> list[dict[str, Any]]:
        """Return up to ``limit`` live connections."""
        return self._reporter.flows(limit)

    def flow_entries(self) -> dict[str, int]:
        """Return how many entries of the flow table name each engine: what the count of live flows should say."""
        return self._reporter.flow_entries()

    def dump_flows(self, limit: int, vserver: str | None = None) -> list[dict[str, Any]]:
        """Return up to ``limit`` flows with all that their engines know of them, buffers included."""
        return self._reporter.dump_flows(limit, vserver)

    def explain(self, source: str, source_port: int, destination: str, destination_port: int, protocol: str) -> str:
        """Return which engine a flow goes to, and why, in a sentence. Raises NcoreError."""
        found = self._reporter.explain_flow((source, source_port, destination, destination_port, protocol))
        return f"{found['flow']}: {found['reason']}"

    def explain_flow(self, *flow: Any) -> dict[str, Any]:
        """Return the same as data, with the vServer and the connection of the flow. Raises NcoreError."""
        return self._reporter.explain_flow(flow)

    def drain(self, timeout_s: float = 30.0) -> int:
        """Accept no new connections, wait until the clients' are done; return how many are left after the time.

        An HTTP client that waits between two requests is closed by its engine and is done: it may never say another
        word, not even its part of the close.
        """
        built = self._reporter
        if self._scaling is not None:
            self._scaling.stop()
        for member in built.team.engines:
            counters.core_view(built.array, member.number).drain = Drain.ALL
        if self._state != "degraded":
            self._state = "draining"
        self._events.add("info", "draining: no new connections")
        if wait_until(lambda: built.clients().busy == 0, timeout_s):
            # Engines close what is idle: let them.
            wait_until(lambda: built.clients().idle == 0, _IDLE_S)
        left = built.clients().busy
        self._events.add("warning" if left else "info", f"{left} connections left" if left else "drained")
        return left

    def stop(self) -> list[str]:
        """Take all actors down; return the names of those that had to be killed."""
        self._events.add("info", farewell(self.name))
        if self._configuration is not None:
            self._configuration.stop()
            self._configuration = None
        if self._scaling is not None:
            self._scaling.stop()
        if self._health is not None:
            self._health.stop()
        if self._export is not None:
            self._export.stop()
        if self._repair is not None:
            self._repair.stop()
        late = self._team.stop() if self._team is not None else []
        if self._access is not None:
            self._access.stop()
        self._team, self._mapping, self._built, self._health, self._export = None, None, None, None, None
        self._access = None
        self._repair = self._scaling = None
        self._state = "stopped"
        return late


def _living(team: Team) -> list[int]:
    """Return the numbers of the actors that have not failed."""
    return [member.number for member in team.workers if member.failure is None and member.handle is not None]


def _metrics_page() -> str:
    from ncore_ray.metrics.ray_instruments import own_page

    return own_page()
