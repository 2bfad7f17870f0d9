"""The Management actor: builds the appliance, watches it, answers questions about it, takes it down."""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from ncore_ray.actors.mapping import Mapping
from ncore_ray.arena.core import Actor
from ncore_ray.arena.layout import Bytes
from ncore_ray.blueprint.build import build, draw
from ncore_ray.blueprint.placement import CorePlan, place
from ncore_ray.config.load import dump, parse
from ncore_ray.config.model import Configuration
from ncore_ray.engine.connection import Role, Tcb
from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.errors import NcoreError
from ncore_ray.flow.explain import explain
from ncore_ray.machine.record import table
from ncore_ray.machine.system import monotonic_us
from ncore_ray.management import counters
from ncore_ray.management.connections import list_connections
from ncore_ray.management.team import Member, Team

log: Final = logging.getLogger("ncore_ray")
_DRAIN_LOOK_S: Final = 0.05
_MAX_EVENTS: Final = 1000


class Management:
    """One appliance's control plane."""

    def __init__(self, name: str, *, detached: bool) -> None:
        self.name = name
        self._detached = detached
        self._state = "new"
        self._events: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._configuration: Configuration | None = None
        self._team: Team | None = None
        self._mapping: Mapping | None = None
        self._started_at = 0.0

    def __repr__(self) -> str:
        return f"{self.name}/management"

    def build(self, text: str, source: str, folder: str) -> list[str]:
        """Build and start the appliance that a YAML text describes; return the names of its actors.

        Raises:
            NcoreError: something cannot be had (memory, an interface, a permission); then nothing is left behind.
        """
        configuration = parse(text, source, Path(folder))
        blueprint = draw(configuration)
        plan = place(configuration, sorted(os.sched_getaffinity(0)))
        self._configuration, self._state = configuration, "starting"
        self._team = Team(blueprint, plan, detached=self._detached, on_failure=self._failed)
        try:
            self._assemble(self._team, plan)
        except BaseException:
            self._team.stop()
            self._state = "failed"
            raise
        self._state, self._started_at = "running", time.time()
        self._note("info", "the appliance runs")
        return [member.name for member in self._team.members]

    def _assemble(self, team: Team, plan: CorePlan) -> None:
        reference, node = team.arena_reference()
        self._mapping = Mapping(reference, node)
        arena = build(self._mapping.array, team.blueprint)
        team.create()
        team.attach(reference, node, arena.epoch)
        team.start()

    def _note(self, level: str, text: str) -> None:
        with self._lock:
            number = self._events[-1]["number"] + 1 if self._events else 1
            self._events.append({"number": number, "at": time.time(), "level": level, "text": text})
            del self._events[:-_MAX_EVENTS]

    def _failed(self, member: Member) -> None:
        """Say loudly that an actor is gone."""
        self._state = "degraded"
        text = f"{member.kind} {self.name}/{member.name} (process {member.process}) failed: {member.failure}"
        self._note("error", text)
        log.error("%s", text)

    @property
    def _array(self) -> Bytes:
        if self._mapping is None:
            raise NcoreError(f"appliance {self.name} is not built")
        return self._mapping.array

    @property
    def _configured(self) -> Configuration:
        if self._configuration is None:
            raise NcoreError(f"appliance {self.name} is not built")
        return self._configuration

    def configuration(self) -> str:
        """Return the configuration as YAML."""
        return dump(self._configured)

    def events(self, after: int = 0) -> list[dict[str, Any]]:
        """Return the events with numbers above ``after``, oldest first."""
        with self._lock:
            return [event for event in self._events if event["number"] > after]

    def status(self) -> dict[str, Any]:
        """Return the state of the appliance and of each actor."""
        team, array = self._team, self._array
        assert team is not None
        now = monotonic_us()
        rows = [self._actor_row(array, member, now) for member in team.workers]
        owner = {
            "name": "arena",
            "kind": "ArenaOwner",
            "process": team.members[0].process,
            "cpu": None,
            "state": "owner",
            "failure": None,
        }
        return {
            "appliance": self.name,
            "state": self._state,
            "since": self._started_at,
            "engines": self._configured.appliance.engines,
            "arena_bytes": team.blueprint.size,
            "dimensions": asdict(team.blueprint.dimensions),
            "actors": [*rows, owner],
            "services": self._health(array),
        }

    def _health(self, array: Bytes) -> dict[str, str]:
        names = (service.name for service in self._configured.services)
        return dict(zip(names, counters.service_health(array), strict=True))

    def _actor_row(self, array: Bytes, member: Member, now: int) -> dict[str, Any]:
        numbers = counters.core_numbers(array, member.number)
        return {
            "name": member.name,
            "kind": member.kind,
            "process": member.process,
            "cpu": member.cpu,
            "state": "failed" if member.failure else counters.core_state(array, member.number),
            "failure": member.failure,
            "heartbeat_age_ms": max(now - numbers["heartbeat_at"], 0) / 1000,
            "breaths": numbers["breaths"],
            "busy_us": numbers["busy_us"],
            "sleeps": numbers["sleeps"],
        }

    def stat(self) -> dict[str, Any]:
        """Return all counters: per actor, vServer and service, with the instant (µs) they were read at."""
        array, configuration = self._array, self._configured
        actors = {"distributor": counters.distributor_counters(array)}
        actors |= {f"nic-{nic.name}": counters.nic_counters(array, k) for k, nic in enumerate(configuration.nics)}
        engines = range(configuration.appliance.engines)
        actors |= {f"engine-{k}": counters.engine_counters(array, k) for k in engines}
        vservers = zip((v.name for v in configuration.vservers), counters.vserver_totals(array), strict=True)
        services = zip((s.name for s in configuration.services), counters.service_totals(array), strict=True)
        health = self._health(array)
        return {
            "at_us": monotonic_us(),
            "actors": actors,
            "vservers": dict(vservers),
            "services": {name: {"health": health[name], **numbers} for name, numbers in services},
        }

    def processes(self) -> list[int]:
        """Return the ids of all processes of the appliance, this one among them."""
        assert self._team is not None
        return [os.getpid(), *(member.process for member in self._team.members)]

    def flows(self, limit: int = 1000) -> list[dict[str, Any]]:
        """Return up to ``limit`` live connections."""
        rows = list_connections(self._array, self._configured, monotonic_us(), limit)
        return [row.as_dict() for row in rows]

    def explain(self, source: str, source_port: int, destination: str, destination_port: int, protocol: str) -> str:
        """Return which engine a flow goes to, and why. Raises NcoreError."""
        return str(explain(self._array, source, source_port, destination, destination_port, protocol))

    def _client_connections(self) -> int:
        count = 0
        for engine in range(self._configured.appliance.engines):
            header = counters.engine_view(self._array, engine)
            rows = table(Tcb, self._array, header.connections, header.connection_count)
            clients = np.isin(rows["role"], (Role.CLIENT, Role.UDP_CLIENT)) & (rows["state"] != TcpState.TIME_WAIT)
            count += int(clients.sum())
        return count

    def drain(self, timeout_s: float = 30.0) -> int:
        """Accept no new connections, wait until the clients' are done; return how many are left after the time."""
        for engine in range(self._configured.appliance.engines):
            counters.core_view(self._array, Actor.ENGINE + engine).drain = 1
        self._state = "draining"
        self._note("info", "draining")
        end = time.monotonic() + timeout_s
        while (left := self._client_connections()) and time.monotonic() < end:
            time.sleep(_DRAIN_LOOK_S)
        return left

    def stop(self) -> list[str]:
        """Take all actors down; return the names of those that had to be killed."""
        late = self._team.stop() if self._team is not None else []
        self._team, self._mapping, self._state = None, None, "stopped"
        return late
