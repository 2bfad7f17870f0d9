"""10,000 flows over eight engines: how evenly each algorithm spreads them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from ncore_ray.flow.burden import ALL_THE_TIME, LEAST_PER_FLOW, publish_load
from ncore_ray.flow.distributor import Algorithm, distributor_of, distributor_view, live_flows, slot_view
from ncore_ray.flow.distributor import set_active_engines as set_active
from ncore_ray.flow.toeplitz import MICROSOFT_KEY, SYMMETRIC_KEY
from ncore_ray.lab.dry.arena import VIP
from ncore_ray.lab.dry.distributor import Appliance, make_appliance
from ncore_ray.lab.dry.packets import tcp_packet
from ncore_ray.machine.jit import JIT, entry_kernel

SEED = 20261124
ENGINES = 8
FLOWS = 10_000 if JIT else 2_000
"""Plain Python takes a millisecond for a packet."""


@entry_kernel
def tell(base: int, engine: int, share: int) -> int:
    """Do what an engine does that was busy for a share of the time."""
    return publish_load(base, distributor_of(base, 0), engine, share)


def clients(seed: int) -> Iterator[bytes]:
    """Yield the first packets of random clients' connections, all different."""
    print(f"seed {seed}")
    chance = random.Random(seed)
    seen = set()
    while True:
        client = (chance.randrange(1 << 16), chance.randrange(1024, 65536))
        if client not in seen:
            seen.add(client)
            host, port = client
            yield tcp_packet(f"10.3.{host >> 8}.{host & 255}", port, VIP, 80, 2)


def spread_flows(appliance: Appliance, count: int = FLOWS, seed: int = SEED) -> list[int]:
    """Begin flows; return how many each engine has."""
    stream = clients(seed)
    for _ in range(count):
        assert isinstance(appliance.send(next(stream)), int)
    counts = live_flows(appliance.arena.array)
    assert sum(counts) == count
    return counts


def unevenness(counts: list[int] | list[float]) -> float:
    return max(counts) / (sum(counts) / len(counts))


@pytest.mark.parametrize(
    ("algorithm", "most"),
    [
        (Algorithm.HASH, 1.25),
        (Algorithm.ROUND_ROBIN, 1.001),
        (Algorithm.LEAST_FLOWS, 1.001),
        (Algorithm.TWO_CHOICES, 1.02),
        (Algorithm.WEIGHTED, 1.001),
        (Algorithm.LOAD, 1.001),
    ],
)
def test_flows_are_spread_evenly(algorithm: Algorithm, most: float) -> None:
    appliance = make_appliance(algorithm=algorithm, engines=ENGINES, flows=FLOWS)
    counts = spread_flows(appliance)
    print(f"{algorithm.name}: max/mean {unevenness(counts):.4f}, {counts}")
    assert unevenness(counts) <= most


def test_weights_are_shares_from_the_first_flow_on() -> None:
    weights = (1, 1, 2, 4, 8, 16, 32, 64)
    appliance = make_appliance(algorithm=Algorithm.WEIGHTED, engines=ENGINES, flows=FLOWS, weights=weights)
    assert spread_flows(appliance, 128) == list(weights)
    counts = spread_flows(make_appliance(algorithm=Algorithm.WEIGHTED, engines=ENGINES, flows=FLOWS, weights=weights))
    wanted = [FLOWS * weight / sum(weights) for weight in weights]
    assert all(abs(found - due) <= 2 for found, due in zip(counts, wanted, strict=True)), counts


def test_an_engine_without_new_flows_is_no_choice() -> None:
    for algorithm in Algorithm:
        appliance = make_appliance(algorithm=algorithm, engines=ENGINES, flows=512)
        array = appliance.arena.array
        set_active(array, distributor_view(array), [1, 4, 5])
        counts = spread_flows(appliance, 90)
        assert [engine for engine, count in enumerate(counts) if count] == [1, 4, 5], algorithm
        set_active(array, distributor_view(array), [])
        assert appliance.send(tcp_packet("10.9.0.1", 1, VIP, 80, 2)) == "drop_flow_no_engine_packets"


def test_busy_engines_get_no_new_flows_while_others_are_idle() -> None:
    appliance = make_appliance(algorithm=Algorithm.LOAD, engines=4, flows=512)
    base = appliance.arena.base
    for _ in range(30):
        for engine, share in enumerate((900_000, 50_000, 900_000, 50_000)):
            tell(base, engine, share)
    assert 890_000 < slot_view(appliance.arena.array, 0).load <= 900_000
    assert spread_flows(appliance, 8) == [0, 4, 0, 4]
    assert slot_view(appliance.arena.array, 1).given == 4


