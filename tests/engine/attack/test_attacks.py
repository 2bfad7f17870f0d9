"""Attacks on an engine (`benchmarks/attack`): clients that behave well are served, and nothing is left behind."""

from __future__ import annotations

import pytest

from benchmarks.attack.kinds import KINDS
from benchmarks.attack.siege import Dimensions, Siege
from ncore_ray.machine.jit import JIT

SIEGE = Dimensions(1.5, 4, 20, 60) if JIT else Dimensions(0.3, 1, 4, 10)


@pytest.mark.parametrize("name", KINDS)
def test_clients_are_served_under_attack(name: str) -> None:
    outcome = Siege(KINDS[name], SIEGE, seed=1).run()
    assert outcome.attack_packets > 200 * SIEGE.seconds * SIEGE.rate
    assert outcome.clients == SIEGE.clients
    assert outcome.success >= 0.99, outcome
    assert outcome.most_connections <= SIEGE.connections
    assert (outcome.kept_connections, outcome.kept_frames, outcome.unaccounted) == (0, 0, 0), outcome


def test_an_attack_is_the_same_each_time() -> None:
    small = Dimensions(0.2, 1, 2, 4)
    first, second = (Siege(KINDS["many holes"], small, seed=3).run() for _ in range(2))
    assert first == second
