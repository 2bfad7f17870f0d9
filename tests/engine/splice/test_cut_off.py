"""Engines that die at a line while they pass a segment on: only plain Python can do that."""

from __future__ import annotations

from functools import partial

import pytest

from ncore_ray.engine.takeover.run import take_over
from ncore_ray.machine.jit import JIT
from tests.engine.splice.pairs import open_spliced
from tests.engine.takeover.mortal import die_at_line


@pytest.mark.skipif(JIT, reason="dies at lines of plain Python")
@pytest.mark.parametrize("last", [False, True], ids=["data", "end"])
def test_no_line_at_which_an_engine_dies_costs_an_established_pair(last: bool) -> None:
    """The segment that it was passing on is said again, and what answers it comes through."""
    line = deaths = 0
    while deaths == line:
        script = open_spliced()
        client, service, lab = script.client, script.service, script.lab
        segment = client.segment("FA" if last else "PA", 1, 1, b"xy")
        lab.receive(0, segment)
        line += 1
        deaths += die_at_line(17 * line, partial(lab.run_breath, 0))
        found = take_over(lab.array, 0, lab.now)
        assert (found.whole, found.broken) == (2, 0), f"line {line}: {found}"
        lab.receive(0, segment)
        lab.receive(1, service.segment("FA", 1, 3 + last))
        for _ in range(2):
            lab.breathe()
        script._collect()
        assert [segment.acknowledgment for _, segment in client.inbox], f"line {line}"
        assert b"xy" in [segment.payload for _, segment in service.inbox], f"line {line}"
        assert lab.counters().drop_tcp_bad_acknowledgment_packets == 0, f"line {line}"
    assert deaths > 8
