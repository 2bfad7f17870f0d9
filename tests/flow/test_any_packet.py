"""Any packet whatever: it ends where inaccessible memory begins, leaves once, and is counted under one cause."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncore_ray.flow.decide import decide
from ncore_ray.flow.records import Drop, distributor_of
from ncore_ray.lab.dry.arena import SNIPS, VIP, GuardedBytes
from ncore_ray.lab.dry.distributor import Appliance
from ncore_ray.lab.dry.packets import (
    MAC_A,
    arp,
    ethernet,
    fragment6,
    icmp,
    icmpv6,
    ip_frame,
    ipv4,
    ipv6,
    solicitation,
    tcp,
    tcp_packet,
    udp,
    udp_packet,
)
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.machine.record import new
from ncore_ray.tables.service import VserverProtocol
from ncore_ray.wire.packet import Packet, packet_at
from tests.flow.ipv6 import CLIENT6, VIP6, with_ipv6

CLIENT = "10.1.0.7"
KINDS = [
    tcp_packet(CLIENT, 1, VIP, 80, 2),
    tcp_packet("10.2.0.2", 80, SNIPS[1], 20000, 18),
    udp_packet(CLIENT, 1, VIP, 53, b"hello"),
    ethernet(arp(1, MAC_A, CLIENT, 0, VIP), 0x0806),
    ethernet(ipv4(CLIENT, VIP, 1, icmp(8, 0, bytes(20)))),
    ethernet(ipv4(CLIENT, VIP, 1, icmp(3, 0, bytes(4) + ipv4(VIP, CLIENT, 6, tcp(VIP, 80, CLIENT, 1, 16))))),
    ethernet(ipv4(CLIENT, VIP, 6, tcp(CLIENT, 1, VIP, 80, 2, options=bytes(40)), options=bytes(40))),
    ethernet(ipv4(CLIENT, VIP, 17, udp(CLIENT, 1, VIP, 53, bytes(99))[:48], identification=7, more=True)),
    ethernet(ipv4(CLIENT, VIP, 17, bytes(48), identification=7, offset=48, more=True)),
    ethernet(bytes(40), 0x86DD),
    tcp_packet(CLIENT6, 1, VIP6, 80, 2),
    ip_frame(
        CLIENT6, VIP6, 0, bytes([60, 0]) + bytes(6) + bytes([44, 0]) + bytes(6) + fragment6(6, 1, 0, True, bytes(40))
    ),
    solicitation(CLIENT6, VIP6, 5),
    ip_frame(CLIENT6, VIP6, 58, icmpv6(CLIENT6, VIP6, 1, 0, bytes(4) + ipv6(VIP6, CLIENT6, 6, bytes(20)))),
]


@entry_kernel
def decide_at(base: int, packet_address: int, frame: int, length: int, now: int) -> int:
    packet = packet_at(packet_address)
    packet.frame = frame
    packet.length = length
    return decide(base, distributor_of(base, 0), packet, now)


def with_dns() -> Appliance:
    appliance = with_ipv6()
    appliance.arena.add_vserver(VIP, 53, VserverProtocol.UDP)
    return appliance


def is_answer(answer: int) -> bool:
    return 0 <= answer < 4 or answer in set(Drop)


@pytest.mark.parametrize("kind", range(len(KINDS)))
def test_packet_cut_at_every_length(kind: int) -> None:
    appliance, guarded = with_dns(), GuardedBytes()
    memory, _, packet_address = new(Packet)
    for length in range(len(KINDS[kind]) + 1):
        frame = guarded.put(KINDS[kind][:length])
        assert is_answer(decide_at(appliance.arena.base, packet_address, frame, length, appliance.now))
    del memory


def test_ip_packet_cut_at_every_length_with_a_length_that_fits() -> None:
    """The IP header is right, so the layers behind it meet every length."""
    appliance, guarded = with_dns(), GuardedBytes()
    memory, _, packet_address = new(Packet)
    inner = ipv4(VIP, CLIENT, 6, tcp(VIP, 80, CLIENT, 1, 16), options=bytes(8))
    bodies = {
        6: tcp(CLIENT, 1, VIP, 80, 2, options=bytes(20)),
        17: udp(CLIENT, 1, VIP, 53, bytes(20)),
        1: icmp(3, 0, bytes(4) + inner),
    }
    for protocol, body in bodies.items():
        for length in range(len(body) + 1):
            data = ethernet(ipv4(CLIENT, VIP, protocol, body[:length]))
            answer = decide_at(appliance.arena.base, packet_address, guarded.put(data), len(data), appliance.now)
            assert is_answer(answer)
    del memory


bytes_in_packet = st.lists(st.tuples(st.integers(0, 100), st.integers(0, 255)), max_size=6)


@settings(max_examples=300)
@given(st.sampled_from(KINDS), bytes_in_packet, st.integers(0, 150))
def test_packet_with_wrong_bytes(packet: bytes, changes: list[tuple[int, int]], length: int) -> None:
    data = bytearray(packet)
    for at, value in changes:
        if at < len(data):
            data[at] = value
    frame = _GUARDED.put(bytes(data[:length]))
    assert is_answer(decide_at(_APPLIANCE.arena.base, _PACKET_ADDRESS, frame, len(data[:length]), 1))


_APPLIANCE = with_dns()
_GUARDED = GuardedBytes()
_PACKET, _, _PACKET_ADDRESS = new(Packet)


def test_random_traffic_is_accounted_for() -> None:
    """Good, damaged, cut and random packets in one stream: each leaves once, under one counter (`Appliance.send`)."""
    seed = 20240607
    chance = random.Random(seed)
    appliance = with_dns()
    for number in range(3000):
        data = bytearray(chance.choice(KINDS))
        for _ in range(chance.choice((0, 0, 1, 2, 8))):
            data[chance.randrange(len(data))] = chance.randrange(256)
        packet = bytes(data) if number % 10 else chance.randbytes(chance.randrange(200))
        packet = packet[: chance.randrange(len(packet) + 1)] if number % 4 == 0 else packet
        appliance.now += 1000
        answer = appliance.send(packet, nic=number % 2)
        assert answer in range(4) or str(answer).startswith("drop_flow_"), f"seed {seed}, packet {number}"
    assert appliance.counters()["received_packets"] == 3000
    assert appliance.is_balanced()
