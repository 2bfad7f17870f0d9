"""Flows that are frozen at random instants and thawed at another engine, time and again: no byte is lost or changed."""

from __future__ import annotations

import random

import pytest

from ncore_ray.arena.ring import Ring
from ncore_ray.engine.connection import Role, Tcb
from ncore_ray.engine.handover.document import from_document, from_json, from_msgpack, to_document, to_json, to_msgpack
from ncore_ray.engine.handover.frozen import Refusal
from ncore_ray.engine.handover.run import Handover
from ncore_ray.lab.dry.engine import EngineLab
from ncore_ray.machine.jit import JIT
from ncore_ray.machine.record import table
from tests.engine.crowd import PATIENT, Crowd, Wires
from tests.engine.handover.homes import Homes
from tests.support.tcp_script import SERVICE, SERVICE_MAC, check_nothing_leaked, configuration_text

QUIET, BAD = Wires(), Wires(loss=0.03, double=0.02, jitter_us=3_000)
SIZE = 40_000 if JIT else 6_000
DEADLINES = ("retransmit_at", "recheck_at", "ack_at", "keepalive_at", "application_at", "close_at")


class MovingCrowd(Crowd):
    """A crowd whose flows move between two engines."""

    def __init__(self, seed: int, wires: Wires, *, clients: int, size: int, odds: float, frames: int = 1024) -> None:
        text = configuration_text(timeouts=PATIENT, engines=2)
        self.homes = Homes(text, connections=4 * clients, frames=frames, nic_frames=4096)
        self.homes.begin_moving(seed, 0.0)
        sizes, pace = (size, size), max(size // 40, 100)
        super().__init__(seed, wires, clients=clients, sizes=sizes, pace=pace, frames=frames, lab=self.homes)
        self.homes.half_open_limits(1 << 20)
        self.homes.odds = odds

    def _next_deadline(self) -> int:
        instants = [1 << 60]
        for engine in (self.homes.engine(index) for index in range(2)):
            tcbs = table(Tcb, self.homes.array, engine.connections, engine.connection_count)
            live = tcbs[tcbs["role"] != Role.FREE]
            instants += [int(live[name][live[name] > 0].min(initial=1 << 60)) for name in DEADLINES]
        return min(instants)


@pytest.mark.parametrize("wires", [QUIET, BAD], ids=["quiet", "bad"])
@pytest.mark.parametrize("seed", range(2))
def test_flows_move_time_and_again(seed: int, wires: Wires) -> None:
    clients = 12 if JIT else 4
    crowd = MovingCrowd(seed, wires, clients=clients, size=SIZE, odds=0.6 if wires is QUIET else 0.1)
    crowd.run(limit_s=120)
    crowd.check_bytes()
    assert crowd.homes.moves > 2 * clients
    assert not [refusal for refusal in crowd.homes.refused if refusal != Refusal.NO_MEMORY]
    crowd.homes.odds = 0.0
    crowd.run(limit_s=20)
    crowd.homes.end_moving()
    print(f"seed {seed}: {crowd.homes.moves} moves, {dict(crowd.homes.refused)}")


@pytest.mark.parametrize("seed", range(4))
def test_thousands_move_at_random_instants(seed: int) -> None:
    """Some 500 connections of each seed."""
    clients = 250 if JIT else 20
    crowd = MovingCrowd(seed, Wires(loss=0.02), clients=clients, size=3_000, odds=0.0, frames=16_384)
    choice, homes, moved = random.Random(seed), crowd.homes, 0
    for _ in range(12):  # each time a part of those that have not moved yet
        crowd.run(limit_s=0.004)
        for number in list(homes.handover.flows(0)):
            if choice.random() < 0.4:
                moved += 1 + (homes.tcb(0, number).peer != 0)
                homes.move(0, number)
    assert not homes.refused
    crowd.run(limit_s=120)
    crowd.check_bytes()
    assert moved > clients, moved
    homes.end_moving()
    print(f"{moved} connections of {clients} clients moved")


def ring_of(lab: EngineLab) -> Ring:
    return lab._ring(lab.arena.engine_rings, 0)


def written_and_read(form: str, frozen: bytes) -> bytes:
    if form == "json":
        return from_document(from_json(to_json(to_document(frozen))))
    return from_document(from_msgpack(to_msgpack(to_document(frozen)))) if form == "msgpack" else frozen


@pytest.mark.parametrize("form", ["bytes", "json", "msgpack"])
def test_another_appliance_goes_on_with_all_flows(form: str) -> None:
    """Everything is written down at one instant, and thawed in an arena of its own."""
    clients = 40 if JIT else 8
    text = configuration_text(timeouts=PATIENT)
    first = EngineLab(text, connections=2 * clients, frames=2048, nic_frames=2048)
    crowd = Crowd(5, BAD, clients=clients, sizes=(8_000, 8_000), lab=first)
    crowd.run(limit_s=0.03)
    while ring_of(first).tail != ring_of(first).head:
        crowd.lab.breathe()
    crowd._collect()
    second = EngineLab(text, connections=2 * clients, frames=2048, nic_frames=2048)
    second.now = first.now
    second.engine().half_open_limit = 1 << 20
    second.learn(1, SERVICE, SERVICE_MAC)
    handover, other = Handover(first.array), Handover(second.array)
    for number in handover.flows(0):
        frozen = handover.freeze(0, number)
        assert not isinstance(frozen, Refusal)
        again = written_and_read(form, frozen)
        assert again == frozen
        assert not isinstance(other.thaw(0, again, second.now), Refusal)
    assert len(second.connections()) == len(first.connections()) > clients
    crowd.lab = second
    crowd.run(limit_s=120)
    crowd.check_bytes()
    check_nothing_leaked(second)
