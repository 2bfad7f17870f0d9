"""The kernel's program sends every packet where the distributor would, so that nothing has to be handed on."""

from __future__ import annotations

import ipaddress
import random

import pytest

from ncore_ray.flow.distributor import distributor_view, set_active_engines
from ncore_ray.flow.key import FIVE_TUPLE, Field
from ncore_ray.flow.steering import Steering, steering_program
from ncore_ray.flow.toeplitz import MICROSOFT_KEY, SYMMETRIC_KEY
from ncore_ray.lab.dry.arena import SNIPS, VIP
from ncore_ray.lab.dry.distributor import Appliance, make_appliance
from ncore_ray.lab.dry.packets import arp, ethernet, ip_frame, tcp_packet, udp_packet
from ncore_ray.tables.port_owner import port_ranges
from tests.flow.ipv6 import CLIENT6, SNIPS6, VIP6, with_ipv6
from tests.support.bpf import Machine

ENGINES = 4
SEED = 20261123
ARP = ethernet(arp(1, 1, "10.1.0.2", 0, SNIPS[0]), 0x0806)


def program_of(appliance: Appliance, key: Field, hash_key: bytes, members: list[int] | None = None) -> Machine:
    distributor = distributor_view(appliance.arena.array)
    start = distributor.indirection
    table = appliance.arena.array[start : start + distributor.indirection_size].tolist()
    snips = tuple(int(ipaddress.ip_address(address)) for address in SNIPS)
    snips6 = tuple(int(ipaddress.ip_address(address)) for address in SNIPS6)
    steering = Steering(snips, tuple(port_ranges(ENGINES)), hash_key, key, tuple(table), snips6)
    return Machine(steering_program(steering, members or list(range(ENGINES))))


@pytest.mark.parametrize("hash_key", [SYMMETRIC_KEY, MICROSOFT_KEY], ids=["symmetric", "microsoft"])
@pytest.mark.parametrize(
    "key", [FIVE_TUPLE, Field.SOURCE_ADDRESS, Field.SOURCE_ADDRESS | Field.DESTINATION_PORT | Field.PROTOCOL]
)
@pytest.mark.parametrize("active", [[0, 1, 2, 3], [1, 3], [2]])
def test_program_agrees_with_the_distributor(hash_key: bytes, key: Field, active: list[int]) -> None:
    appliance = with_ipv6(engines=ENGINES, hash_key=hash_key, key=key, flows=4096)
    set_active_engines(appliance.arena.array, distributor_view(appliance.arena.array), active)
    machine = program_of(appliance, key, hash_key)
    source = random.Random(SEED)
    for _ in range(200):
        address = f"10.1.0.{source.randrange(1, 255)}"
        packet = tcp_packet(address, source.randrange(1, 65536), VIP, 80, 2)
        assert machine.run(packet) == appliance.send(packet), f"seed {SEED}: {packet.hex()}"
        packet = tcp_packet(f"2001:db8::{source.randrange(1, 1 << 16):x}", source.randrange(1, 65536), VIP6, 80, 2)
        assert machine.run(packet) == appliance.send(packet), f"seed {SEED}: {packet.hex()}"


def test_answers_of_servers_go_by_port() -> None:
    appliance = with_ipv6(engines=ENGINES)
    machine = program_of(appliance, FIVE_TUPLE, SYMMETRIC_KEY)
    for engine, (first, count) in enumerate(port_ranges(ENGINES)):
        for port in (first, first + count - 1):
            for build in (tcp_packet, udp_packet):
                packet = build("10.2.0.2", 80, SNIPS[1], port)
                assert machine.run(packet) == engine == appliance.send(packet, nic=1)
                for snip in SNIPS6:
                    packet = build("2001:db8:2::2", 80, snip, port)
                    assert machine.run(packet) == engine == appliance.send(packet, nic=1)


def test_members_may_have_joined_in_another_order() -> None:
    appliance = make_appliance(engines=ENGINES)
    machine = program_of(appliance, FIVE_TUPLE, SYMMETRIC_KEY, members=[2, 0, 3, 1])
    for engine, (first, _) in enumerate(port_ranges(ENGINES)):
        assert [2, 0, 3, 1][machine.run(tcp_packet("10.2.0.2", 80, SNIPS[1], first, 16))] == engine


def test_packets_without_ports_go_to_the_first() -> None:
    machine = program_of(make_appliance(engines=ENGINES), FIVE_TUPLE, SYMMETRIC_KEY)
    fragment = bytearray(tcp_packet("10.1.0.2", 40_000, VIP, 80, 2))
    fragment[20:22] = b"\x00\x10"
    assert [machine.run(bytes(fragment)), machine.run(ARP)] == [0, 0]
    assert machine.run(ip_frame(CLIENT6, VIP6, 60, bytes(40))) == 0


def test_program_is_short() -> None:
    """The kernel takes 4,096 instructions, and every packet pays for those that run."""
    machine = program_of(make_appliance(engines=ENGINES), FIVE_TUPLE, SYMMETRIC_KEY)
    assert len(machine.program) < 1000
    machine.run(tcp_packet("10.1.0.2", 40_000, VIP, 80, 2))
    assert machine.steps < 250
    machine.steps = 0
    machine.run(tcp_packet(CLIENT6, 40_000, VIP6, 80, 2))
    assert machine.steps < 450
