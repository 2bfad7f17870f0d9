"""Deciders of the benchmark of forwarding styles give each packet to its engine. (Nothing is timed.)"""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.forwarding import CASES, MIXES, Case, Decider, _order, flows_by_owner
from ncore_ray.config.model import Forwarding
from ncore_ray.flow.distributor import counters_view
from ncore_ray.flow.records import BATCH


@pytest.mark.parametrize("style", Forwarding)
@pytest.mark.parametrize("redirected", [False, True])
def test_all_packets_come_to_the_engines_that_own_their_flows(style: Forwarding, redirected: bool) -> None:
    decider = Decider(style)
    kept, others = flows_by_owner(decider, 64)
    decider.load(others if redirected else kept, 8)
    before = decider.redirected()
    assert decider.send(4 * BATCH) == 4 * BATCH
    assert decider.redirected() - before == (4 * BATCH if redirected else 0)
    assert counters_view(decider.array).flows_created == 64


@pytest.mark.parametrize("mix", MIXES)
def test_a_batch_has_packets_of_so_many_flows(mix: int) -> None:
    order = _order([("10.1.0.2", port) for port in range(100)], mix)
    batches = [order[first : first + BATCH] for first in range(0, len(order), BATCH)]
    assert {tuple(sorted(Counter(batch).values())) for batch in batches} == {(BATCH // mix,) * mix}


def test_columns() -> None:
    assert str(Case(True, 8)) == "redirected, 8 flows"
    assert len(set(map(str, CASES))) == len(CASES) == 4
