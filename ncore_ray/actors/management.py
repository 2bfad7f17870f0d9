"""The management at work: builds the appliance, answers questions about it, takes it down."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ncore_ray.actors.mapping import Mapping as ArenaMapping
from ncore_ray.arena.core import Drain
from ncore_ray.blueprint.build import draw
from ncore_ray.blueprint.nics import settings_by_place
from ncore_ray.blueprint.placement import place
from ncore_ray.blueprint.seats import Seats
from ncore_ray.config.load import dump, parse
from ncore_ray.config.model import Configuration
from ncore_ray.errors import NcoreError
from ncore_ray.management import counters
from ncore_ray.management.audit import entry_of
from ncore_ray.management.chronicle import Chronicle
from ncore_ray.management.configuration import ConfigurationService
from ncore_ray.management.duties import Duties
from ncore_ray.management.events import Event, farewell
from ncore_ray.management.exporting import metrics_page
from ncore_ray.management.history import History
from ncore_ray.management.office import Office
from ncore_ray.management.parts import Parts, assemble, meet
from ncore_ray.management.processes import wait_until
from ncore_ray.management.repair import Repair
from ncore_ray.management.report import Reporter
from ncore_ray.management.serving import serve, wanted_last
from ncore_ray.management.store import SqliteStore, Store
from ncore_ray.management.survivors import survivors
from ncore_ray.management.team import NAMESPACE, Member, Team
from ncore_ray.metrics.ledger import from_plain

log: Final = logging.getLogger("ncore_ray")
_IDLE_S: Final = 2.0
"""How long engines may take to close idle clients."""


class Management:
    """One appliance's control plane."""

    def __init__(
        self,
        name: str,
        seat_name: str = "management",
        *,
        detached: bool,
        foreground: bool | None = None,
        history: History | None = None,
    ) -> None:
        """Manage an appliance from a seat: one of the two actors that may.

        Args:
            name: of the appliance.
            seat_name: of this actor, without the appliance's name.
            detached: whether its actors outlive this one.
            foreground: whether it ends with a program; None: unless it is detached.
            history: what a management that waited has sampled, and goes on with; None: there is nothing yet.
        """
        self._foreground = not detached if foreground is None else foreground
        self._samples_itself = history is None
        self.history = history or History()
        self.name = name
        self._seat_name = seat_name
        self._detached = detached
        self._state = "new"
        self._source = ""
        self._started_at = 0.0
        self._chronicle = Chronicle()
        self._team: Team | None = None
        self._parts: Parts | None = None
        self._configuration: ConfigurationService | None = None
        self._duties: Duties | None = None
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
        team = self._team = Team(blueprint, plan, detached=self._detached, on_failure=self._failed)
        try:
            parts = self._parts = assemble(team, plan)
            self._serve(parts, versions, author, configuration)
            self._leave_notes(parts, {"text": text, "source": source, "folder": folder, "store": store}, order)
        except BaseException:
            team.stop()
            self._state = "failed"
            raise
        self._chronicle.open(configuration, known_store, parts.office, [])
        self._chronicle.audit.note("build", author)
        self._begin(parts, order)
        return [member.name for member in team.members]

    def _leave_notes(self, parts: Parts, known: dict[str, Any], order: list[int]) -> None:
        """Note what a successor has to know; from now on somebody may take over. Raises NcoreError."""
        team, office, started_at = parts.team, parts.office, self._started_at
        owner = team.members[0].process
        office.note(**known, started_at=started_at, owner=owner, order=order, actors=team.actors())
        parts.note_seats(team.seats)
        office.open()

    def take_over(self, mapping: ArenaMapping, office: Office, why: str) -> None:
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
        wanted = wanted_last(known, versions, configuration)
        found = survivors(self.name, NAMESPACE, known["actors"])
        seats = Seats(tuple(known["nic_names"]), frozenset(known["nic_free"]))
        team = Team(
            blueprint,
            plan,
            detached=True,
            on_failure=self._failed,
            living=found.living,
            engines=wanted.appliance.engines,
            nics=settings_by_place(wanted, seats),
            seats=seats,
        )
        self._team, self._source, self._started_at = team, known["source"], known["started_at"]
        self._chronicle.open(configuration, known_store, office, office.events())
        self._archived = from_plain(known.get("archived", []))
        parts = self._parts = meet(team, mapping, office, known["owner"], known.get("owner_restarts", 0))
        self._serve(parts, versions, "management", wanted)
        office.seat.serve()
        self._begin(parts, known["order"], known.get("pauses", {}), found.waiting)
        spent_ms = (time.monotonic() - began_at) * 1000
        text = f"the management (process {former}) {why}; process {os.getpid()} manages on, after {spent_ms:.0f} ms"
        self._chronicle.events.add("warning", text)
        team.join()

    def _serve(self, parts: Parts, versions: Store, author: str, wanted: Configuration) -> None:
        """Let the configuration be changed from now on."""
        tell = self._chronicle.events.add
        self._configuration = serve(parts, versions, wanted, tell, self._hurry)
        self._configuration.start(self._source, author)

    def _hurry(self) -> None:
        """Let the engines come and go as the configuration wants them now."""
        if self._duties is not None:
            self._duties.scaling.hurry()

    def _begin(
        self,
        parts: Parts,
        order: Sequence[int],
        pauses: Mapping[str, Sequence[float]] = {},
        standbys: Sequence[Member] = (),
    ) -> None:
        self._state, resumed = "draining" if parts.drains() else "running", bool(parts.office.former)
        if not resumed:
            self._chronicle.events.add("info", f"appliance {self.name} runs")
        self._duties = Duties(
            parts,
            self._chronicle.events.add,
            started_at=self._started_at,
            state=lambda: self._state,
            on_repaired=self._repaired,
            order=order,
            archived=self._archived,
            history=self.history if self._samples_itself else None,
        )
        if self._configuration is not None:
            nics = self._duties.nics
            self._configuration.prepare, self._configuration.follow = nics.prepare, nics.follow
        self._duties.begin(pauses, standbys, resumed=resumed)
        for member in parts.team.workers:  # who died while nobody repaired yet
            if member.failure is not None and not member.is_new:
                self._duties.repair.failed(member)

    def _failed(self, member: Member) -> None:
        """Say loudly that an actor is gone; one that can be replaced is."""
        if self._state == "running":
            self._state = "degraded"
        text = f"{member.kind} {self.name}/{member.name} (process {member.process}) failed: {member.failure}"
        replaced = self._duties is not None and self._duties.repair.failed(member)
        self._chronicle.events.add("warning" if replaced else "error", text)
        log.error("%s", text)

    def _repaired(self) -> None:
        """Note that everything may be well again."""
        parts, duties = self._parts, self._duties
        if parts is None:
            return
        if duties is not None:
            self._note_repair(parts, duties.repair)
        if self._state == "degraded" and all(member.failure is None for member in parts.team.members):
            self._state = "running"

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
        with self._chronicle.audit.attempt(entry):
            entry.done = ask(*arguments)
        return entry.done

    def statistics(self, span_s: float, period_s: int | None = None) -> dict[str, Any]:
        """Return the main counters' history: samples of the last ``span_s`` seconds. Raises NcoreError."""
        return self.history.since(span_s, period_s)

    def leave_history(self) -> list[dict[str, Any]]:
        """Return the whole history, for the management that waits."""
        return self.history.leave()

    def _note_repair(self, parts: Parts, repair: Repair) -> None:
        team, owner = parts.team, parts.team.members[0]
        parts.office.note(
            order=repair.members,
            actors=team.actors(),
            pauses=repair.pauses.plain(),
            owner=owner.process,
            owner_restarts=owner.restarts,
        )

    @property
    def _reporter(self) -> Reporter:
        if self._parts is None:
            raise NcoreError(f"appliance {self.name} is {self._state}")
        return self._parts.built

    def configuration(self) -> str:
        """Return the configuration as YAML."""
        return dump(self._reporter.configuration)

    def events(self, after: int = 0) -> list[Event]:
        """Return the events with numbers above ``after``, oldest first."""
        return self._chronicle.events.after(after)

    def wait_events(self, after: int = 0, timeout_s: float = 10.0) -> list[Event]:
        """Return the events above ``after`` as soon as there is one, or none after the time."""
        return self._chronicle.events.wait(after, timeout_s)

    def status(self) -> dict[str, Any]:
        """Return the state of the appliance and of each actor."""
        head = {"appliance": self.name, "state": self._state, "since": self._started_at, "process": os.getpid()}
        head |= {"management": self._seat_name, "backup_process": self._waiting()}
        origin = {"configuration": self._source, "detached": not self._foreground}
        ready = 0 if self._duties is None else self._duties.repair.standbys()
        found = {**self._reporter.status(), "standbys_ready": ready}
        return {**head, **origin, "metrics": metrics_page(), **found}

    def overview(self) -> dict[str, Any]:
        """Return the appliance in one row, whatever state it is in."""
        row: dict[str, Any] = {"appliance": self.name, "state": self._state, "since": self._started_at}
        if self._parts is None:
            return row
        built = self._parts.built
        health = list(built.health().values())
        vips = [str(vserver.address) for vserver in built.configuration.vservers]
        up = f"{health.count('up')} of {len(health)}"
        return {**row, "engines": built.configuration.appliance.engines, "vservers": vips, "services_up": up}

    def stat(self) -> dict[str, Any]:
        """Return all counters: per actor, vServer and service, with the instant (µs) they were read at."""
        return self._reporter.stat()

    def scaling(self) -> dict[str, Any]:
        """Return how far the engines are from what is wanted. Raises NcoreError."""
        if self._duties is None:
            raise NcoreError(f"appliance {self.name} is {self._state}")
        return self._duties.scaling.state()

    def process(self) -> int:
        """Return the id of this process."""
        return os.getpid()

    def processes(self) -> list[int]:
        """Return the ids of all processes of the appliance, this one among them."""
        team = self._reporter.team
        backup = [self._waiting()] if self._waiting() else []
        return [os.getpid(), *backup, *(member.process for member in [*team.members, *team.standbys])]

    def _waiting(self) -> int:
        """Return the process that waits to take over, or 0."""
        return self._parts.office.seat.waiting if self._parts is not None else 0

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
        self._chronicle.audit.note("drain", author)
        if self._duties is not None:
            self._duties.scaling.stop()
        for member in built.team.engines:
            counters.core_view(built.array, member.number).drain = Drain.ALL
        if self._state != "degraded":
            self._state = "draining"
        self._chronicle.events.add("info", "draining: no new connections")
        if wait_until(lambda: built.clients().busy == 0, timeout_s):
            # Engines close what is idle: let them.
            wait_until(lambda: built.clients().idle == 0, _IDLE_S)
        left = built.clients().busy
        self._chronicle.events.add("warning" if left else "info", f"{left} connections left" if left else "drained")
        return left

    def stop(self, author: str = "") -> list[str]:
        """Take all actors down; return the names of those that had to be killed."""
        parts, duties = self._parts, self._duties
        self._chronicle.audit.note("shutdown", author)
        if parts is not None:
            parts.office.seat.close()
        self._chronicle.events.add("info", farewell(self.name))
        if self._configuration is not None:
            self._configuration.stop()
            self._configuration = None
        if duties is not None:
            duties.stop()
        late = self._team.stop() if self._team is not None else []
        if duties is not None:
            duties.finish()
        if parts is not None and parts.desk is not None:
            parts.desk.stop()
        self._chronicle.close()
        self._team = self._parts = self._duties = None
        self._state = "stopped"
        return late
