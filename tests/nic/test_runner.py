"""A NIC's threads, without Ray."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ncore_ray.arena.core import CoreState
from ncore_ray.machine.jit import JIT
from ncore_ray.nic.af_packet import AfPacketDriver
from ncore_ray.nic.capture import read_capture
from ncore_ray.nic.driver import NicError
from ncore_ray.nic.faults import FaultSettings
from ncore_ray.nic.memory import MemoryDriver
from ncore_ray.nic.runner import NicRunner, warm_up
from ncore_ray.nic.settings import NicSettings, make_driver
from ncore_ray.nic.small_arena import SmallArena, make_small_arena
from ncore_ray.nic.tap import TapDriver
from ncore_ray.nic.writer import ring_bell
from tests.nic.conftest import Link
from tests.nic.harness import Arrived, Rig, packet

READER, WRITER = 2, 3
MEMORY = NicSettings(name="m0", driver="memory")


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    warm_up()


@pytest.fixture
def arena() -> SmallArena:
    return make_small_arena(nic_frames=8)


@pytest.fixture
def running(arena: SmallArena) -> Iterator[tuple[NicRunner, MemoryDriver, Rig]]:
    driver = MemoryDriver(1 << 20)
    runner = NicRunner(arena.array, 0, MEMORY, driver)
    runner.open()
    runner.start()
    yield runner, driver, Rig(arena, driver)
    assert runner.stop()
    runner.close()


def wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.001)


def wait_for_sleep(arena: SmallArena, actor: int) -> None:
    """Wait until an actor has gone to sleep once more."""
    core = arena.cores()[actor]
    before = int(core["sleeps"])
    wait_for(lambda: bool(core["sleeps"] > before))


def take(rig: Rig, count: int) -> list[Arrived]:
    arrived: list[Arrived] = []

    def enough() -> bool:
        arrived.extend(rig.take_all())
        return len(arrived) >= count

    wait_for(enough)
    return arrived


def test_packets_come_and_go(running: tuple[NicRunner, MemoryDriver, Rig]) -> None:
    """More packets than frames, sent back as they come."""
    runner, driver, rig = running
    for number in range(100):
        driver.put(packet(number))
    came: list[bytes] = []
    while len(came) < 100:
        for one in take(rig, 1):
            came.append(one.data)
            rig.give_back(one.frame)
    assert came == [packet(number) for number in range(100)]
    for number in range(20):
        rig.send(8 + number, packet(number))
    ring_bell(rig.base, WRITER)
    wait_for(lambda: rig.sends.sent_packets == 20)
    assert [one.data for one in driver.sent()] == [packet(number) for number in range(20)]
    assert runner.failure is None


def test_cores_tell_of_their_threads(running: tuple[NicRunner, MemoryDriver, Rig], arena: SmallArena) -> None:
    runner, driver, rig = running
    driver.put(packet())
    take(rig, 1)
    cores = arena.cores()
    for actor in (READER, WRITER):
        wait_for_sleep(arena, actor)
        assert cores[actor]["state"] == CoreState.RUNNING
        assert cores[actor]["process"] == os.getpid()
        assert cores[actor]["heartbeat_at"] > 0
        assert cores[actor]["breaths"] > 0
    assert runner.is_alive()
    assert runner.stop()
    assert not runner.is_alive()
    assert [cores[actor]["state"] for actor in (READER, WRITER)] == [CoreState.STOPPED] * 2
    runner.start()
    assert runner.is_alive()


def test_an_idle_reader_sleeps(running: tuple[NicRunner, MemoryDriver, Rig], arena: SmallArena) -> None:
    reader = arena.cores()[READER]
    wait_for(lambda: bool(reader["sleeps"] > 3))
    assert reader["breaths"] - reader["sleeps"] <= 2
    assert reader["busy_us"] == 0


def test_wrappers_from_the_settings(arena: SmallArena, tmp_path: Path) -> None:
    settings = NicSettings("m0", "memory", faults=FaultSettings(duplication=1_000_000), trace=tmp_path / "t.pcap")
    driver = MemoryDriver(1 << 20)
    runner = NicRunner(arena.array, 0, settings, driver)
    rig = Rig(arena, driver)
    runner.open()
    driver.put(packet(1))
    rig.send(8, packet(2))
    runner.start()
    arrived = take(rig, 2)
    wait_for(lambda: rig.sends.sent_packets == 2)
    runner.stop()
    runner.close()
    assert [one.data for one in arrived] == [packet(1)] * 2
    traced = read_capture(tmp_path / "t.pcap")
    assert sorted(one.data for one in traced) == [packet(1), packet(1), packet(2)]
    assert abs(traced[0].at_us - time.time_ns() // 1_000) < 60_000_000


def test_a_successor_recovers(arena: SmallArena) -> None:
    driver = MemoryDriver(1 << 20)
    rig = Rig(arena, driver)
    for number in range(3):
        driver.put(packet(number))
    rig.read()
    rig.reader.free_count = 0
    runner = NicRunner(arena.array, 0, MEMORY, driver)
    runner.open(recover=True)
    assert rig.reader.free_count == 5
    runner.close()


def test_the_driver_is_the_one_named() -> None:
    named = {"af_packet": AfPacketDriver, "tap": TapDriver, "memory": MemoryDriver}
    for name, driver in named.items():
        assert type(make_driver(NicSettings("n0", name, mac="02:00:00:00:00:05"))) is driver
    with pytest.raises(NicError, match="NIC n0: there is no driver 'dpdk'"):
        make_driver(NicSettings("n0", "dpdk"))


def test_who_needs_a_writer(tmp_path: Path) -> None:
    assert not NicSettings("n0", "af_packet").needs_writer
    assert NicSettings("n0", "af_packet", faults=FaultSettings()).needs_writer
    assert NicSettings("n0", "af_packet", trace=tmp_path / "t.pcap").needs_writer
    assert NicSettings("n0", "tap").needs_writer


@pytest.mark.network
@pytest.mark.skipif(not JIT, reason="plain Python's poll holds the GIL")
def test_af_packet_wakes_the_reader(link: Link, arena: SmallArena) -> None:
    settings = NicSettings("nic0", "af_packet", netns=link.inside.name, ring_slots=64)
    runner = NicRunner(arena.array, 0, settings)
    runner.open()
    assert runner.mac == int.from_bytes(link.nic_mac, "big")
    runner.start(cpus=os.sched_getaffinity(0))
    rig = Rig(arena, runner.driver)
    raw = link.raw()
    for number in range(3):
        wait_for_sleep(arena, READER)
        raw.send(packet(number))
        (arrived,) = take(rig, 1)
        assert arrived.data == packet(number)
        rig.give_back(arrived.frame)
    assert arena.cores()[WRITER]["state"] == CoreState.ABSENT
    assert runner.stop()
    runner.close()
    raw.close()


@pytest.mark.network
@pytest.mark.skipif(not JIT, reason="plain Python's poll holds the GIL")
def test_an_interface_that_goes_down_keeps_no_core_busy(link: Link, arena: SmallArena) -> None:
    runner = NicRunner(arena.array, 0, NicSettings("nic0", "af_packet", netns=link.inside.name, ring_slots=64))
    runner.open()
    runner.start()
    rig = Rig(arena, runner.driver)

    def switch(state: str) -> None:
        link.inside.netlink(lambda ip: ip.link("set", index=ip.link_lookup(ifname="nic0")[0], state=state))

    switch("down")
    wait_for(lambda: rig.received.failed_receives > 0)
    switch("up")
    raw = link.raw()
    raw.send(packet(5))
    assert take(rig, 1)[0].data == packet(5)
    assert rig.received.failed_receives < 1_000
    assert runner.stop()
    runner.close()
    raw.close()
