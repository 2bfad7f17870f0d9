"""Engines behind NICs with one receive queue, which is spread in user space: streams, owners of flows, redirects."""

from __future__ import annotations

import pytest

from ncore_ray.machine.jit import JIT
from ncore_ray.nic.fanout import Spread
from tests.engine.crowd import PATIENT, Crowd, Wires
from tests.support.spread import SpreadLab
from tests.support.tcp_script import check_accounts, configuration_text

ENGINES = 3
CLIENTS = 30 if JIT else 12
SIZE = 20_000 if JIT else 2_500
SHORT = 2_000 if JIT else 300
WIRES = {"good": Wires(), "bad": Wires(loss=0.03, double=0.02, jitter_us=3_000)}
DROPS = ("drop_flow_table_busy_packets", "drop_flow_table_full_packets", "drop_engine_ring_full_packets")


def run(spread: Spread, wires: Wires, size: int = SIZE, algorithm: str = "hash") -> Crowd:
    """Let all streams come to their end."""
    placement = "rss" if spread is Spread.PROGRAM else "per-core"
    distribution = f"placement: {placement}, algorithm: {algorithm}"
    text = configuration_text(timeouts=PATIENT, engines=ENGINES, distribution=distribution)
    lab = SpreadLab(text, spread, connections=4 * CLIENTS, frames=1_024)
    crowd = Crowd(5, wires, clients=CLIENTS, sizes=(size, size), lab=lab)
    crowd.run(limit_s=60)
    assert len(crowd.streams) == 2 * CLIENTS
    assert all(stream.peer.is_done and not stream.reset for stream in crowd.streams.values()), crowd.pool()
    return crowd


def lab_of(crowd: Crowd) -> SpreadLab:
    assert isinstance(crowd.lab, SpreadLab)
    return crowd.lab


def check_owners(lab: SpreadLab) -> None:
    """Every flow had one owner, and all engines had some."""
    accepted = [lab.totals(engine).values["connections_accepted"] for engine in range(ENGINES)]
    assert sum(accepted) == CLIENTS
    assert min(accepted) > 0
    assert lab.distributed()["flows_created"] == CLIENTS


def check_packets(lab: SpreadLab) -> None:
    """What the readers took was decided on once, and came to one engine, or was dropped with a cause."""
    distributed = lab.distributed()
    dropped = sum(value for name, value in distributed.items() if name.startswith("drop"))
    assert lab.read_from_nics()["received_packets"] == distributed["received_packets"]
    assert distributed["received_packets"] == distributed["forwarded_packets"] + dropped
    assert [distributed[name] for name in DROPS] == [0, 0, 0]
    engines = [lab.totals(engine).values["received_packets"] for engine in range(ENGINES)]
    assert engines == [distributed[f"forwarded_engine_{engine}_packets"] for engine in range(ENGINES)]
    for engine in range(ENGINES):
        check_accounts(lab.totals(engine))
    lab.breathe(lab.now + 10)
    assert [lab.free_frames(nic) for nic in range(2)] == 2 * [lab.blueprint.dimensions.nic_frames]


@pytest.mark.parametrize("wires", WIRES)
@pytest.mark.parametrize("spread", Spread)
def test_streams_are_exact_whoever_gets_their_packets(spread: Spread, wires: str) -> None:
    crowd = run(spread, WIRES[wires], SIZE if wires == "good" else SHORT)
    crowd.check_bytes()
    check_owners(lab_of(crowd))
    check_packets(lab_of(crowd))


def redirected(spread: Spread, algorithm: str = "hash") -> float:
    """Return the share of packets that come to another engine than their flow's."""
    distributed = lab_of(run(spread, WIRES["good"], algorithm=algorithm)).distributed()
    return distributed["redirected_packets"] / distributed["received_packets"]


def test_steered_packets_are_hardly_ever_handed_on() -> None:
    assert redirected(Spread.PROGRAM) < 0.01


def test_by_hash_alone_only_answers_of_servers_are_handed_on() -> None:
    assert 0.1 < redirected(Spread.HASH) < 0.5


def test_at_random_two_of_three_are_handed_on() -> None:
    assert 0.6 < redirected(Spread.RANDOM) < 0.73


@pytest.mark.parametrize("algorithm", ["roundrobin", "leastflows", "two-choices", "load"])
def test_steered_by_hash_what_another_algorithm_gave_away_is_handed_on(algorithm: str) -> None:
    """Answers of servers, half of all packets, still come by port; of the clients' packets two thirds are strays."""
    assert 0.2 < redirected(Spread.PROGRAM, algorithm) < 0.45 < redirected(Spread.RANDOM, algorithm)
