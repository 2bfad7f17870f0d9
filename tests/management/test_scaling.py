"""Engines that come and go, step by step: the real arena, made-up processes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ncore_ray.arena.core import Actor, CoreState, Drain
from ncore_ray.arena.ring import Ring
from ncore_ray.config.apply import apply
from ncore_ray.config.language import parse_command
from ncore_ray.engine.connection import Role, Tcb
from ncore_ray.engine.remote.link import Link
from ncore_ray.flow.distributor import distributor_view
from ncore_ray.flow.records import EngineSet
from ncore_ray.flow.scaling import engines_of_new_flows
from ncore_ray.lab.dry.engine import EngineLab
from ncore_ray.machine.record import table, view
from ncore_ray.management import quiet
from ncore_ray.management.counters import core_view, engine_view
from ncore_ray.management.hands import FAILED, Hands
from ncore_ray.management.scaling import Scaling
from ncore_ray.management.team import Member
from ncore_ray.tables.port_owner import NO_OWNER, port_ranges
from tests.support.http_lab import configuration


class Process:
    """An actor's process, and its handle."""

    numbers = iter(range(1000, 100_000))

    def __init__(self) -> None:
        self.number = next(self.numbers)
        self.asked: list[tuple[Any, ...]] = []
        self.ended = False


class MadeUpTeam:
    def __init__(self, engines: int) -> None:
        self.members = [self._member(index) for index in range(engines)]
        for member in self.members:
            self.replaced(member, process := Process(), process.number)

    def _member(self, index: int, *, is_new: bool = False) -> Member:
        arguments: tuple[Any, ...] = (f"lab/engine-{index}", index, None, [])
        member = Member(f"engine-{index}", "PacketEngine", Actor.ENGINE + index, None, None, arguments=arguments)
        member.is_new = is_new
        return member

    @property
    def engines(self) -> list[Member]:
        return sorted(self.members, key=lambda one: one.number)

    workers = engines

    def add_engine(self, index: int) -> Member:
        self.members = [*self.members, self._member(index, is_new=True)]
        return self.members[-1]

    def part_from(self, member: Member) -> Any:
        handle, member.handle, member.process = member.handle, None, 0
        return handle

    def forget(self, member: Member) -> None:
        self.members = [one for one in self.members if one is not member]

    def replaced(self, member: Member, handle: Any, process: int) -> None:
        member.handle, member.process, member.failure, member.is_new = handle, process, None, False


class MadeUpRepair:
    def __init__(self, team: MadeUpTeam) -> None:
        self.team, self.waiting, self.ready = team, list[Member](), 1
        self.fanouts: list[str] = []

    def failed(self, member: Member) -> bool:
        self.waiting.append(member)
        return True

    def standbys(self) -> int:
        return self.ready

    def fanout(self) -> str:
        return "fanout"

    def left(self, engine: int) -> str:
        return f"without {engine}"

    def replace_all(self) -> None:
        """Give each that waits a process."""
        for member in self.waiting:
            member.host = ""
            self.team.replaced(member, process := Process(), process.number)
        self.waiting = []


class MadeUpHands(Hands):
    def ask(self, member: Member, method: str, *arguments: Any, within_s: float = 0.0) -> Any:
        if member.handle is None or member.handle.ended:
            return FAILED
        member.handle.asked.append((method, *arguments))
        return {"adopt": ("", 0.01), "dismiss": True}.get(method)

    def end(self, handle: Any, process: int) -> None:
        handle.ended = True


