"""The configured tables of a running appliance: written beside those in force, then brought into force by one word.

Actors find the tables by `Arena.bank`. The bank that is not in force is written as a whole and read back; only when
that is what it should be is the word changed. Engines say at the start of their next breath that they look at the
other bank no more (`Core.configuration`), and until all have, it is not written again. So a change is made whole or not
at all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ncore_ray.arena.core import Actor
from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes
from ncore_ray.blueprint.decode import read_live, read_rows
from ncore_ray.blueprint.parallelism import serving_engines
from ncore_ray.blueprint.routes import rows_of_routes, words_towards, write_routes
from ncore_ray.blueprint.rows import Capacity, Named, Rows, configuration_of, effective, plan_rows
from ncore_ray.blueprint.tables import texts_room, write_bank
from ncore_ray.config.addresses import IpAddress
from ncore_ray.config.model import Configuration, Parallelism
from ncore_ray.engine.connection import Role, Tcb
from ncore_ray.engine.counters import ServiceStats, VserverStats
from ncore_ray.engine.latency.histogram import Latency
from ncore_ray.engine.partition import Engine
from ncore_ray.errors import NcoreError
from ncore_ray.machine.record import dtype_of, size_of, table, view
from ncore_ray.management.counters import core_view, engine_view, watch_view
from ncore_ray.management.directory import service_rows, vserver_rows
from ncore_ray.nic.writer import ring_bell
from ncore_ray.tables.own_address import OwnAddress, snips_in_force
from ncore_ray.tables.service import Binding, Health, MonitorKind, RowState, Service, Vserver
from ncore_ray.tables.settings import Settings, put_in_force
from ncore_ray.wire.address import text_of

_TO_SERVICES: Final = (Role.SERVER, Role.UDP_SERVER, Role.MONITOR)
ACKNOWLEDGE_S: Final = 2.0
"""How long an actor may take to begin a breath: at the most, what it sleeps, and what a crowded machine adds."""
_LOOK_S: Final = 0.0002
_OWN: Final = tuple(name for name in dtype_of(Settings).names or () if name != "epoch")
"""What engines keep a copy of in their headers."""


def _ends(rows: npt.NDArray[Any]) -> set[tuple[int, int, int]]:
    """Return address and NIC of the own ends of connections."""
    return set(zip(rows["local_high"].tolist(), rows["local_low"].tolist(), rows["nic"].tolist(), strict=True))


class LiveError(NcoreError):
    """A change that the data plane cannot take."""


@dataclass(frozen=True)
class Commit:
    """A configuration that came into force."""

    epoch: int
    acknowledged_ms: float
    """From the change of the word to the last actor's acknowledgment."""
    late: tuple[int, ...]
    """Actors that have not said so in time."""


