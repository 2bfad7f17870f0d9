"""Batches go through with headers, keys and entries fetched ahead: the answers are those for packets one by one."""

from __future__ import annotations

import random

import pytest

from ncore_ray.flow.distributor import Algorithm, distributor_view
from ncore_ray.flow.key import FIVE_TUPLE, Field
from ncore_ray.flow.records import GUESS_SIZE, GUESSES, Guess
from ncore_ray.lab.dry.arena import SNIPS, VIP
from ncore_ray.lab.dry.distributor import Appliance, make_appliance
from ncore_ray.lab.dry.packets import MAC_A, arp, ethernet, icmp, ipv4, tcp, tcp_packet, udp, udp_packet
from ncore_ray.machine.record import view
from ncore_ray.tables.own_address import AddressKind
from ncore_ray.tables.service import VserverProtocol

SEED = 20261123
OTHER_VIP = "10.1.0.101"


def any_packet(source: random.Random) -> bytes:
    """A packet of one of some flows, of a server, or one that has no flow; some are cut."""
    client, port = f"10.1.0.{source.randrange(2, 6)}", source.randrange(1024, 1040)
    body = tcp(client, port, VIP, 80, source.choice((2, 16, 17, 4)), options=bytes(4 * source.randrange(3)))
    kinds = [
        ethernet(ipv4(client, VIP, 6, body, options=bytes(4 * source.randrange(3)))),
        tcp_packet(VIP, 80, OTHER_VIP, port, 16),
        tcp_packet(OTHER_VIP, port, VIP, 80, 2),
        tcp_packet("10.2.0.2", 80, SNIPS[1], source.randrange(1, 65536), 16),
        udp_packet(client, port, VIP, 53, b"hello"),
        ethernet(ipv4(client, VIP, 17, udp(client, port, VIP, 53, bytes(99))[:48], identification=port, more=True)),
        ethernet(ipv4(client, VIP, 17, bytes(48), identification=port, offset=48)),
        ethernet(ipv4(client, VIP, 1, icmp(8, 0, bytes(20)))),
        ethernet(arp(1, MAC_A, client, 0, VIP), 0x0806),
    ]
    data = source.choice(kinds)
    return data[: source.randrange(14, len(data))] if source.random() < 0.1 else data


def appliance_of(key: Field, symmetric: bool) -> Appliance:
    appliance = make_appliance(algorithm=Algorithm.ROUND_ROBIN, key=key, symmetric=symmetric, flows=64)
    appliance.arena.add_vserver(VIP, 53, VserverProtocol.UDP)
    appliance.arena.add_address(OTHER_VIP, AddressKind.VIP)
    for port in range(1024, 1040):
        appliance.arena.add_vserver(OTHER_VIP, port)
    return appliance


def send_batch(appliance: Appliance, batch: list[bytes]) -> list[int]:
    """Send packets in one breath; return the engine of each, −1 for what was dropped."""
    words = [appliance.arena.receive(0, data) for data in batch]
    assert appliance.breathe() == len(batch)
    engine_of = {word: engine for engine in range(4) for word in appliance.arena.take_engine(engine)}
    home = appliance.arena.take_home(0)
    assert sorted([*engine_of, *home]) == sorted(words)
    return [engine_of.get(word, -1) for word in words]


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("key", [FIVE_TUPLE, Field.SOURCE_ADDRESS | Field.SOURCE_PORT, Field.DESTINATION_ADDRESS])
@pytest.mark.parametrize("size", [2, 3, 9, 17, 64])
def test_a_batch_gets_the_answers_of_its_packets_one_by_one(key: Field, symmetric: bool, size: int) -> None:
    source = random.Random(SEED)
    together, alone = appliance_of(key, symmetric), appliance_of(key, symmetric)
    for _ in range(192 // size):
        batch = [any_packet(source) for _ in range(size)]
        expected = [engine if isinstance(engine := alone.send(data), int) else -1 for data in batch]
        assert send_batch(together, batch) == expected, f"seed {SEED}"
    assert together.counters() == alone.counters()
    assert together.counters()["flows_created"] > 0


def guesses(appliance: Appliance) -> list[Guess]:
    offset = distributor_view(appliance.arena.array).guesses
    return [view(Guess, appliance.arena.array, offset + place * GUESS_SIZE) for place in range(GUESSES)]


def test_what_is_guessed_is_the_key_of_a_clients_packet() -> None:
    appliance = make_appliance()
    send_batch(appliance, [tcp_packet("10.1.0.2", 1000 + i, VIP, 80) for i in range(8)])
    for place, guess in enumerate(guesses(appliance)[:8]):
        assert (guess.source & 0xFFFF_FFFF, guess.ports) == (0x0A01_0002, (1000 + place) << 24 | 80 << 8 | 6)


def test_nothing_is_guessed_of_answers_and_of_packets_without_ports() -> None:
    appliance = make_appliance()
    answer, echo = tcp_packet("10.2.0.2", 80, SNIPS[1], 20_000, 16), ethernet(ipv4("10.1.0.2", VIP, 1, icmp(8)))
    send_batch(appliance, 4 * [answer, echo])
    assert {guess.ports for guess in guesses(appliance)[:8]} == {-1}
