"""Repair: an actor that dies or hangs is replaced by a standby, which takes its place in the arena.

Two threads: one looks at all processes and breaths (`deaths`, `pulse`), the other repairs, one actor after the other. A
standby waits with everything loaded; as soon as it is used, the next one is made.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

import ray
from ray.exceptions import RayError

from ncore_ray.actors.standby import Standby
from ncore_ray.arena.core import Actor
from ncore_ray.errors import NcoreError
from ncore_ray.management.agenda import Agenda
from ncore_ray.management.deaths import Deaths
from ncore_ray.management.keeping import KIND, Keeping, Place
from ncore_ray.management.processes import is_running, make_sure_it_is_gone
from ncore_ray.management.pulse import Pulse, Tell
from ncore_ray.management.team import Member, Team, reason_of
from ncore_ray.nic.fanout import Fanout

LOOK_S: Final = 0.1
_READY_S: Final = 300.0
"""For a standby to load its kernels."""
_BECOME_S: Final = 60.0
_SPARE_S: Final = 20.0
"""So long somebody who is new waits for a process: whoever asked for it still listens then."""
_SETTLED_S: Final = 3.0
"""An actor that lives for so long after it was replaced is no crash loop: whatever is wrong with what it finds, or with
the program, shows in its first breaths. One that is killed by others every five seconds is not to wait."""
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 16.0
_WAIT_S: Final = 0.5
_MANY_ENGINES: Final = 3

log: Final = logging.getLogger("ncore_ray")


class Pauses:
    """How long to wait before an actor is replaced: none, unless it dies again soon after that, time and again."""

    def __init__(self) -> None:
        self._replaced_at: dict[str, float] = {}
        self._strikes: dict[str, int] = {}

    def plain(self) -> dict[str, list[float]]:
        """Return everything as plain data: when each was replaced, and how often in a row."""
        return {name: [at, self._strikes.get(name, 0)] for name, at in self._replaced_at.items()}

    def restore(self, known: Mapping[str, Sequence[float]]) -> None:
        """Go on where another process was; the monotonic clock is the node's."""
        for name, (at, strikes) in known.items():
            self._replaced_at[name], self._strikes[name] = at, int(strikes)

    def before(self, name: str, now_s: float) -> float:
        """Return how long to wait with an actor that has just died, in seconds."""
        soon = now_s - self._replaced_at.get(name, -_SETTLED_S) < _SETTLED_S
        self._strikes[name] = self._strikes.get(name, 0) + 1 if soon else 0
        strikes = self._strikes[name]
        return min(_FIRST_PAUSE_S * 2 ** (strikes - 2), _LONGEST_PAUSE_S) if strikes > 1 else 0.0

    def replaced(self, name: str, now_s: float) -> None:
        """Note that an actor was replaced."""
        self._replaced_at[name] = now_s


def after_rejoining(members: Sequence[int], engine: int) -> list[int]:
    """Return the order of a packet fanout's sockets after one was closed by the kernel and opened again.

    The last one takes the number of the one that is closed; the new one comes last (packet(7), PACKET_FANOUT).
    """
    left = list(members)
    left[left.index(engine)] = left[-1]
    return [*left[:-1], engine]


def after_leaving(members: Sequence[int], engine: int) -> list[int]:
    """Return the order of a packet fanout's sockets after one was closed: the last one takes its number."""
    return after_rejoining(members, engine)[:-1]