class LiveTables:
    """Reads and changes the configured tables of one arena. Its caller sees to it that nobody else does."""

    def __init__(
        self,
        array: Bytes,
        static: Configuration,
        capacity: Capacity,
        living: Callable[[], Iterable[int]],
        engines: Callable[[], int] | None = None,
        pause: Callable[[], object] = lambda: time.sleep(_LOOK_S),
    ) -> None:
        """Look after an arena.

        Args:
            array: the arena.
            static: what it was built for.
            capacity: rows of its tables.
            living: returns the numbers of the actors that run.
            engines: returns how many engines, the first ones, share out what each of them does for all (probes of the
                services); None: those that the arena was built for.
            pause: called again and again while actors are waited for.
        """
        self._array = array
        self._static = static
        self._capacity = capacity
        self._living = living
        self._engines = engines or (lambda: static.appliance.engines)
        self._pause = pause
        self._nics_are_new = True
        self.seated: Callable[[Configuration], Configuration] = lambda wanted: wanted
        """Returns a configuration whose NICs stand in their places of the NIC table."""
        self.guard: Callable[[], None] = lambda: None
        """Raises when the caller may change nothing any more."""

    def assume(self, wanted: Configuration) -> None:
        """Take what no table says from what is wanted: engines and their flows are brought to it by others."""
        self._nics_are_new |= wanted.nics != self._static.nics
        self._static = self._static.model_copy(
            update={"appliance": wanted.appliance, "distribution": wanted.distribution, "nics": wanted.nics}
        )

    @property
    def _arena(self) -> Arena:
        return view(Arena, self._array)

    @property
    def epoch(self) -> int:
        """The number of the configuration in force."""
        return self._settings(self._arena.bank).epoch

    def _settings(self, bank: int) -> Settings:
        return view(Settings, self._array, self._arena.settings + bank)

    def image(self) -> bytes:
        """Return all that is in force, as bytes: whatever anybody changes in it, they differ."""
        arena, second = self._arena, bool(self._arena.bank)
        room = texts_room(arena)
        tables = self._array[arena.settings + arena.bank :][: arena.bank_stride].copy()
        found = table(OwnAddress, tables, arena.addresses - arena.settings, arena.address_count)
        found["given_up"] = found["other_mac"] = 0  # engines write these
        bindings = table(Binding, self._array, arena.bindings, arena.binding_count)
        texts = self._array[arena.texts + arena.texts_fixed + (room if second else 0) :][:room]
        own = [tuple(getattr(engine_view(self._array, engine), name) for name in _OWN) for engine in self.engines()]
        half = arena.binding_count // 2
        return b"".join(
            (tables.tobytes(), bindings[half * second :][:half].tobytes(), texts.tobytes(), repr(own).encode())
        )

    def engines(self) -> list[int]:
        """Return the engines that live."""
        return [actor - Actor.ENGINE for actor in sorted(self._followers()) if actor >= Actor.ENGINE]

    def rows(self) -> Rows:
        """Return the rows in force."""
        return read_rows(self._array, self._arena.bank)

    def of_engines(self) -> dict[int, Configuration]:
        """Return the configurations that the living engines work by, in effective form."""
        rows = self.rows()
        return {engine: self._form(rows, engine_view(self._array, engine)) for engine in self.engines()}

    def _form(self, rows: Rows, settings: Settings | Engine) -> Configuration:
        return configuration_of(rows, self._static, read_live(settings, self._static))

    def named(self) -> Named:
        """Return the rows that connections name: they are needed, whatever the configuration says.

        A connection in the pool of its service is of no vServer.
        """
        services: set[int] = set()
        vservers: set[int] = set()
        routes: set[int] = set()
        snips: dict[IpAddress, int] = {}
        for engine in range(self._arena.engine_count):
            header = engine_view(self._array, engine)
            rows = table(Tcb, self._array, header.connections, header.connection_count)
            live = rows["role"] != Role.FREE
            of_vserver = live & (rows["role"] != Role.MONITOR) & (rows["pooled"] == 0)
            vservers.update(np.unique(rows["vserver"][of_vserver]).tolist())
            outward = rows[np.isin(rows["role"], _TO_SERVICES)]
            services.update(np.unique(outward["service"]).tolist())
            routes.update(np.unique(outward["route"]).tolist())
            snips |= {ip_address(text_of(*ends[:2])): ends[2] for ends in _ends(outward)}
        return Named(services, vservers, routes, snips)

    def plan(self, wanted: Configuration) -> Rows:
        """Return the rows for a configuration. Raises `TableFullError`."""
        return plan_rows(self.rows(), wanted, self._capacity, self.named())

    def has_drained(self) -> bool:
        """Return whether a row drains that nothing names any more."""
        if not any(row.draining for row in (*service_rows(self._array), *vserver_rows(self._array))):
            return False
        rows = self.rows()
        return self.plan(self._form(rows, self._settings(self._arena.bank))) != rows

    def has_more_to_do(self) -> bool:
        """Return whether the tables are to be written though they say what is wanted."""
        moved = self._probes_moved() or self._applications_moved()
        return self.has_drained() or moved or self._addresses_differ() or self._routes_differ()

    def _addresses_differ(self) -> bool:
        """Return whether the SNIPs in force are others than those that are wanted, or that connections still use."""
        wanted = {address.ip for nic in self._static.nics for address in nic.addresses}
        there = set(snips_in_force(self._array))
        return not wanted <= there or (there > wanted and bool(there - wanted - self.named().snips.keys()))

    def _routes_differ(self) -> bool:
        """Return whether a service is reached by another route than the NICs that are new would have it."""
        if not self._nics_are_new:
            return False
        rows, services = rows_of_routes(self._array, self._arena), self.rows().services
        place, count = self._arena.services + self._arena.bank, self._arena.service_count
        seated = self.seated(self._static)
        numbers = table(Service, self._array, place, count)["route"]
        for number, row in services.items():
            words = words_towards(seated, row.service.address.address)
            if words != (rows[numbers[number]] if numbers[number] >= 0 else None):
                return True
        self._nics_are_new = False
        return False

    def _applications_moved(self) -> bool:
        """Return whether other engines may serve a vServer's clients by now than its row says."""
        if self._static.distribution.parallelism is Parallelism.VIP:
            return False  # settled when the appliance was built
        place, count = self._arena.vservers + self._arena.bank, self._arena.vserver_count
        rows = table(Vserver, self._array, place, count)
        return bool(np.any(rows["engines"][rows["state"] == RowState.ACTIVE] != serving_engines(self._static)))

    def _probes_moved(self) -> bool:
        """Return whether services are probed by others than the engines that there are now."""
        engines, place = self._engines(), self._arena.services + self._arena.bank
        rows = table(Service, self._array, place, self._arena.service_count)
        used = np.flatnonzero(rows["state"] != RowState.FREE)
        return bool(np.any(rows["monitor_engine"][used] != used % engines))

    def change(self, wanted: Configuration, agree: Callable[[], None] = lambda: None) -> Commit:
        """Bring a configuration into force, whole or not at all.

        ``agree`` is called when it is written and not in force yet: if it raises, nothing is changed.

        Raises:
            LiveError: an actor still looks at the tables that would be written.
            TableFullError: there is no room for it.
        """
        self.check_ready()
        named = self.named()
        rows = plan_rows(self.rows(), wanted, self._capacity, named)
        bank = 0 if self._arena.bank else self._arena.bank_stride
        write_routes(self._array, self._arena, self.seated(wanted), named.routes | self._routes_in_force())
        self._prepare(bank, rows, wanted, named)
        agree()
        return self._commit(bank)

    def _routes_in_force(self) -> set[int]:
        place = self._arena.services + self._arena.bank
        rows = table(Service, self._array, place, self._arena.service_count)
        return set(rows["route"][rows["state"] != RowState.FREE].tolist())

    def check_ready(self) -> None:
        """See that nobody looks at the tables that will be written. Raises `LiveError`."""
        if not self._wait(self.epoch):
            late = ", ".join(map(str, sorted(self._late(self.epoch))))
            raise LiveError(f"actor {late} has not taken over the configuration before this one; nothing was changed")

    def _prepare(self, bank: int, rows: Rows, wanted: Configuration, named: Named) -> None:
        """Write the other bank and see that it says what it should."""
        dealt = self.seated(self._dealt(wanted))
        write_bank(self._array, self._arena, bank, rows, dealt, self.epoch + 1, named.snips)
        found = read_rows(self._array, bank)
        said = self._form(found, self._settings(bank))
        if found != rows or said != configuration_of(rows, self._static, effective(wanted)):
            raise LiveError("the tables do not say what was written to them; nothing was changed")
        before = self.rows()
        for number in rows.vservers.keys() - before.vservers.keys():
            self._clear("vserver_stats", VserverStats, number)
            self._clear("latencies", Latency, number)
            self._clear("whole_latencies", Latency, number)
        for number in rows.services.keys() - before.services.keys():
            self._clear("service_stats", ServiceStats, number)
            self._clear("service_latencies", Latency, number)
        for number in rows.services:
            is_new = number not in before.services or before.services[number].draining
            self._begin_watch(bank, number, is_new=is_new and not rows.services[number].draining)

    def _dealt(self, wanted: Configuration) -> Configuration:
        """Return what is wanted for the engines that there are now; for how many there is room stays."""
        room = wanted.appliance.engine_room
        appliance = wanted.appliance.model_copy(update={"engines": self._engines(), "max_engines": room})
        return wanted.model_copy(update={"appliance": appliance})

    def _clear(self, region: str, record: type, number: int) -> None:
        """Set the counters of a free row to 0: no engine has any business with it."""
        for engine in range(self._arena.engine_count):
            start = getattr(engine_view(self._array, engine), region) + number * size_of(record)
            self._array[start : start + size_of(record)] = 0

    def _begin_watch(self, bank: int, number: int, *, is_new: bool) -> None:
        """Let a service that was not watched until now begin as up, a new one as unknown."""
        watch = watch_view(self._array, number)
        if is_new:
            watch.health, watch.changed_at, watch.failures, watch.successes = Health.UNKNOWN, 0, 0, 0
            watch.probe_at, watch.probes, watch.failed_probes = 0, 0, 0
            return
        was, will = self._monitor(self._arena.bank, number), self._monitor(bank, number)
        if was == MonitorKind.NONE and will != MonitorKind.NONE:
            watch.failures, watch.successes, watch.probe_at, watch.health = 0, 0, 0, Health.UP

    def _monitor(self, bank: int, number: int) -> int:
        return view(Service, self._array, self._arena.services + bank + number * size_of(Service)).monitor

    def _commit(self, bank: int) -> Commit:
        self.guard()
        began_at = time.perf_counter()
        put_in_force(self._array.ctypes.data, bank)
        epoch = self.epoch
        self._wait(epoch)
        return Commit(epoch, (time.perf_counter() - began_at) * 1000, tuple(sorted(self._late(epoch))))

    def _late(self, epoch: int) -> set[int]:
        """Return the living actors that work by another configuration."""
        return {actor for actor in self._followers() if core_view(self._array, actor).configuration != epoch}

    def _followers(self) -> set[int]:
        """Return the actors that look at the tables and live."""
        arena = self._arena
        followers = set(range(Actor.ENGINE, Actor.ENGINE + arena.engine_count))
        if not arena.decides_itself:
            followers.add(Actor.DISTRIBUTOR)
        return followers & set(self._living())

    def _wait(self, epoch: int) -> bool:
        """Wake who sleeps, and wait until all work by a configuration; return whether they do."""
        for actor in self._late(epoch):
            ring_bell(self._array.ctypes.data, actor)
        end = time.perf_counter() + ACKNOWLEDGE_S
        while self._late(epoch):
            if time.perf_counter() > end:
                return False
            self._pause()
        return True
