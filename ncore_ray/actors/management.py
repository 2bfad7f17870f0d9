"""The management at work: builds the appliance, watches it, answers questions about it, takes it down."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any, Final

from ncore_ray.actors.mapping import Mapping
from ncore_ray.arena.core import Drain
from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes
from ncore_ray.blueprint.build import build, draw
from ncore_ray.blueprint.placement import CorePlan, place
from ncore_ray.blueprint.queues import plan_queues
from ncore_ray.config.load import dump, parse
from ncore_ray.config.model import Configuration, Replication
from ncore_ray.errors import NcoreError
from ncore_ray.machine.record import view
from ncore_ray.management import counters
from ncore_ray.management.access.log import AccessLogWriter
from ncore_ray.management.audit import Audit, entry_of
from ncore_ray.management.configuration import ConfigurationService
from ncore_ray.management.courier import Courier, by_calls, by_messages
from ncore_ray.management.desk import Desk
from ncore_ray.management.events import Event, EventLog, farewell
from ncore_ray.management.health import HealthWatch
from ncore_ray.management.history import History
from ncore_ray.management.jsonlines import JsonLines, open_log
from ncore_ray.management.live import LiveTables
from ncore_ray.management.office import Office
from ncore_ray.management.processes import is_worker, wait_until
from ncore_ray.management.pulse import Pulse
from ncore_ray.management.repair import Place, Repair
from ncore_ray.management.report import Reporter
from ncore_ray.management.samples import Sampler, sample
from ncore_ray.management.scaling import Scaling
from ncore_ray.management.seat import NotActiveError
from ncore_ray.management.sources import source_of, tell_by
from ncore_ray.management.store import SqliteStore, Store
from ncore_ray.management.survivors import survivors
from ncore_ray.management.team import NAMESPACE, Member, Team
from ncore_ray.metrics.ledger import from_plain, to_plain
from ncore_ray.metrics.ring_words import ring_words
from ncore_ray.metrics.thread import ExportThread

Pauses = dict[str, list[float]]
log: Final = logging.getLogger("ncore_ray")
_IDLE_S: Final = 2.0
"""How long engines may take to close idle clients."""


class Management:
    """One appliance's control plane."""

    def __init__(
        self, name: str, seat_name: str = "management", *, detached: bool, history: History | None = None
    ) -> None:
        """Manage an appliance from a seat: one of the two actors that may.

        ``history`` is what a management that waited has sampled, and goes on with; None: there is nothing yet.
        """
        self._samples_itself = history is None
        self.history = history or History()
        self._sampler: Sampler | None = None
        self._audit = Audit(None)
        self._event_file: JsonLines | None = None
        self.name = name
        self._seat_name = seat_name
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
        self._office: Office | None = None
        self._desk: Desk | None = None
        self._archived: dict[Hashable, int] = {}

    def build(self, text: str, source: str, folder: str, store: str | None = None, author: str = "") -> list[str]:
        """Build and start the appliance that a YAML text describes; return the names of its actors.

        ``store`` is the file that keeps the versions of its configuration; None: they end with it.

        Raises:
            NcoreError: something cannot be had (memory, an interface, a permission); then nothing is left behind.
        """
        configuration = parse(text, source, Path(folder))
        known_store = Path(store) if store else None
        versions = SqliteStore(known_store)
        blueprint = draw(configuration)
        plan = place(configuration, sorted(os.sched_getaffinity(0)))
        self._state, self._source = "starting", source
        self._started_at, order = time.time(), list(range(configuration.appliance.engines))
        self._team = Team(blueprint, plan, detached=self._detached, on_failure=self._failed)
        try:
            self._built = self._assemble(self._team, plan)
            self._serve_configuration(self._built, versions, author, configuration)
            self._leave_notes(self._team, {"text": text, "source": source, "folder": folder, "store": store}, order)
        except BaseException:
            self._team.stop()
            self._state = "failed"
            raise
        self._open_logs(configuration, known_store)
        self._events.continue_in([], self._keep)
        self._audit.note("build", author)
        self._begin(self._built, self._team, order)
        return [member.name for member in self._team.members]

    def _leave_notes(self, team: Team, known: dict[str, Any], order: list[int]) -> None:
        """Note what a successor has to know; from now on somebody may take over. Raises NcoreError."""
        assert self._office is not None
        owner, started_at = team.members[0].process, self._started_at
        self._office.note(**known, started_at=started_at, owner=owner, order=order, actors=team.actors())
        self._office.open()

    def take_over(self, mapping: Mapping, office: Office, why: str) -> None:
        """Go on where a former management was: its actors live, and their work goes on. The lease is ours.

        Raises:
            NcoreError: what the former one knew is not there, or cannot be used.
        """
        began_at, former = time.monotonic(), office.former
        known = office.notes()
        configuration = parse(known["text"], known["source"], Path(known["folder"]))
        blueprint, plan = draw(configuration), place(configuration, sorted(os.sched_getaffinity(0)))
        known_store = Path(known["store"]) if known["store"] else None
        versions = SqliteStore(known_store)
        wanted = _wanted(known, versions, configuration)
        found = survivors(self.name, NAMESPACE, known["actors"])
        engines = wanted.appliance.engines
        team = Team(blueprint, plan, detached=True, on_failure=self._failed, living=found.living, engines=engines)
        self._office, self._mapping, self._team = office, mapping, team
        self._source, self._started_at = known["source"], known["started_at"]
        self._open_logs(configuration, known_store)
        self._events.continue_in(office.events(), self._keep)
        self._archived = from_plain(known.get("archived", []))
        self._built = self._meet(team, mapping, known["owner"])
        self._serve_configuration(self._built, versions, "management", wanted)
        office.seat.serve()
        self._begin(self._built, team, known["order"], known.get("pauses", {}), found.waiting)
        spent_ms = (time.monotonic() - began_at) * 1000
        text = f"the management (process {former}) {why}; process {os.getpid()} manages on, after {spent_ms:.0f} ms"
        self._events.add("warning", text)
        team.join()

    def _open_logs(self, configuration: Configuration, store: Path | None) -> None:
        logs, tell = configuration.logs, self._events.add
        self._event_file = open_log(logs.events, store, "events", logs, tell)
        self._audit = Audit(open_log(logs.audit, store, "audit", logs, tell))

    def _keep(self, event: Event) -> None:
        """Keep an event for a successor, and in the log."""
        if self._office is not None:
            self._office.keep(event)
        if self._event_file is not None:
            self._event_file.write(event)

    def _meet(self, team: Team, mapping: Mapping, owner: int) -> Reporter:
        """Take what the arena says of actors that live."""
        team.create()
        self._place = Place([mapping.reference], mapping.node, view(Arena, mapping.array).epoch)
        team.members[0].process = owner
        for member in team.workers:
            process = counters.core_view(mapping.array, member.number).process
            # One whose actor is gone may have ended long ago: its number may be another program's by now.
            member.process = process if member.handle is not None or is_worker(process) else 0
        team.recognise_guests()
        return self._report(team, mapping.array)

    def _report(self, team: Team, array: Bytes) -> Reporter:
        configuration = team.blueprint.configuration
        self._desk = Desk(array).start() if tell_by(array, configuration) else None
        source = source_of(configuration.statistics, array, lambda: _living(team), self._desk)
        return Reporter(configuration, team, array, source)

    def _courier(self, team: Team) -> Courier | None:
        """Return who carries the replicator's questions to the engines, if anybody is to."""
        match team.blueprint.configuration.appliance.replication:
            case Replication.MESSAGES if self._desk is not None:
                return by_messages(self._desk)
            case Replication.CALLS:
                return by_calls(lambda: team.engines)
        return None

    def _assemble(self, team: Team, plan: CorePlan) -> Reporter:
        team.create()  # their processes start while the arena is made
        reference, node = team.arena_reference()
        self._mapping = Mapping(reference, node)
        arena = build(self._mapping.array, team.blueprint)
        self._place = Place(reference, node, arena.epoch)
        self._office = Office(self._mapping.array)
        self._office.seat.take(0)
        tell_by(self._mapping.array, team.blueprint.configuration)
        team.attach(reference, node, arena.epoch)
        if (queues := plan_queues(team.blueprint, self._mapping.array)) is not None:
            team.open_queues(queues)
        team.start()
        return self._report(team, self._mapping.array)

    def _begin(
        self,
        built: Reporter,
        team: Team,
        order: Sequence[int],
        pauses: Pauses = {},  # noqa: B006 (nobody changes it)
        standbys: Sequence[Member] = (),
    ) -> None:
        self._state, resumed = "draining" if _drains(built) else "running", bool(self._office and self._office.former)
        if not resumed:
            self._events.add("info", f"appliance {self.name} runs")
        self._health = HealthWatch(lambda: counters.service_health(built.array), self._events.add)
        if resumed:
            self._health.begin()
        self._health.start()
        if self._samples_itself:
            self._sampler = Sampler(self.history, lambda: sample(built.array, built.source))
            self._sampler.start()
        self._export = ExportThread(lambda: self._exporting(built))
        self._export.start()
        if (access := built.configuration.access_log) is not None:
            self._access = AccessLogWriter(access, built.array, self._events.add)
            self._access.start()
        self._repair, pulse = self._repairing(built, team, order)
        self._repair.pauses.restore(pauses)
        self._repair.adopt(standbys)
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
            self._renew,
        )
        return repair, pulse

    def _renew(self) -> None:
        """Renew the lease. A management that has lost it ends at once: another one is at work."""
        assert self._office is not None
        try:
            self._office.seat.renew()
        except NotActiveError:
            log.error("another management of %s is at work: process %s ends", self.name, os.getpid())
            os._exit(1)

    def _hangs(self, name: str, why: str) -> None:
        if self._repair is not None:
            self._repair.hangs(name, why)

    def _repaired(self) -> None:
        """Note that everything may be well again."""
        if self._team is not None and self._repair is not None and self._office is not None:
            pauses = self._repair.pauses.plain()
            self._office.note(order=self._repair.members, actors=self._team.actors(), pauses=pauses)
        well = self._team is not None and all(member.failure is None for member in self._team.members)
        if well and self._state == "degraded":
            self._state = "running"

    def _serve_configuration(self, built: Reporter, store: Store, author: str, wanted: Configuration) -> None:
        """Keep the versions of the configuration, and let it be changed from now on."""
        blueprint, office = built.team.blueprint, self._office
        assert office is not None

        def changed(wanted: Configuration) -> None:
            built.configuration = wanted
            if not store.lasts:
                office.note(wanted=dump(wanted))
            if self._scaling is not None:
                self._scaling.hurry()

        live = LiveTables(
            built.array,
            blueprint.configuration,
            blueprint.capacity,
            lambda: _living(built.team),
            lambda: built.team.working(built.configuration.appliance.engines),
        )
        live.guard = office.seat.check
        self._configuration = ConfigurationService(
            store,
            live,
            blueprint.configuration,
            wanted=wanted,
            has_links=blueprint.links is not None,
            tell=self._events.add,
            changed=changed,
            courier=self._courier(built.team),
        )
        built.configuration = wanted
        self._configuration.start(self._source, author)

    def configure(self, method: str, *arguments: Any) -> Any:
        """Ask the configuration service. Raises NcoreError."""
        if self._configuration is None:
            raise NcoreError(f"appliance {self.name} is {self._state}")
        if method not in ("change", "apply", "rollback", "preview", "versions", "version"):
            raise NcoreError(f"the configuration service has no {method}")
        ask = getattr(self._configuration, method)
        entry = entry_of(method, ask, arguments)
        if entry is None:
            return ask(*arguments)
        with self._audit.attempt(entry):
            entry.done = ask(*arguments)
        return entry.done

    def statistics(self, span_s: float, period_s: int | None = None) -> dict[str, Any]:
        """Return the main counters' history: samples of the last ``span_s`` seconds. Raises NcoreError."""
        return self.history.since(span_s, period_s)

    def leave_history(self) -> list[dict[str, Any]]:
        """Return the whole history, for the management that waits."""
        return self.history.leave()

    def _exporting(self, built: Reporter) -> Callable[[], None]:
        """Return what exports the metrics once."""
        from ncore_ray.metrics.exporter import Exporter
        from ncore_ray.metrics.ray_instruments import RayInstruments
        from ncore_ray.metrics.vitals import Vitals

        vitals = Vitals(built, self._started_at, lambda: self._state)
        known, noted = vitals.names(), 0
        exporter, instruments = Exporter(built.array, known, vitals, self._archived), RayInstruments()

        def export() -> None:
            nonlocal known, noted
            if (names := vitals.names()) != known:  # the configuration has changed
                known = names
                exporter.follow(built.array, names)
            exporter.export(instruments)
            if self._office is not None and exporter.ledger.changes != noted:
                noted = exporter.ledger.changes
                self._office.note(archived=to_plain(exporter.ledger.archived()))

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
        head |= {"management": self._seat_name, "backup_process": self._office.seat.waiting if self._office else 0}
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
        backup = [self._office.seat.waiting] if self._office and self._office.seat.waiting else []
        return [os.getpid(), *backup, *(member.process for member in [*team.members, *team.standbys])]

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

    def drain(self, timeout_s: float = 30.0, author: str = "") -> int:
        """Accept no new connections, wait until the clients' are done; return how many are left after the time.

        An HTTP client that waits between two requests is closed by its engine and is done: it may never say another
        word, not even its part of the close.
        """
        built = self._reporter
        self._audit.note("drain", author)
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

    def stop(self, author: str = "") -> list[str]:
        """Take all actors down; return the names of those that had to be killed."""
        self._audit.note("shutdown", author)
        if self._sampler is not None:
            self._sampler.stop()
        if self._office is not None:
            self._office.seat.close()
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
        if self._desk is not None:
            self._desk.stop()
        if self._event_file is not None:
            self._event_file.close()
        self._audit.close()
        self._team, self._mapping, self._built, self._health, self._export = None, None, None, None, None
        self._access = None
        self._repair = self._scaling = None
        self._state = "stopped"
        return late


def _wanted(known: dict[str, Any], versions: Store, built: Configuration) -> Configuration:
    """Return the configuration that was wanted last: a version is stored before anything works by it."""
    last = versions.latest()
    text = last.configuration if last is not None and versions.lasts else known.get("wanted")
    return built if text is None else parse(text, known["source"])


def _drains(built: Reporter) -> bool:
    return any(counters.core_view(built.array, one.number).drain == Drain.ALL for one in built.team.engines)


def _living(team: Team) -> list[int]:
    """Return the numbers of the actors that have not failed."""
    return [member.number for member in team.workers if member.failure is None and member.handle is not None]


def _metrics_page() -> str:
    from ncore_ray.metrics.ray_instruments import own_page

    return own_page()
