"""Spreading in user space: which ring each packet is put into, and that none is lost or doubled."""

from __future__ import annotations

import ipaddress
import random

import numpy as np
import pytest

from ncore_ray.arena.frame import RECEIVED
from ncore_ray.arena.ring import Ring
from ncore_ray.flow.distributor import distributor_view, set_active_engines
from ncore_ray.flow.key import FIVE_TUPLE, Field
from ncore_ray.flow.steering import Steering, steering_program
from ncore_ray.flow.toeplitz import MICROSOFT_KEY, SYMMETRIC_KEY
from ncore_ray.lab.dry.arena import SNIPS, VIP, GuardedBytes, take_all
from ncore_ray.lab.dry.distributor import Appliance, make_appliance
from ncore_ray.lab.dry.packets import arp, ethernet, ipv4, tcp_packet, udp_packet
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.machine.record import new, view
from ncore_ray.nic.fanout import Fanout, Spread
from ncore_ray.nic.memory import MemoryDriver
from ncore_ray.nic.partition import Reader, reader_at
from ncore_ray.nic.recover import rebuild_free
from ncore_ray.nic.runner import NicRunner
from ncore_ray.nic.settings import NicSettings, settings_of_queue
from ncore_ray.nic.small_arena import make_small_arena
from ncore_ray.nic.spread import UserSpread, choose_decider
from ncore_ray.tables.port_owner import port_ranges
from tests.flow.ipv6 import SNIPS6, VIP6, with_ipv6
from tests.nic.harness import Rig, number_of, packet
from tests.support.bpf import Machine

ENGINES = 4
SEED = 20261123


@entry_kernel
def choose_door(base: int, reader: int, frame: int, length: int) -> int:
    return choose_decider(base, reader_at(reader), frame, length)


class Chooser:
    """A reader of an appliance's arena that spreads."""

    def __init__(self, appliance: Appliance, spread: UserSpread) -> None:
        self.base = appliance.arena.base
        self._memory, self.reader, self._address = new(Reader)
        self.reader.spread = spread
        self._frame = GuardedBytes()

    def choose(self, data: bytes) -> int:
        return choose_door(self.base, self._address, self._frame.put(data), len(data))


def kernel_program(appliance: Appliance, key: Field, hash_key: bytes) -> Machine:
    """What the kernel's packet fanout would run."""
    distributor = distributor_view(appliance.arena.array)
    start = distributor.indirection
    table = appliance.arena.array[start : start + distributor.indirection_size].tolist()
    snips = tuple(int(ipaddress.ip_address(address)) for address in SNIPS)
    snips6 = tuple(int(ipaddress.ip_address(address)) for address in SNIPS6)
    steering = Steering(snips, tuple(port_ranges(ENGINES)), hash_key, key, tuple(table), snips6)
    return Machine(steering_program(steering, list(range(ENGINES))))


def any_packet(source: random.Random) -> bytes:
    """A packet of a client or of a server, now and then one without ports."""
    build = source.choice((tcp_packet, udp_packet))
    address = f"10.1.0.{source.randrange(1, 255)}"
    draw = source.random()
    if draw < 0.1:
        return ethernet(arp(1, 1, address, 0, VIP), 0x0806)
    if draw < 0.2:
        return ethernet(ipv4(address, VIP, 17, bytes(64), offset=64 * source.randrange(1, 9)))
    if draw < 0.3:
        return build(f"2001:db8::{address[7:]}", source.randrange(1, 65536), VIP6, 80)
    if draw < 0.4:
        return build("2001:db8:2::2", 80, SNIPS6[source.randrange(2)], source.randrange(1, 65536))
    if draw < 0.6:
        return build("10.2.0.2", 80, SNIPS[1], source.randrange(1, 65536))
    return build(address, source.randrange(1, 65536), VIP, 80)


@pytest.mark.parametrize("hash_key", [SYMMETRIC_KEY, MICROSOFT_KEY], ids=["symmetric", "microsoft"])
@pytest.mark.parametrize("key", [FIVE_TUPLE, Field.SOURCE_ADDRESS, Field.SOURCE_ADDRESS | Field.DESTINATION_PORT])
@pytest.mark.parametrize("active", [[0, 1, 2, 3], [1, 3]])
def test_steering_agrees_with_the_program_for_the_kernel(hash_key: bytes, key: Field, active: list[int]) -> None:
    appliance = with_ipv6(engines=ENGINES, hash_key=hash_key, key=key)
    set_active_engines(appliance.arena.array, distributor_view(appliance.arena.array), active)
    machine, chooser = kernel_program(appliance, key, hash_key), Chooser(appliance, UserSpread.STEER)
    source = random.Random(SEED)
    for _ in range(200):
        data = any_packet(source)
        assert chooser.choose(data) == machine.run(data), f"seed {SEED}: {data.hex()}"


def test_by_hash_a_client_comes_to_the_owner_of_its_flow() -> None:
    appliance = make_appliance(engines=ENGINES)
    chooser = Chooser(appliance, UserSpread.HASH)
    found = []
    for port in range(1024, 1124):
        found.append(chooser.choose(tcp_packet("10.1.0.2", port, VIP, 80, 2)))
        assert found[-1] == appliance.send(tcp_packet("10.1.0.2", port, VIP, 80, 2))
    assert set(found) == set(range(ENGINES))


def test_by_hash_ports_of_servers_mean_nothing() -> None:
    appliance = make_appliance(engines=ENGINES)
    chooser = Chooser(appliance, UserSpread.HASH)
    first, count = port_ranges(ENGINES)[2]
    answers = [tcp_packet("10.2.0.2", 80, SNIPS[1], port, 16) for port in range(first, first + min(count, 50))]
    assert len({chooser.choose(data) for data in answers}) == ENGINES


