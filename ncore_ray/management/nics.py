"""NICs that come and go while the appliance works (placement `core`).

One that comes is opened before anything leads to it: a process begins to read it, and every engine opens a socket to
send through it. Only then does the configuration that names it come into force; where it cannot be opened, nothing is
changed. One that goes has no address and no route for anything new from that instant on. What is there goes on, and is
still answered, for `appliance.drain_time` at the most; then its reader ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np

from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes
from ncore_ray.arena.ring import Ring
from ncore_ray.blueprint.nics import settings_of
from ncore_ray.blueprint.seats import Seats
from ncore_ray.config.model import Configuration
from ncore_ray.engine.connection import Role, Tcb
from ncore_ray.errors import NcoreError
from ncore_ray.machine.record import size_of, table, view
from ncore_ray.management.counters import clear_nic_counters, engine_view, nic_counters
from ncore_ray.management.hands import FAILED, Hands
from ncore_ray.management.pulse import Tell
from ncore_ray.management.repair import Repair
from ncore_ray.management.team import Member, Team
from ncore_ray.nic.settings import NicSettings
from ncore_ray.tables.nic import Nic, Transmit

_HANDS: Final = Hands()
_HOME_S: Final = 1.0
"""So long frames may be on their way home when a NIC ends."""
_US: Final = 1_000_000


class NicKeeper:
    """Brings the NICs of a team to those that are wanted."""

    def __init__(
        self,
        team: Team,
        repair: Repair,
        names: dict[int, str],
        array: Bytes,
        seats: Seats,
        tell: Tell,
        noted: Callable[[Seats], None],
        hands: Hands = _HANDS,
    ) -> None:
        """Look after a team whose loops run.

        Args:
            team: the actors.
            repair: has a process for a reader that is to begin.
            names: what is watched, by the numbers of the actors.
            array: the arena.
            seats: who has which place.
            tell: takes events.
            noted: called with the places whenever they have changed.
            hands: reach the actors.
        """
        self._team, self._repair, self._names, self._array = team, repair, names, array
        self.seats, self._tell, self._noted, self._hands = seats, tell, noted, hands
        self._told = self._engine_processes()
        self._left_at: dict[int, float] = {}
        self._dry_at: dict[int, float] = {}

    # NICs that come

    def prepare(self, wanted: Configuration) -> None:
        """Open what a configuration needs that is not open. Raises NcoreError: then all is as it was."""
        come: list[int] = []
        changed: list[tuple[int, NicSettings | None]] = []
        try:
            for settings in map(settings_of, wanted.nics):
                place = self.seats.place_of(settings.name)
                if place is None:
                    come.append(self._begin(settings))
                elif (former := self._team.nics[place]) != settings:
                    self._reopen(place, settings, former)
                    changed.append((place, former))
        except NcoreError:
            for place, former in changed:
                if former is not None:
                    self._reopen(place, former, former)
            for place in come:
                self._end(place)
            raise

    def follow(self, wanted: Configuration) -> None:
        """Let those leave that are not wanted any more: the tables say so by now."""
        kept = {nic.name: nic for nic in wanted.nics}
        for place in self._taken():
            name = self.seats.names[place]
            if name in kept:
                self._row(place).proxy_arp = int(kept[name].proxy_arp)
                if self._left_at.pop(place, None) is not None:
                    self._tell("info", f"nic-{name} stays")
            elif place not in self._left_at:
                self._left_at[place] = time.monotonic()
                self._row(place).proxy_arp = 1  # whoever knows an address there is answered until it ends
                self._tell("info", f"nic-{name} leaves: what uses it goes on, nothing new is sent there")

    def _begin(self, settings: NicSettings) -> int:
        before = self.seats
        seats, place = before.take(settings.name)
        if before.names[place] != settings.name:
            clear_nic_counters(self._array, place)
        self.seats = seats
        try:
            self._open(place, settings)
        except NcoreError:
            self.seats = before
            raise
        self._noted(seats)
        return place

    def _open(self, place: int, settings: NicSettings, spare: Member | None = None) -> None:
        """Let a reader begin, and all engines send there. Raises NcoreError."""
        row = self._row(place)
        row.vlan, row.bridge = settings.vlan, 0
        member = self._team.add_reader(place, settings)
        try:
            self._repair.begin(member, spare)
            self._names[member.number] = member.name
            self._team.put_nic(place, settings)
            self._open_senders(place, settings)
        except NcoreError:
            self._team.put_nic(place, None)
            self._dismiss(member, place)
            raise

    def _open_senders(self, place: int, settings: NicSettings) -> None:
        for engine in self._engines():
            if self._hands.ask(engine, "open_nic", place, settings) is FAILED and engine.failure is None:
                raise NcoreError(f"{engine.name} cannot send through nic {settings.name}; nothing was changed")

    def _reopen(self, place: int, settings: NicSettings, former: NicSettings | None) -> None:
        """Close a NIC and open it as it is wanted now: what comes meanwhile is lost, and sent again by its senders."""
        member, spare = self._team.reader_of(place), self._repair.spare()  # first: that may take seconds
        if member is not None:
            self._dismiss(member, place)
        try:
            self._open(place, settings, spare)
        except NcoreError:
            if former is not None:
                self._open(place, former)
            raise

    # NICs that go

    def look(self, drain_s: float) -> None:
        """Do what is to be done next with those that leave, and tell engines that came meanwhile of all."""
        if (engines := self._engine_processes()) != self._told:
            self._told = engines
            for place in self._taken():
                if (settings := self._team.nics[place]) is not None:
                    self._tell_engines(place, settings)
        for place, since in list(self._left_at.items()):
            late = time.monotonic() - since >= drain_s
            if late or not self.uses(place):
                self._let_end(place, late=late)

    def uses(self, place: int) -> int:
        """Return how many connections have their own end, or their next hop, at the NIC in a place."""
        arena, count = view(Arena, self._array), 0
        for engine in range(arena.engine_count):
            header = engine_view(self._array, engine)
            rows = table(Tcb, self._array, header.connections, header.connection_count)
            count += int(np.count_nonzero((rows["role"] != Role.FREE) & (rows["nic"] == place)))
        return count

    def _let_end(self, place: int, *, late: bool) -> None:
        """End a NIC as soon as its frames are home: first nothing more is sent through it."""
        row, now, reader = self._row(place), time.monotonic(), self._team.reader_of(place)
        if reader is not None and reader.failure is not None and self._team.nics[place] is not None:
            return  # it is being replaced: first that
        since = self._dry_at.setdefault(place, now)
        row.transmit = Transmit.DIRECT  # engines without a socket there drop what they would send, and count it
        if now == since or (now - since < _HOME_S and not self._is_dry(place)):
            return
        left, name = self.uses(place), self.seats.names[place]
        self._end(place)
        self._left_at.pop(place, None), self._dry_at.pop(place, None)
        more = f"; {left} connections that used it will end by their time-outs" if late and left else ""
        self._tell("info", f"nic-{name} has ended; its counters stay{more}")

    def _is_dry(self, place: int) -> bool:
        """Return whether all frames that the NIC lent are home, and none waits to be sent."""
        numbers = nic_counters(self._array, place)
        lent = numbers["received_packets"] + numbers.get("chained_frames", 0) - numbers["returned_frames"]
        return lent <= 0 and not any(ring.tail - ring.head for ring in self._transmit_rings(place))

    def _transmit_rings(self, place: int) -> Iterable[Ring]:
        arena = view(Arena, self._array)
        for engine in range(arena.engine_count):
            number = engine * arena.nic_count + place
            yield view(Ring, self._array, arena.transmit_rings + number * arena.ring_stride)

    def _end(self, place: int) -> None:
        """Close a NIC for good; its place is free."""
        member = self._team.reader_of(place)
        self._team.put_nic(place, None)
        if member is not None:
            self._dismiss(member, place)
        self.seats = self.seats.give_back(place)
        self._row(place).proxy_arp = 0
        self._noted(self.seats)

    def _dismiss(self, member: Member, place: int) -> None:
        """End a reader's process, and the engines' sockets."""
        process = member.process
        handle = self._team.part_from(member)
        if handle is not None:
            self._hands.end(handle, process)
        self._team.forget(member)
        self._names.pop(member.number, None)
        self._tell_engines(place, None)

    def _tell_engines(self, place: int, settings: NicSettings | None) -> None:
        for engine in self._engines():
            self._hands.ask(engine, "open_nic", place, settings)

    def _engine_processes(self) -> set[tuple[int, int]]:
        return {(one.number, one.process) for one in self._team.engines if one.process}

    def _engines(self) -> list[Member]:
        """Return those with a process of their own; guests are told by their hosts."""
        return [one for one in self._team.engines if one.handle is not None and not one.host]

    def _taken(self) -> list[int]:
        return [place for place in range(len(self.seats.names)) if place not in self.seats.free]

    def _row(self, place: int) -> Any:
        return view(Nic, self._array, view(Arena, self._array).nics + place * size_of(Nic))