def test_what_a_load_does_not_contain_yet_fades_as_it_comes_to_contain_it() -> None:
    appliance = make_appliance(algorithm=Algorithm.LOAD, engines=1, flows=512)
    spread_flows(appliance, 40)
    slot = slot_view(appliance.arena.array, 0)
    given = [slot.given]
    for _ in range(12):
        tell(appliance.arena.base, 0, 500_000)
        given.append(slot.given)
    assert given[:4] == [40, 30, 22, 16]
    assert given[-1] == 0
    assert abs(slot.load - 500_000 * (1 - 0.75**12)) < 100


def play(algorithm: Algorithm, costs: list[int], together: int) -> list[float]:
    """Begin flows of given loads, ``together`` in every 20 ms; return the load of each engine in the end."""
    appliance = make_appliance(algorithm=algorithm, engines=ENGINES, flows=len(costs))
    busy = [0.0] * ENGINES
    stream = clients(SEED)
    for number, cost in enumerate(costs):
        engine = appliance.send(next(stream))
        assert isinstance(engine, int)
        busy[engine] += cost
        if number % together == 0:
            for k, load in enumerate(busy):
                tell(appliance.arena.base, k, int(min(load, ALL_THE_TIME)))
    return busy


@pytest.mark.parametrize("together", [1, 20, 100])
def test_unequal_flows_are_spread_by_their_load(together: int) -> None:
    """A few flows bring most of the load (Pareto): even numbers of them are no even load."""
    chance = random.Random(SEED)
    costs = [int(min(chance.paretovariate(1.1) * LEAST_PER_FLOW, 10_000)) for _ in range(FLOWS)]
    by_load = unevenness(play(Algorithm.LOAD, costs, together))
    by_flows = unevenness(play(Algorithm.LEAST_FLOWS, costs, together))
    print(f"seed {SEED}, {together} flows in 20 ms: max/mean of the load {by_load:.3f}, leastflows {by_flows:.3f}")
    assert by_load <= 1.10
    assert by_load - 1 < (by_flows - 1) * 0.75


@pytest.mark.parametrize("hash_key", [SYMMETRIC_KEY, MICROSOFT_KEY], ids=["symmetric", "toeplitz"])
def test_one_client_with_even_ports_is_spread_evenly_whoever_was_away(hash_key: bytes) -> None:
    """What `python -m benchmarks.repair` sends: one address, ports as Linux gives them, engines away for a moment."""
    appliance = make_appliance((80, 81), algorithm=Algorithm.HASH, engines=2, flows=2_000, hash_key=hash_key)
    array, port = appliance.arena.array, 32_768
    for away in ((), (1,), (0,), (0,), (1,)):
        set_active(array, distributor_view(array), [engine for engine in range(2) if engine not in away])
        set_active(array, distributor_view(array), range(2))
        found = Counter[int | str]()
        for number in range(200):
            found[appliance.send(tcp_packet("10.1.0.2", port + 2 * number, VIP, 80 + number % 2, 2))] += 1
        port += 400
        assert max(found.values()) <= 106, (away, found)


def held_by_the_slower(algorithm: Algorithm, clients: int = 200, ends: int = 900) -> float:
    """Let clients begin a flow whenever one of theirs ends, at two engines of which one works half as fast.

    Returns the share of the flows that this one holds in the end.
    """
    appliance, chance = make_appliance(algorithm=algorithm, engines=2, flows=2_000), random.Random(SEED)
    held, port = [0, 0], 20_000
    for number in range(clients + ends):
        if number >= clients:
            held[chance.choices((0, 1), [min(held[0], 1) / 2, min(held[1], 1)])[0]] -= 1
        for place, count in enumerate(held):
            slot_view(appliance.arena.array, place).flows = count
        engine = appliance.send(tcp_packet("10.1.0.2", port + 2 * number, VIP, 80, 2))
        assert isinstance(engine, int)
        held[engine] += 1
    return held[0] / sum(held)


def test_the_slower_engine_holds_nearly_all_flows_of_clients_that_wait_for_each_other() -> None:
    """As many begin at each, but those of the slower last longer: that is where a fixed number of clients waits."""
    by_hash, by_flows = held_by_the_slower(Algorithm.HASH), held_by_the_slower(Algorithm.LEAST_FLOWS)
    print(f"seed {SEED}: the slower engine holds {by_hash:.0%} with hash, {by_flows:.0%} with leastflows")
    assert by_hash > 0.9
    assert 0.45 < by_flows < 0.55