class Repair:
    """Keeps the actors of a team alive."""

    def __init__(
        self,
        team: Team,
        place: Place,
        pulse: Pulse,
        fanout: Callable[[Sequence[int]], Fanout | None],
        tell: Tell,
        on_repaired: Callable[[], None],
        members: Sequence[int],
        standbys: int | None = None,
        renew: Callable[[], None] = lambda: None,
    ) -> None:
        """Watch a team whose loops run.

        Args:
            team: the actors.
            place: where a standby finds the arena.
            pulse: looks at their breaths; what it finds to hang is killed and replaced.
            fanout: what receive queues join when the sockets of the engines are in an order.
            tell: takes events.
            on_repaired: called after every repair.
            members: the engines, in the order of their sockets.
            standbys: how many processes wait; None: one, or two where many engines may die. With 0, one is made when it
                is needed.
            renew: called with every look: who does not look any more is no management.
        """
        self._renew = renew
        self._team, self._place, self._pulse = team, place, pulse
        self._fanout, self._tell, self._on_repaired = fanout, tell, on_repaired
        self._deaths = Deaths()
        self._keeping = Keeping(team, place, tell, self._kept)
        self.pauses = Pauses()
        self._work: Agenda[Member] = Agenda()
        self._ready: queue.Queue[Member] = queue.Queue()
        self._stopping = threading.Event()
        self._made = 0
        self._lock = threading.Lock()
        self._there = 0
        """Standbys that wait, or are being made."""
        self._asked = 0
        """Actors that are to get one."""
        self.members = list(members)
        self._standbys = standbys
        self._threads = [
            threading.Thread(target=self._watch, name="pulse", daemon=True),
            threading.Thread(target=self._repair_all, name="repair", daemon=True),
        ]

    def adopt(self, standbys: Sequence[Member]) -> None:
        """Go on with processes that waited for a former management; call it before `start`."""
        for standby in standbys:
            self._team.standbys.append(standby)
            self._deaths.add(standby.process)
            self._ready.put(standby)
            self._there += 1

    def start(self) -> None:
        """Begin to watch, and make the standbys that are missing."""
        for member in self._team.members:
            self._deaths.add(member.process)
        for thread in self._threads:
            thread.start()
        self._make_standbys()

    @property
    def _wanted(self) -> int:
        if self._standbys is not None:
            return self._standbys
        return 1 if len(self._team.engines) < _MANY_ENGINES else 2

    def stop(self) -> None:
        """End the threads; whatever dies from now on stays dead."""
        self._stopping.set()
        self._keeping.stop()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(_BECOME_S)
        self._deaths.close()

    def failed(self, member: Member) -> bool:
        """Take note of an actor that failed; return whether it will be replaced."""
        if self._stopping.is_set():
            return False
        if member.kind == KIND:
            self._keeping.begin(member, self.pauses.before(member.name, time.monotonic()))
            return True
        with self._lock:
            self._asked += 1
        self._put(member)
        if member.is_new or self.standbys() == 0:  # else the next one is made after the repair: that has the processor
            self._make_standbys()
        return True

    def _put(self, member: Member) -> None:
        """Have an actor replaced, at once or, if it dies again and again, later: others do not wait for that."""
        now = time.monotonic()
        pause_s = self.pauses.before(member.name, now)
        if pause_s:
            self._tell("warning", f"{member.name} dies again and again: it is replaced in {pause_s:g} s")
        self._work.add(member, now + pause_s)

    def begin(self, member: Member, spare: Member | None = None) -> None:
        """Let a process begin the work of an actor that is new, and wait until it does. Raises NcoreError.

        ``spare`` is one that was asked for before (`spare`).
        """
        standby = spare or self.spare()
        try:
            process, _, seconds = ray.get(
                standby.handle.become.remote(member.kind, member.arguments, None), timeout=_BECOME_S
            )
        except RayError as error:
            self._end(standby)
            raise NcoreError(f"{member.name} cannot begin: {reason_of(error)}") from None
        finally:
            self._used()
        member.actor = standby.actor
        self._team.replaced(member, standby.handle, process)
        self._tell("info", f"{member.name} begins in process {process}, after {seconds * 1000:.0f} ms")
        self._on_repaired()

    def spare(self) -> Member:
        """Return a standby for somebody who is new, as soon as there is one: for `begin`. Raises NcoreError."""
        with self._lock:
            self._asked += 1
        try:
            if self.standbys() == 0:
                self._make_standbys()
            end = time.monotonic() + _SPARE_S
            while time.monotonic() < end and not self._stopping.is_set():
                if (standby := self._next_standby()) is not None:
                    return standby
        finally:
            with self._lock:
                self._asked -= 1
        raise NcoreError("no process is ready to begin; nothing was changed")

    def hangs(self, name: str, why: str) -> None:
        """Replace an actor that does not breathe any more."""
        for member in self._team.members:
            if name.partition(" ")[0] == member.name:
                self._team.report(member, member.handle, f"it hangs: {why}")

    def standbys(self) -> int:
        """Return how many processes wait to take the place of an actor."""
        return sum(standby.failure is None for standby in list(self._ready.queue))

    def _watch(self) -> None:
        last = time.monotonic()
        while not self._stopping.is_set():
            self._renew()
            for process in self._deaths.wait(LOOK_S):
                self._bury(process)
            now = time.monotonic()
            if now - last >= LOOK_S:
                self._pulse.look(min(now - last, 2 * LOOK_S))
                last = now

    def _bury(self, process: int) -> None:
        for member in self._team.members:
            if member.process == process:
                self._team.report(member, member.handle, "its process died")
        for standby in list(self._team.standbys):
            if standby.process == process:
                standby.failure = "its process died"
                self._team.standbys.remove(standby)
                self._tell("warning", f"{standby.name} (process {process}) died while it waited")
                self._used()

    def _repair_all(self) -> None:
        while not self._stopping.is_set():
            member = self._work.take(_WAIT_S)
            if member is None:
                continue
            try:
                is_over = self._repair(member)
            except Exception as error:  # whatever it is, the next actor is to be repaired
                log.exception("the repair of %s failed", member.name)
                self._tell("error", f"{member.name} cannot be replaced: {error}")
                is_over = False
                self._strike(member)
            if is_over:
                with self._lock:
                    self._asked -= 1
                self._make_standbys()

    def _repair(self, member: Member) -> bool:
        """Replace an actor; return False if that is to be tried again, which is on the agenda then.

        One that has left meanwhile needs nothing any more, nor has one that works again: it was reported twice.
        """
        if not self._is_there(member) or member.failure is None:
            return True
        if member.process:
            make_sure_it_is_gone(member.process)
        standby = self._next_standby()
        if standby is None:
            self._work.add(member, time.monotonic())
            return False
        if self._replace(member, standby):
            return True
        self._strike(member)
        return False

    def _strike(self, member: Member) -> None:
        """Try once more to replace an actor, later each time: each try costs a whole process."""
        self.pauses.replaced(member.name, time.monotonic())
        self._put(member)

    def _end(self, standby: Member) -> None:
        """End a process that did not become what it was to be, before another one is at work in its place."""
        ray.kill(standby.handle, no_restart=True)
        if standby.process:
            make_sure_it_is_gone(standby.process)

    def _is_there(self, member: Member) -> bool:
        """Return whether an actor is one of the team still: who has left it is not replaced."""
        return any(one is member for one in self._team.members)

    def _kept(self, process: int) -> None:
        self.pauses.replaced("arena", time.monotonic())
        self._deaths.add(process)
        self._on_repaired()

    def _next_standby(self) -> Member | None:
        try:
            standby = self._ready.get(timeout=_WAIT_S)
        except queue.Empty:
            return None
        if standby.failure is not None:
            return None
        self._team.standbys.remove(standby)
        return standby

    def _replace(self, member: Member, standby: Member) -> bool:
        """Let a standby take an actor's place; return whether it did."""
        fanout = self._fanout_for(member)
        answer = standby.handle.become.remote(member.kind, member.arguments, fanout)
        try:
            process, found, seconds = ray.get(answer, timeout=_BECOME_S)
        except RayError as error:
            self._used()
            self._tell("error", f"{member.name} was not replaced: {reason_of(error)}")
            self._end(standby)
            return False
        begins = member.is_new
        self._pulse.core(member.number).restarts += not begins
        member.host = ""
        member.actor = standby.actor
        self._team.replaced(member, standby.handle, process)
        if not is_running(process):
            self._bury(process)
        if begins:
            self._tell("info", f"{member.name} begins in process {process}, after {seconds * 1000:.0f} ms")
        else:
            self.pauses.replaced(member.name, time.monotonic())
            self._tell("info", f"{member.name} goes on in process {process}, after {seconds * 1000:.0f} ms: {found}")
        with self._lock:
            self._there -= 1  # the next one is made when this repair is done
        self._on_repaired()
        return True

    def _fanout_for(self, member: Member) -> Fanout | None:
        if member.kind != "PacketEngine":
            return None
        engine = member.number - Actor.ENGINE
        if engine in self.members:
            self.members = after_rejoining(self.members, engine)
        elif member.is_new:
            self.members = [*self.members, engine]
        else:  # another engine had taken its flows over: it has no receive queue
            return None
        return self._fanout(self.members)

    def left(self, engine: int) -> Fanout | None:
        """Note that an engine's receive queues were closed for good; return what those of the others make up now."""
        if engine in self.members:
            self.members = after_leaving(self.members, engine)
        return self._fanout(self.members)

    def fanout(self) -> Fanout | None:
        """Return what the receive queues of the engines make up, as new flows are given to engines now."""
        return self._fanout(self.members)

    def _used(self) -> None:
        """Note that a standby is none any more."""
        with self._lock:
            self._there -= 1
        self._make_standbys()

    def _make_standbys(self) -> None:
        """Make as many as are to wait, and one for each actor that waits for one."""
        if self._stopping.is_set():
            return
        with self._lock:
            missing = max(self._wanted + self._asked - self._there, 0)
            self._there += missing
        for _ in range(missing):
            threading.Thread(target=self._prepare, name="standby", daemon=True).start()

    def _create_standby(self) -> Member:
        """Create an actor under the next name that is free: a former standby keeps its name in its new work."""
        while True:
            self._made += 1
            name = f"standby-{self._made}"
            with suppress(ValueError):
                handle = self._team.create_actor(name, Standby, f"{self._team.name}/{name}")
                standby = Member(name, "Standby", -1, None, handle, actor=f"{self._team.name}/{name}")
                self._team.standbys.append(standby)
                return standby

    def _prepare(self) -> None:
        """Make a process that waits; where that fails, say so and try again."""
        place = self._place
        while not self._stopping.is_set():
            standby = self._create_standby()
            try:
                answer = standby.handle.attach.remote(place.reference, place.node, place.epoch)
                standby.process = ray.get(answer, timeout=_READY_S)
            except RayError as error:
                self._team.standbys.remove(standby)
                if not self._stopping.wait(_FIRST_PAUSE_S):
                    self._tell("warning", f"no standby can be made: {reason_of(error)}")
                    self._stopping.wait(_LONGEST_PAUSE_S)
                continue
            self._deaths.add(standby.process)
            self._ready.put(standby)
            return
