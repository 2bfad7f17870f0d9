"""Engines that come and go while the appliance works, and the way in which new flows are given to them.

One thread compares what is wanted with what there is, again and again, and does the next step: so a step that fails, or
a management that dies in between, is no harm. All that counts stands in the arena or in the team.

- An engine that is to come begins in the process of a standby. It works by the configuration in force before it
  gets its first flow.
- One that is to go gets no new flows. Those that it has go on, by itself for `appliance.drain_time`, then in the
  process of another engine, which takes over its partition of the arena as it is: no flow notices more than a pause
  of milliseconds. When the last one has ended, the partition rests, and its counters stay.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from ncore_ray.arena.core import Actor, CoreState, Drain
from ncore_ray.arena.layout import Bytes
from ncore_ray.blueprint.build import ALGORITHMS
from ncore_ray.blueprint.parallelism import engine_sets
from ncore_ray.config.model import Configuration, Parallelism
from ncore_ray.flow.recount import Recount
from ncore_ray.flow.scaling import distribute_by, engines_of_new_flows, give_new_flows_to, own_ports, share_things
from ncore_ray.management import counters
from ncore_ray.management.directory import vserver_rows
from ncore_ray.management.hands import FAILED, Hands
from ncore_ray.management.pulse import Pulse, Tell
from ncore_ray.management.quiet import Quiet
from ncore_ray.management.repair import Repair
from ncore_ray.management.team import Member, Team
from ncore_ray.tables.own_address import snips_in_force

LOOK_S: Final = 0.05
HANDS: Final = Hands()
_WELCOME_S: Final = 60.0
_QUIET_S: Final = 1.0
"""So long nothing of an engine that goes has to be left before its partition rests."""
_RECOUNT_S: Final = 0.5
_US: Final = 1_000_000

log: Final = logging.getLogger("ncore_ray")
Plain = dict[str, Any]


class Scaling:
    """Brings the engines of a team to the number that is wanted."""

    def __init__(
        self,
        team: Team,
        repair: Repair,
        pulse: Pulse,
        array: Bytes,
        wanted: Callable[[], Configuration],
        tell: Tell,
        moved: Callable[[], None],
        hands: Hands = HANDS,
    ) -> None:
        """Look after a team whose loops run.

        Args:
            team: the actors.
            repair: gives standbys to engines that are to begin.
            pulse: looks at the breath of those that there are.
            array: the arena.
            wanted: returns the configuration that is wanted.
            tell: takes events.
            moved: called when engines have come or gone.
            hands: reach the actors.
        """
        self._team, self._repair, self._pulse, self._array = team, repair, pulse, array
        self._wanted, self._tell, self._moved, self._hands = wanted, tell, moved, hands
        self.also: Callable[[], None] = lambda: None
        """Called with every look."""
        self._left_at: dict[int, float] = {}
        self._quiet_at: dict[int, float] = {}
        self._shared_at: dict[int, float] = {}
        self._quiet = Quiet(array)
        self._recount = Recount(array)
        self._recount_at, self._repairs_seen = 0.0, 0
        self._snips = set(snips_in_force(array))
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._work, name="scaling", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Let everything be as it is."""
        self._stopping.set()
        self._hurry.set()
        if self._thread.ident is not None:
            self._thread.join(_WELCOME_S)

    def hurry(self) -> None:
        """Look now: something else is wanted."""
        self._hurry.set()

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                self.look()
            except Exception:  # the next look tries again
                log.exception("the engines are not brought to the number that is wanted")
            self._hurry.wait(LOOK_S)
            self._hurry.clear()

    def look(self) -> None:
        """Do what is to be done next."""
        wanted = self._wanted()
        count = wanted.appliance.engines
        self._begin_missing(count)
        self._share_out(count)
        self._follow_distribution(wanted)
        self._follow_sets(wanted)
        self._follow_addresses()
        for member in self._team.engines:
            if _index(member) >= count:
                self._let_go(member, wanted.appliance.drain_time / _US)
        self._look_at_resting()
        self._look_at_counts()
        self.also()

    def _look_at_counts(self) -> None:
        """Put counts of live flows right that are off since somebody died."""
        now, repairs = time.monotonic(), self._repairs()
        if repairs != self._repairs_seen:
            self._repairs_seen, self._recount.is_sure = repairs, False
        if not self._recount.is_sure and now >= self._recount_at:
            self._recount_at = now + _RECOUNT_S
            if off := self._recount.look():
                self._tell("info", f"the count of live flows was off by {off} since somebody had died; it is right now")

    def _repairs(self) -> int:
        return sum(self._core(member).restarts for member in self._team.workers)

    def state(self) -> Plain:
        """Return how far it is: what is wanted, which engines get new flows, and how each of them is."""
        count = self._wanted().appliance.engines
        taking = engines_of_new_flows(self._array)
        members = self._team.engines
        rows = [{"name": one.name, "state": self.state_of(one), "host": one.host or None} for one in members]
        settled = {_index(one) for one in members} == set(range(count)) and taking == list(range(count))
        return {"wanted": count, "taking_flows": len(taking), "engines": rows, "settled": settled}

    def state_of(self, member: Member) -> str:
        """Return what an engine is up to, in a word."""
        if member.is_new:
            return "beginning"
        if member.failure:
            return "failed"
        core = counters.core_view(self._array, member.number)
        if core.drain != Drain.LEAVE:
            return CoreState(core.state).name.lower()
        return "taken over" if member.host else "leaving"

    # Engines that come

    def _begin_missing(self, count: int) -> None:
        there = {_index(member): member for member in self._team.engines}
        for index in range(count):
            if index not in there:
                self._begin(index)
            elif self._core(there[index]).drain == Drain.LEAVE:
                self._stay(there[index])

    def _begin(self, index: int) -> None:
        core = counters.core_view(self._array, Actor.ENGINE + index)
        core.drain = Drain.NO
        own_ports(self._array, index, owned=True)
        member = self._team.add_engine(index)
        self._pulse.names[member.number] = member.name
        self._repair.failed(member)

    def _stay(self, member: Member) -> None:
        """Let an engine that was about to go work on; one that has no process of its own any more gets one."""
        if member.host:
            host = next(one for one in self._team.engines if one.name == member.host)
            if self._hands.ask(host, "dismiss", _index(member)) is not True:
                return
            self._team.part_from(member)
            member.host, member.is_new, member.failure = "", True, "it is about to begin"
            self._repair.failed(member)
        self._core(member).drain = Drain.NO
        self._left_at.pop(_index(member), None), self._shared_at.pop(_index(member), None)
        self._tell("info", f"{member.name} stays")

    # New flows

    def _share_out(self, count: int) -> None:
        """Let new flows go to the engines that are wanted and there; without those that nobody can replace now."""
        members = {_index(member): member for member in self._team.engines if not member.is_new and not member.host}
        there = [index for index in range(count) if index in members]
        if self._repair.standbys() == 0:
            there = [index for index in there if members[index].failure is None] or there
        before = engines_of_new_flows(self._array)
        if not there or there == before:
            return
        give_new_flows_to(self._array, there)
        self._steer()
        self._moved()
        names = ", ".join(f"engine-{index}" for index in there)
        self._tell("info", f"new flows go to {len(there)} engine{'s' * (len(there) > 1)} now: {names}")

    def _steer(self) -> None:
        """Have the kernel bring packets to the engines as new flows are given to them (placement `rss`)."""
        if (fanout := self._repair.fanout()) is not None:
            for member in self._team.engines:
                if (
                    member.failure is None
                    and not member.host
                    and self._hands.ask(member, "steer", fanout) is not FAILED
                ):
                    return

    def _follow_distribution(self, wanted: Configuration) -> None:
        distribution = wanted.distribution
        algorithm = ALGORITHMS[distribution.algorithm]
        if distribute_by(self._array, algorithm, distribution.weights or ()):
            self._tell("info", f"new flows are given to engines by {distribution.algorithm.value} now")

    def _follow_sets(self, wanted: Configuration) -> None:
        """Share VIPs or NICs out among the engines that are wanted, where each has some of them."""
        parallelism = wanted.distribution.parallelism
        if parallelism not in (Parallelism.VIP, Parallelism.NIC):
            return
        sets = engine_sets(wanted, len(wanted.vservers))
        if parallelism is Parallelism.VIP:
            by_name = dict(zip((vserver.name for vserver in wanted.vservers), sets, strict=True))
            rows = {row.number: row.name for row in vserver_rows(self._array) if not row.draining}
            found = {number: by_name[name] for number, name in rows.items() if name in by_name}
        else:
            found = dict(enumerate(sets))
        if share_things(self._array, found):
            self._tell("info", f"each {parallelism.name} has its engines among {wanted.appliance.engines} now")

    def _follow_addresses(self) -> None:
        """Let the kernel's program know the addresses to which servers answer (placement `rss`)."""
        snips = set(snips_in_force(self._array))
        if snips != self._snips:
            self._snips = snips
            self._steer()

    # Engines that go

    def _let_go(self, member: Member, drain_s: float) -> None:
        """Do the next step with an engine that is not wanted any more."""
        now, index, core = time.monotonic(), _index(member), self._core(member)
        if member.failure is not None or member.is_new:
            return  # it is being replaced: first that
        if core.drain != Drain.LEAVE:
            core.drain = Drain.LEAVE
            self._left_at[index] = now
            self._tell("info", f"{member.name} leaves: its flows go on, new ones go to others")
        since = self._left_at.setdefault(index, now)
        if not member.host:
            if self._may_hand_over(index, now - since, drain_s):
                self._hand_over(member)
        elif not self._quiet.is_at_rest(index):
            self._quiet_at.pop(index, None)
        elif now - self._quiet_at.setdefault(index, now) >= _QUIET_S:
            self._dismiss(member)

    def _may_hand_over(self, index: int, spent_s: float, drain_s: float) -> bool:
        """Return whether another process may go on with what an engine has.

        Clients whose requests are shared out among engines would be reset by that: they end first, however long it
        takes (and so do those whose requests it serves).
        """
        if self._quiet.shared_out(index):
            self._shared_at[index] = spent_s
        if spent_s - self._shared_at.get(index, -_QUIET_S) < _QUIET_S:
            return False
        return spent_s >= drain_s or self._quiet.has_no_flow(index)

    def _hand_over(self, member: Member) -> None:
        """Let another engine go on with the flows of one, and of those that this one has taken over itself."""
        host = self._host_of(member)
        if host is None or self._hands.ask(host, "welcome", within_s=_WELCOME_S) is FAILED:
            return
        group = [one for one in self._team.engines if one.handle is member.handle]
        process = member.process
        handles = [self._team.part_from(one) for one in group]
        self._hands.end(handles[0], process)
        fanout = self._repair.left(_index(member))
        for one in group:
            self._settle(one, host)
        if fanout is not None:
            self._steer()
        self._moved()

    def _host_of(self, member: Member) -> Member | None:
        """Return the engine that has taken over the fewest, of those that stay."""
        count = self._wanted().appliance.engines
        engines = self._team.engines
        fit = [one for one in engines if _index(one) < count and one.failure is None and not one.host]
        return min(fit, key=lambda one: sum(other.host == one.name for other in engines), default=None)

    def _settle(self, member: Member, host: Member) -> None:
        """Let a host go on with the partition of an engine whose process has ended."""
        name, index, _, nics = member.arguments
        found = self._hands.ask(host, "adopt", name, index, host.cpu, nics)
        if found is FAILED:
            member.failure = f"{host.name} could not take its flows over"
            self._repair.failed(member)
            return
        member.host = host.name
        member.actor = host.actor
        self._team.replaced(member, host.handle, host.process)
        connections = self._quiet.connections(index)
        self._tell(
            "info",
            f"{host.name} goes on with the {connections} connections of {member.name}, after {found[1] * 1000:.0f} ms",
        )

    def _dismiss(self, member: Member) -> None:
        """Let a partition rest in which nothing is left."""
        index = _index(member)
        own_ports(self._array, index, owned=False)
        time.sleep(LOOK_S)  # whoever had just read that the ports are its own has handed the packet on
        host = next((one for one in self._team.engines if one.name == member.host), None)
        if host is None or not self._quiet.is_at_rest(index):
            own_ports(self._array, index, owned=True)
            return
        process = member.process
        self._team.part_from(member)  # first: its end is no failure
        if self._hands.ask(host, "dismiss", index) is not True:
            self._team.replaced(member, host.handle, process)
            own_ports(self._array, index, owned=True)
            return
        self._team.forget(member)
        self._pulse.names.pop(member.number, None)
        for times in (self._left_at, self._quiet_at, self._shared_at):
            times.pop(index, None)
        self._tell("info", f"{member.name} has ended; its counters stay")
        self._moved()

    def _look_at_resting(self) -> None:
        """Wake a partition for which a packet has come after all: a fragment, or one that was under way for long.

        Or one that a management had begun to hand over when it died.
        """
        there = {_index(member) for member in self._team.engines}
        for index in self._quiet.waiting_for_nobody(there):
            member = self._team.add_engine(index)
            member.is_new = False
            self._pulse.names[member.number] = member.name
            host = self._host_of(member)
            if host is None:
                self._team.forget(member)
            else:
                self._settle(member, host)

    def _core(self, member: Member) -> Any:
        return counters.core_view(self._array, member.number)


def _index(member: Member) -> int:
    return member.number - Actor.ENGINE