class World:
    """An appliance of some engines with room for four."""

    def __init__(self, engines: int, monkeypatch: pytest.MonkeyPatch, drain: str = "0s", **options: Any) -> None:
        self.now = 100.0
        monkeypatch.setattr("ncore_ray.management.scaling.time.monotonic", lambda: self.now)
        monkeypatch.setattr("ncore_ray.management.scaling.time.sleep", lambda seconds: None)
        monkeypatch.setattr(quiet, "COUNT_S", 0.0)
        head = f"engines: {engines}, max_engines: 4, drain_time: {drain}"
        self.lab = EngineLab(configuration(**options).replace("engines: 1", head))
        self.array, self.wanted = self.lab.array, self.lab.blueprint.configuration
        self.told: list[str] = []
        self.team = MadeUpTeam(engines)
        self.repair = MadeUpRepair(self.team)
        pulse: Any = SimpleNamespace(names={})
        team: Any = self.team
        repair: Any = self.repair
        self.scaling = Scaling(
            team, repair, pulse, self.array, lambda: self.wanted, self._tell, lambda: None, MadeUpHands()
        )

    def _tell(self, level: str, text: str) -> None:
        self.told.append(text)

    def want(self, *commands: str) -> None:
        self.wanted = apply(map(parse_command, commands), self.wanted)

    def look(self, times: int = 1, step_s: float = 0.0) -> None:
        for _ in range(times):
            self.now += step_s
            self.scaling.look()

    def states(self) -> dict[str, str]:
        return {row["name"]: row["state"] for row in self.scaling.state()["engines"]}

    def breathe(self) -> None:
        """Let those that have a process be at work."""
        for member in self.team.members:
            core_view(self.array, member.number).state = CoreState.RUNNING

    def owners(self, engine: int) -> set[int]:
        first, count = port_ranges(4)[engine]
        return set(self.array[self.lab.arena.port_owners + first :][:count].tolist())


def test_new_ones_get_flows_when_they_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(1, monkeypatch)
    assert (engines_of_new_flows(world.array), world.owners(1)) == ([0], {NO_OWNER})
    world.want("set appliance engines=4")
    world.look(2)
    assert engines_of_new_flows(world.array) == [0]
    assert [member.name for member in world.repair.waiting] == ["engine-1", "engine-2", "engine-3"]
    assert world.states() == {"engine-0": "absent", **dict.fromkeys(["engine-1", "engine-2", "engine-3"], "beginning")}
    world.repair.replace_all()
    world.look()
    assert engines_of_new_flows(world.array) == [0, 1, 2, 3]
    assert world.owners(3) == {3}
    assert world.scaling.state()["settled"]
    assert ("steer", "fanout") in world.team.members[0].handle.asked


def test_one_that_goes_is_taken_over_and_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(2, monkeypatch, drain="5s")
    world.breathe()
    engine_view(world.array, 1).live_connections = 7
    process = world.team.members[1].handle
    world.want("set appliance engines=1")
    world.look(4, step_s=1.0)
    assert engines_of_new_flows(world.array) == [0]
    assert core_view(world.array, Actor.ENGINE + 1).drain == Drain.LEAVE
    assert world.states() == {"engine-0": "running", "engine-1": "leaving"}
    assert not process.ended
    world.look(3, step_s=1.0)
    assert world.states()["engine-1"] == "taken over"
    assert process.ended
    host = world.team.members[0].handle
    assert [row[0] for row in host.asked] == ["steer", "welcome", "adopt", "steer"]
    assert not world.scaling.state()["settled"]
    engine_view(world.array, 1).live_connections = 0
    world.look(3, step_s=1.0)
    assert world.states() == {"engine-0": "running"}
    assert host.asked[-1] == ("dismiss", 1)
    assert (world.owners(1), world.owners(0)) == ({NO_OWNER}, {0})
    assert world.scaling.state()["settled"]


def test_one_that_goes_and_is_wanted_again_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(2, monkeypatch, drain="5s")
    engine_view(world.array, 1).live_connections = 7
    world.want("set appliance engines=1")
    world.look()
    world.want("set appliance engines=2")
    world.look()
    assert core_view(world.array, Actor.ENGINE + 1).drain == Drain.NO
    assert engines_of_new_flows(world.array) == [0, 1]


def test_one_that_was_taken_over_gets_a_process_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(2, monkeypatch)
    engine_view(world.array, 1).live_connections = 7
    world.want("set appliance engines=1")
    world.look(2)
    assert world.team.members[1].host == "engine-0"
    world.want("set appliance engines=2")
    world.look(2)
    assert world.repair.waiting == [world.team.members[1]]
    world.repair.replace_all()
    world.look()
    assert engines_of_new_flows(world.array) == [0, 1]
    assert world.team.members[1].host == ""


