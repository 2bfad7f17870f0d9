"""A distributor that dies between any two lines: its successor hands on every packet once, in the order of its flow."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest

from ncore_ray.flow.distributor import Forwarding, live_flows
from ncore_ray.flow.repair import recover_decider, repair_table
from ncore_ray.lab.dry.distributor import Appliance, make_appliance
from ncore_ray.machine.jit import JIT
from tests.engine.takeover.mortal import die_at_line
from tests.flow.test_forwarding import packet_of

FLOWS = 8
ROUNDS = 12


def batch(appliance: Appliance, choice: random.Random) -> dict[int, int]:
    """Put a batch into the queues of both NICs; return the flow of each word, in order."""
    sent = {}
    for _ in range(choice.randrange(1, 12)):
        flow = choice.randrange(FLOWS)
        sent[appliance.arena.receive(flow % 2, packet_of(flow))] = flow
    return sent


def take(appliance: Appliance) -> list[int]:
    """Take what engines and readers got."""
    arena = appliance.arena
    words = [word for engine in range(arena.header.engine_count) for word in arena.take_engine(engine)]
    return words + [word for nic in (0, 1) for word in arena.take_home(nic)]


@pytest.mark.skipif(JIT, reason="dies at a line of plain Python (NUMBA_DISABLE_JIT=1)")
@pytest.mark.parametrize("forwarding", list(Forwarding))
@pytest.mark.parametrize("seed", range(8))
def test_every_packet_is_handed_on_once(seed: int, forwarding: Forwarding) -> None:
    choice = random.Random(seed)
    appliance = make_appliance(forwarding=forwarding)
    deaths = 0
    for _ in range(ROUNDS):
        sent = batch(appliance, choice)
        if die_at_line(int(3_000 ** choice.random()), appliance.breathe):
            deaths += 1
            repair_table(appliance.arena.array, 0)
            recover_decider(appliance.arena.base, 0)
        appliance.breathe()
        got = take(appliance)
        assert sorted(got) == sorted(sent)
        came, went = defaultdict(list), defaultdict(list)
        for word in got:
            came[sent[word]].append(word)
        for word, flow in sent.items():
            went[flow].append(word)
        assert came == went, f"seed {seed}"
        appliance.now += 1_000
    assert deaths > 1
    assert sum(live_flows(appliance.arena.array)) <= FLOWS


def test_a_distributor_that_died_asleep() -> None:
    appliance = make_appliance()
    assert repair_table(appliance.arena.array, 0) == 0
    assert recover_decider(appliance.arena.base, 0) == 0
    assert appliance.send(packet_of(2)) in range(4)
