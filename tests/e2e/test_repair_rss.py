"""With a program in the kernel that steers: it knows the order of the sockets after one was opened anew."""

from __future__ import annotations

import time

from tests.e2e.bed import RSS, Bed
from tests.e2e.kills import load_while, lost, said, scale
from tests.e2e.test_repair import LOAD, kill_each

OPTIONS = RSS
KILLS = True


def redirected(bed: Bed) -> tuple[int, int]:
    """Return how many packets the engines received, and how many of them they handed on."""
    numbers = bed.site.stat()["actors"]["distributor"]
    return numbers["received_packets"], numbers["redirected_packets"]


def test_packets_come_to_their_engines_after_a_repair(bed: Bed) -> None:

    def act() -> None:
        kill_each(bed, "engine-0", "engine-1")
        scale(bed, 4)
        time.sleep(1)
        scale(bed, 2)
        bed.wait(lambda: len(said(bed, "goes on with the")) == 2, "two were taken over", 30.0)

    report = load_while(bed, act, *LOAD)
    assert report["requests"] > 500
    assert lost(report) <= 4
    before = redirected(bed)
    report = load_while(bed, None, "--connections", "20", "--seconds", "3")
    assert lost(report) == 0
    after = redirected(bed)
    assert after[1] - before[1] < 0.02 * (after[0] - before[0])
