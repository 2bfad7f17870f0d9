"""NICs that come and go, step by step: the real arena and tables, made-up processes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ncore_ray.arena.core import Actor
from ncore_ray.blueprint.nics import settings_by_place
from ncore_ray.blueprint.seats import NoPlaceError, Seats
from ncore_ray.config.apply import apply
from ncore_ray.config.language import parse_command
from ncore_ray.config.live import restart_reasons
from ncore_ray.config.load import ConfigurationError, parse
from ncore_ray.config.scale import room_reasons
from ncore_ray.errors import NcoreError
from ncore_ray.machine.record import view
from ncore_ray.management.counters import nic_counters
from ncore_ray.management.hands import FAILED, Hands
from ncore_ray.management.nics import NicKeeper
from ncore_ray.management.team import Member
from ncore_ray.nic.partition import READER_COUNTERS, ReaderCounters
from ncore_ray.nic.settings import NicSettings
from ncore_ray.tables.own_address import snips_in_force
from tests.engine.http.http_talk import GET, OK, passed_request, passed_response
from tests.management.live_lab import LiveLab
from tests.support.http_lab import configuration

ADD = "add nic nc2 driver=memory addresses=10.3.0.10/24"
TEXT = configuration().replace("engines: 1", "engines: 1, max_nics: 3")


class MadeUpHands(Hands):
    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.ended: list[Any] = []
        self.cannot = ""

    def ask(self, member: Member, method: str, *arguments: Any, within_s: float = 0.0) -> Any:
        place, settings = arguments
        if settings is not None and settings.name == self.cannot:
            return FAILED
        self.asked.append((member.name, method, place, settings.name if settings else None))
        return None

    def end(self, handle: Any, process: int) -> None:
        self.ended.append(handle)


class MadeUpTeam:
    """What the keeper needs of a team."""

    def __init__(self, lab: LiveLab) -> None:
        self.nics: list[NicSettings | None] = settings_by_place(lab.wanted)
        self.engines = [Member("engine-0", "PacketEngine", Actor.ENGINE, None, "engine", 1)]
        self.readers: dict[int, Member] = {}
        for place, settings in enumerate(self.nics):
            if settings is not None:
                member = self.add_reader(place, settings)
                member.handle, member.failure = member.name, None

    def add_reader(self, place: int, settings: NicSettings) -> Member:
        self.readers[place] = Member(f"nic-{settings.name}", "NicReader", 2 + place, None, None, is_new=True)
        return self.readers[place]

    def reader_of(self, place: int) -> Member | None:
        return self.readers.get(place)

    def put_nic(self, place: int, settings: NicSettings | None) -> None:
        self.nics[place] = settings

    def part_from(self, member: Member) -> Any:
        handle, member.handle = member.handle, None
        return handle

    def forget(self, member: Member) -> None:
        self.readers = {place: one for place, one in self.readers.items() if one is not member}


class World:
    """An appliance of two NICs with a place for a third."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr("ncore_ray.management.nics.time.monotonic", lambda: self.now)
        self.lab, self.told, self.hands = LiveLab(TEXT, connections=64, frames=512), list[str](), MadeUpHands()
        self.team, self.noted = MadeUpTeam(self.lab), list[Seats]()
        team: Any = self.team
        repair: Any = SimpleNamespace(begin=self._begin, spare=lambda: None)
        seats = Seats.of(self.lab.wanted)
        self.keeper = NicKeeper(
            team,
            repair,
            {},
            self.lab.array,
            seats,
            lambda level, text: self.told.append(text),
            self.noted.append,
            self.hands,
        )
        self.lab.tables.seated = lambda wanted: self.keeper.seats.seated(wanted)
        self.cannot_begin = ""

    def _tell(self, level: str, text: str) -> None:
        self.told.append(text)

    def _begin(self, member: Member, spare: None) -> None:
        if member.name == self.cannot_begin:
            raise NcoreError(f"{member.name} cannot begin: no such device")
        member.handle, member.failure, member.is_new = member.name, None, False

    def want(self, *commands: str) -> None:
        """Do what the service of the configuration does."""
        wanted = apply(map(parse_command, commands), self.lab.wanted)
        self.keeper.prepare(wanted)
        self.lab.wanted = wanted
        self.lab.look()
        self.keeper.follow(wanted)

    def look(self, times: int = 1, drain_s: float = 30.0) -> None:
        for _ in range(times):
            self.now += 1.0
            self.keeper.look(drain_s)

    def names(self) -> list[str | None]:
        return [nic.name if nic else None for nic in self.team.nics]

    def snips(self) -> set[str]:
        return {str(address) for address in snips_in_force(self.lab.array)}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_it_is_open_before_anything_leads_to_it(world: World) -> None:
    world.lab.look()
    world.want(ADD)
    assert world.names() == ["nc0", "nc1", "nc2"]
    assert world.hands.asked == [("engine-0", "open_nic", 2, "nc2")]
    assert world.team.readers[2].handle == "nic-nc2"
    assert world.snips() == {"10.1.0.10", "10.2.0.10", "10.3.0.10"}
    assert world.noted[-1].names == ("nc0", "nc1", "nc2")
    assert world.lab.look() is None