def test_without_any_active_engine_the_first_gets_all() -> None:
    appliance = make_appliance(engines=ENGINES)
    set_active_engines(appliance.arena.array, distributor_view(appliance.arena.array), [])
    chooser = Chooser(appliance, UserSpread.HASH)
    assert {chooser.choose(tcp_packet("10.1.0.2", port, VIP, 80)) for port in range(1, 50)} == {0}


def random_rig(nics: int = 1, nic: int = 0, frames: int = 64, capacity: int = 64, seed: int = 1) -> Rig:
    """A NIC whose reader deals its packets out at random among three engines."""
    arena = make_small_arena(
        nics=nics, engines=3, nic_frames=frames, ring_capacity=capacity, engine_frames=2, decides_itself=True
    )
    driver = MemoryDriver()
    settings = NicSettings("nc0", "memory", spread_seed=seed)
    settings = settings_of_queue(settings, 0, Fanout(Spread.RANDOM))
    NicRunner(arena.array, nic, settings, driver).open()
    return Rig(arena, driver, nic)


def inbound(rig: Rig, engine: int) -> Ring:
    header = rig.arena.header
    queue = engine * header.nic_count + rig.nic
    return view(Ring, rig.arena.array, header.inbound_rings + queue * header.ring_stride)


def dealt(rig: Rig, engine: int) -> list[int]:
    """Take what lies in an engine's ring; return the numbers of its packets."""
    numbers = []
    for word in take_all(inbound(rig, engine)):
        frame = word & 0xFFFF_FFFF
        assert word >> 52 & 0xFF == rig.reader.queue
        assert rig.arena.owners()[frame] == RECEIVED + 1 + engine
        numbers.append(number_of(rig.arena.frame(frame, word >> 32 & 0xF_FFFF)))
    return numbers


def put_all(rig: Rig, count: int) -> None:
    assert isinstance(rig.driver, MemoryDriver)
    assert all(rig.driver.put(packet(number)) for number in range(count))


@pytest.mark.parametrize(("nics", "nic"), [(1, 0), (2, 1)])
def test_at_random_each_packet_comes_to_one_engine(nics: int, nic: int) -> None:
    rig = random_rig(nics, nic)
    put_all(rig, 60)
    rig.read()
    rows = [dealt(rig, engine) for engine in range(3)]
    assert sorted(number for row in rows for number in row) == list(range(60))
    assert all(len(row) >= 10 and row == sorted(row) for row in rows)
    assert rig.received.received_packets == 60
    assert rig.reader.free_count == 4


def test_the_same_seed_deals_the_same() -> None:
    def deal(seed: int) -> list[list[int]]:
        rig = random_rig(seed=seed)
        put_all(rig, 40)
        rig.read()
        return [dealt(rig, engine) for engine in range(3)]

    assert deal(1) == deal(1) != deal(2)


def test_the_reader_waits_when_one_ring_is_full() -> None:
    rig = random_rig(frames=64, capacity=4)
    put_all(rig, 64)
    for _ in range(40):
        rig.read()
    waiting = [inbound(rig, engine).tail for engine in range(3)]
    assert max(waiting) == 4
    assert rig.received.stalled_ring_full_breaths > 0
    assert rig.received.received_packets == sum(waiting) < 64
    taken = [number for engine in range(3) for number in dealt(rig, engine)]
    rig.read()
    taken += [number for engine in range(3) for number in dealt(rig, engine)]
    assert sorted(taken) == list(range(rig.received.received_packets))


def test_who_takes_over_gets_back_what_no_engine_has_seen() -> None:
    rig = random_rig(frames=16, capacity=16)
    put_all(rig, 12)
    rig.read()
    seen = []
    for engine in range(3):  # the reader died before it published the last word of each ring
        ring = inbound(rig, engine)
        assert ring.written == ring.tail > 0
        ring.tail -= 1
        seen.append(ring.tail)
    assert rebuild_free(rig.base, 0) == 4 + 3
    assert [inbound(rig, engine).written for engine in range(3)] == seen
    assert np.count_nonzero(rig.arena.owners()[:16] == rig.reader.actor) == 7


@pytest.mark.parametrize(
    ("driver", "spread", "queues"),
    [
        ("af_packet", Spread.PROGRAM, True),
        ("tap", Spread.HASH, True),
        ("tap", Spread.RANDOM, False),
        ("tap", Spread.PROGRAM, False),
        ("memory", Spread.HASH, False),
        ("pcap", Spread.RANDOM, False),
    ],
)
def test_who_spreads(driver: str, spread: Spread, queues: bool) -> None:
    """The kernel, where it can do what is asked for, else the reader."""
    settings = settings_of_queue(NicSettings("nc0", driver), 1 if queues else 0, Fanout(spread))
    assert settings.has_queues(Fanout(spread)) == queues
    assert (settings.fanout is not None) == queues
    assert (settings.spread is not UserSpread.NONE) == (not queues)


def test_a_single_engine_has_nobody_to_spread_to() -> None:
    arena = make_small_arena(decides_itself=True)
    settings = settings_of_queue(NicSettings("nc0", "memory"), 0, Fanout(Spread.RANDOM))
    runner = NicRunner(arena.array, 0, settings, MemoryDriver())
    runner.open()
    assert view(Reader, arena.array, arena.header.readers).spread == UserSpread.NONE
