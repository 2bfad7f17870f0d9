"""Each packet at once, or batches as they came or by flow: nothing is lost, and every flow keeps its order."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncore_ray.arena.core import Actor
from ncore_ray.arena.frame import RECEIVED
from ncore_ray.arena.rings import inbound_ring, return_ring
from ncore_ray.flow.distributor import Algorithm, Forwarding, distributor_of, distributor_view
from ncore_ray.flow.handing import hand_on, show_at_once
from ncore_ray.flow.repair import repair_table
from ncore_ray.lab.dry.arena import SNIPS, VIP, put, take_all
from ncore_ray.lab.dry.distributor import Appliance, make_appliance
from ncore_ray.lab.dry.packets import tcp_packet, udp, udp_packet
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.tables.port_owner import FIRST_PORT
from ncore_ray.tables.service import VserverProtocol
from tests.flow.test_decide import fragments

CLIENT = "10.1.0.7"


@entry_kernel
def hand_one_on(base: int, word: int, engine: int) -> int:
    distributor = distributor_of(base, 0)
    hand_on(base, distributor, return_ring(base, distributor.actor, 0), word, engine)
    return show_at_once(base, distributor, inbound_ring(base, 0), engine)


def packet_of(flow: int) -> bytes:
    """Return a packet of a client's flow, of an answering server's (odd numbers), or of none (a multiple of 7)."""
    if flow % 7 == 0:
        return tcp_packet(CLIENT, 1 + flow, VIP, 9, 16)
    if flow % 2:
        return tcp_packet("10.2.0.2", 80, SNIPS[1], FIRST_PORT + flow, 16)
    return tcp_packet(CLIENT, 1 + flow, VIP, 80, 2)


def through(appliance: Appliance, flows: list[int]) -> list[int]:
    """Send a batch through; return the flows in the order in which the engine gets their packets, which is checked."""
    sent = defaultdict(list)
    flow_of = {}
    for flow in flows:
        word = appliance.arena.receive(0, packet_of(flow))
        sent[flow].append(word)
        flow_of[word] = flow
    assert appliance.breathe() == len(flows)
    got = appliance.arena.take_engine(0)
    came = defaultdict(list)
    for word in got:
        came[flow_of[word]].append(word)
    assert came == sent
    assert all(appliance.arena.meta(word & 0xFFFF_FFFF).owner == RECEIVED + Actor.ENGINE for word in got)
    return [flow_of[word] for word in got]


def by_flow(flows: list[int]) -> list[int]:
    """Return the flows in the order of their first packets, each as often as it was there."""
    return [flow for first in dict.fromkeys(flows) for flow in [first] * flows.count(first)]


batches = st.lists(st.integers(0, 40), min_size=1, max_size=60)


@settings(max_examples=60)
@given(st.lists(batches, min_size=1, max_size=3))
def test_batches_by_flow_keep_the_order_of_each_flow(several: list[list[int]]) -> None:
    appliance = make_appliance(engines=1, forwarding=Forwarding.BATCH_FLOW)
    for flows in several:
        assert through(appliance, flows) == by_flow(flows)


@pytest.mark.parametrize("forwarding", [Forwarding.STREAM, Forwarding.BATCH_CORE])
def test_others_keep_the_order_of_all(forwarding: Forwarding) -> None:
    seed = 20261127
    flows = random.Random(seed).choices(range(40), k=60)
    appliance = make_appliance(engines=1, forwarding=forwarding)
    assert through(appliance, flows) == flows, f"seed {seed}"


@pytest.mark.parametrize("forwarding", list(Forwarding))
def test_only_stream_shows_a_packet_before_the_batch_is_over(forwarding: Forwarding) -> None:
    appliance = make_appliance(forwarding=forwarding)
    arena = appliance.arena
    arena.core(Actor.ENGINE + 1).asleep = 1
    hand_one_on(arena.base, arena.receive(0, packet_of(2)), 1)
    ring, core = arena.engine_ring(1), arena.core(Actor.ENGINE + 1)
    at_once = forwarding == Forwarding.STREAM
    assert (ring.written, ring.tail) == (1, int(at_once))
    assert (core.asleep, core.bell, arena.core(0).wakes_sent) == ((0, 1, 1) if at_once else (1, 0, 0))


def test_fragments_keep_their_place() -> None:
    """No packet of their flow passes them: which flow they are of is known of the first one only."""
    appliance = make_appliance(engines=1, forwarding=Forwarding.BATCH_FLOW)
    appliance.arena.add_vserver(VIP, 53, VserverProtocol.UDP)
    whole, other = udp_packet(CLIENT, 1, VIP, 53), udp_packet(CLIENT, 2, VIP, 53)
    pieces = fragments(udp(CLIENT, 1, VIP, 53, bytes(100)), 7)
    sent = [appliance.arena.receive(0, packet) for packet in (whole, other, whole, *pieces, whole, other, whole)]
    assert appliance.breathe() == 9
    places = [sent.index(word) for word in appliance.arena.take_engine(0)]
    assert places == [0, 2, 1, 3, 4, 5, 6, 8, 7]


@pytest.mark.parametrize("forwarding", list(Forwarding))
def test_what_finds_no_room_goes_home(forwarding: Forwarding) -> None:
    appliance = make_appliance(algorithm=Algorithm.ROUND_ROBIN, forwarding=forwarding)
    arena = appliance.arena
    for word in range(arena.engine_ring(0).capacity - 1):
        put(arena.engine_ring(0), word)
    sent = [arena.receive(1, packet_of(2)) for _ in range(3)]
    assert appliance.breathe() == 3
    assert take_all(arena.engine_ring(0))[-1] == sent[0]
    assert arena.take_home(1) == sent[1:]
    assert appliance.counters()["drop_engine_ring_full_packets"] == 2
    assert appliance.is_balanced()


@pytest.mark.parametrize("forwarding", list(Forwarding))
def test_dropped_and_forwarded_packets_in_one_batch(forwarding: Forwarding) -> None:
    appliance = make_appliance(forwarding=forwarding)
    packets = [packet_of(2), b"short", packet_of(4), tcp_packet(CLIENT, 1, "192.0.2.1", 80, 2), packet_of(2)]
    sent = [appliance.arena.receive(0, packet) for packet in packets]
    assert appliance.breathe() == 5
    got = [word for engine in range(4) for word in appliance.arena.take_engine(engine)]
    assert sorted(got) == sorted([sent[0], sent[2], sent[4]])
    assert appliance.arena.take_home(0) == [sent[1], sent[3]]
    assert appliance.is_balanced()


def test_what_a_dead_decider_had_noted_is_forgotten() -> None:
    """Its queues hold those packets still: its successor takes them from there."""
    appliance = make_appliance(engines=1, forwarding=Forwarding.BATCH_FLOW)
    distributor_view(appliance.arena.array).noted = 5
    repair_table(appliance.arena.array, 0)
    assert through(appliance, [2, 4, 2]) == [2, 2, 4]