def test_a_host_that_goes_takes_its_guests_along(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(4, monkeypatch)
    for engine in range(4):
        engine_view(world.array, engine).live_connections = 7
    world.want("set appliance engines=2")
    world.look()
    assert [member.host for member in world.team.members] == ["", "", "engine-0", "engine-1"]
    world.want("set appliance engines=1")
    world.look()
    assert [member.host for member in world.team.members] == ["", "engine-0", "engine-0", "engine-0"]
    assert {member.process for member in world.team.members} == {world.team.members[0].process}


def test_a_host_that_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(2, monkeypatch)
    engine_view(world.array, 1).live_connections = 7
    world.want("set appliance engines=1")
    world.team.members[0].handle.ended = True
    world.look(3)
    assert world.team.members[1].host == ""
    assert not world.team.members[1].handle.ended


def test_new_flows_shun_who_cannot_be_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(2, monkeypatch)
    world.team.members[1].failure = "its process died"
    world.look()
    assert engines_of_new_flows(world.array) == [0, 1]
    world.repair.ready = 0
    world.look()
    assert engines_of_new_flows(world.array) == [0]
    world.team.members[0].failure = "its process died"
    world.look()
    assert engines_of_new_flows(world.array) == [0, 1]


def test_a_packet_for_nobody_wakes_the_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(1, monkeypatch)
    world.lab.receive(0, b"\0" * 60, engine=2)
    world.look()
    assert [member.name for member in world.team.members] == ["engine-0", "engine-2"]
    assert world.team.members[1].host == "engine-0"


def test_flows_that_a_former_management_was_handing_over_are_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(1, monkeypatch)
    engine_view(world.array, 3).live_connections = 5
    world.look()
    assert [(member.name, member.host) for member in world.team.members] == [("engine-0", ""), ("engine-3", "engine-0")]


def test_an_engine_with_transactions_waits_for_its_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """To take them over would reset them."""
    world = World(2, monkeypatch, unit="transaction")
    world.breathe()
    header = engine_view(world.array, 1)
    header.live_connections = 7
    rows = table(Tcb, world.array, header.connections, header.connection_count)
    rows["role"][:2], rows["virtual"][1] = (Role.SPLIT, Role.CLIENT), 3
    world.want("set appliance engines=1")
    world.look(50, step_s=1.0)
    rows["role"][0] = Role.FREE
    world.look(50, step_s=1.0)
    assert world.states()["engine-1"] == "leaving"
    rows["role"][1] = Role.FREE
    world.look(1, step_s=0.5)
    assert world.states()["engine-1"] == "leaving"
    world.look(1, step_s=0.5)
    assert world.states()["engine-1"] == "taken over"
    header.live_connections = 0
    assert world.states()["engine-1"] == "taken over"
    world.look(3, step_s=1.0)
    assert world.states() == {"engine-0": "running"}


def test_messages_for_it_keep_a_partition_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(1, monkeypatch, key="cookie: sid")
    link = view(Link, world.array, engine_view(world.array, 2).links)
    assert world.scaling._quiet.is_at_rest(2)
    view(Ring, world.array, link.inbound).tail += 1
    assert not world.scaling._quiet.is_at_rest(2)
    world.look()
    assert [(one.name, one.host) for one in world.team.members] == [("engine-0", ""), ("engine-2", "engine-0")]


@pytest.mark.parametrize(("parallelism", "sets"), [("vip", {0: 0b1111}), ("nic", {0: 0b0101, 1: 0b1010})])
def test_vips_and_nics_are_shared_out_among_those_that_are_wanted(
    parallelism: str, sets: dict[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(1, monkeypatch, distribution=f"parallelism: {parallelism}")
    world.want("set appliance engines=4")
    world.look()
    world.repair.replace_all()
    world.look()
    decider = distributor_view(world.array)
    found = table(EngineSet, world.array, decider.engine_sets, decider.engine_set_count)["engines"].tolist()
    assert dict(enumerate(found)) == sets
    assert sum("has its engines among 4 now" in text for text in world.told) == 1