def test_packets_pass_through_it_both_ways(world: World) -> None:
    lab = world.lab
    world.want(ADD, "add service s9 address=10.3.0.2:80 monitor=none", "bind v s9", "unbind v s0", "rm service s0")
    server = lab.add_host(2, "10.3.0.2")
    client = lab.client().connect()
    client.send(GET)
    peer = server.accept()
    assert peer.other[0] == "10.3.0.10"
    peer.expect(passed_request(GET))
    peer.send(OK)
    client.expect(passed_response(OK))


def test_one_that_goes_waits_for_its_connections(world: World) -> None:
    lab = world.lab
    world.want(ADD, "add service s9 address=10.3.0.2:80 monitor=none", "bind v s9", "unbind v s0", "rm service s0")
    server = lab.add_host(2, "10.3.0.2")
    client = lab.client().connect()
    client.send(GET)
    peer = server.accept()
    world.want("rm vserver v", "rm service s9", "rm nic nc2")
    world.look(3)
    assert world.keeper.uses(2) == 1
    assert world.names() == ["nc0", "nc1", "nc2"]
    assert "10.3.0.10" in world.snips()
    peer.expect(passed_request(GET))
    peer.send(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    peer.close()
    lab.settle()
    world.look(4)
    assert (world.keeper.uses(2), world.names(), world.hands.ended) == (0, ["nc0", "nc1", None], ["nic-nc2"])
    assert world.hands.asked[-1] == ("engine-0", "open_nic", 2, None)
    assert "nic-nc2 has ended; its counters stay" in world.told
    lab.look()
    lab.look()
    assert world.snips() == {"10.1.0.10", "10.2.0.10"}


def test_drain_time_is_the_most(world: World) -> None:
    world.want(ADD, "add service s9 address=10.3.0.2:80 monitor=none", "bind v s9", "unbind v s0", "rm service s0")
    server = world.lab.add_host(2, "10.3.0.2")
    client = world.lab.client().connect()
    client.send(GET)
    server.accept()
    world.want("rm vserver v", "rm service s9", "rm nic nc2")
    world.look(2, drain_s=5.0)
    assert world.names()[2] == "nc2"
    world.look(6, drain_s=5.0)
    assert world.names()[2] is None
    assert (
        world.told[-1] == "nic-nc2 has ended; its counters stay; 1 connections that used it will end by their time-outs"
    )


def test_one_that_is_wanted_again_stays(world: World) -> None:
    world.want(ADD)
    world.want("rm nic nc2")
    world.want(ADD)
    world.look(5)
    assert (world.names()[2], world.hands.ended, world.told[-1]) == ("nc2", [], "nic-nc2 stays")


def test_another_one_in_its_place_begins_with_other_counters(world: World) -> None:
    world.want(ADD)
    arena = world.lab.arena
    view(
        ReaderCounters, world.lab.array, arena.readers + 2 * arena.reader_stride + READER_COUNTERS
    ).received_packets = 7
    view(ReaderCounters, world.lab.array, arena.readers + 2 * arena.reader_stride + READER_COUNTERS).returned_frames = 7
    world.want("rm nic nc2")
    world.look(4)
    world.want(ADD)
    assert nic_counters(world.lab.array, 2)["received_packets"] == 7
    world.want("rm nic nc2")
    world.look(4)
    world.want(ADD.replace("nc2", "nc3"))
    assert nic_counters(world.lab.array, 2)["received_packets"] == 0
    assert world.keeper.seats.names == ("nc0", "nc1", "nc3")


@pytest.mark.parametrize("who", ["reader", "engine"])
def test_one_that_cannot_be_opened_changes_nothing(world: World, who: str) -> None:
    if who == "reader":
        world.cannot_begin = "nic-nc2"
    else:
        world.hands.cannot = "nc2"
    with pytest.raises(NcoreError, match="nc2"):
        world.want(ADD)
    assert (world.names(), world.keeper.seats) == (["nc0", "nc1", None], Seats.of(world.lab.wanted))
    assert sorted(world.team.readers) == [0, 1]
    assert world.snips() == {"10.1.0.10", "10.2.0.10"}


def test_no_place(world: World) -> None:
    world.want(ADD)
    with pytest.raises(NoPlaceError, match="room for 3 NICs, those that leave counted"):
        world.want("rm nic nc2", "add nic nc3 driver=memory addresses=10.4.0.10/24")
    assert world.names() == ["nc0", "nc1", "nc2"]


def test_another_interface_is_opened_in_the_same_place(world: World) -> None:
    world.want("set nic nc1 faults.loss=1%")
    assert world.hands.ended == ["nic-nc1"]
    assert [row[1:] for row in world.hands.asked] == [("open_nic", 1, None), ("open_nic", 1, "nc1")]
    assert world.team.nics[1] is not None
    assert world.team.nics[1].faults is not None
    world.cannot_begin = "nic-nc0"
    with pytest.raises(NcoreError):
        world.want("set nic nc1 faults.loss=2%", "set nic nc0 faults.loss=2%")
    assert world.team.nics[1].faults.loss == 10_000


def test_an_engine_that_came_meanwhile_is_told_of_all(world: World) -> None:
    world.team.engines[0].process = 2
    world.look()
    assert [row[2:] for row in world.hands.asked] == [(0, "nc0"), (1, "nc1")]


def test_what_needs_a_restart() -> None:
    before = parse(TEXT)
    add = parse_command(ADD)
    assert restart_reasons([add, parse_command("rm nic nc1")], before, has_links=False) == []
    assert restart_reasons([parse_command("set nic nc1 vlan=7 proxy_arp=true")], before, has_links=False) == []
    for command, words in (
        ("set nic nc1 mtu=1400", "remove it and add it anew"),
        ("move nic nc1 first", "remove it and add it anew"),
        (f"{ADD} bridge=nc1", "bridges are made"),
    ):
        (reason,) = restart_reasons([parse_command(command)], before, has_links=False)
        assert words in reason
    own = parse(configuration(distribution="placement: per-core"))
    assert "receive queue" in restart_reasons([add], own, has_links=False)[0]
    assert "receive queues" in restart_reasons([parse_command("set nic nc1 vlan=7")], own, has_links=False)[0]
    wanted = apply([add], parse(configuration()))
    assert "the arena has room for 2 NICs" in room_reasons(parse(configuration()), wanted)[0]
    assert room_reasons(before, wanted) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("max_nics: 1", "expected at least the number of NICs, 2"),
        ("max_nics: 3}\ndistribution: {placement: rss", "no NIC comes while the appliance runs"),
        ("max_nics: 3}\ndistribution: {parallelism: nic", "no NIC comes while the appliance runs"),
    ],
)
def test_room_where_none_can_come(options: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        parse(configuration().replace("engines: 1", f"engines: 1, {options}"))
