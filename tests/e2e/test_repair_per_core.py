"""Engines that read and distribute themselves, killed under load: their receive queues are opened anew."""

from __future__ import annotations

import os
import signal
import time

from tests.e2e.bed import PER_CORE, Bed
from tests.e2e.kills import Download, assert_nothing_leaked, await_standby, gone_on, kill, load_while, lost, said
from tests.e2e.test_repair import LOAD, kill_each

OPTIONS = PER_CORE
KILLS = True


def test_load_goes_on(bed: Bed) -> None:
    before, times = bed.still_snapshot(), gone_on(bed)
    report = load_while(bed, lambda: kill_each(bed, "engine-0", "engine-1", "engine-0"), *LOAD)
    assert report["requests"] > 500
    assert lost(report) <= 6
    assert_nothing_leaked(bed, before, home=False)
    assert gone_on(bed) == times + 3


def test_long_responses_go_on(bed: Bed) -> None:
    await_standby(bed)
    downloads = [Download(bed, 60_000_000).start() for _ in range(4)]
    time.sleep(0.3)
    kill(bed, "engine-1")
    for one in downloads:
        one.end()
    print([(one.right, round(one.longest_stall_s, 3), one.failure) for one in downloads])
    assert sum(one.right for one in downloads) >= 3
    assert all(one.right or one.failure for one in downloads)


def test_an_arena_without_its_owner_serves_on(bed: Bed) -> None:
    owner = next(row for row in bed.appliance.ask("status")["actors"] if row["kind"] == "ArenaOwner")
    os.kill(owner["process"], signal.SIGKILL)
    bed.wait(lambda: said(bed, "ArenaOwner"), "it is said")
    report = load_while(bed, None, "--connections", "20", "--seconds", "2")
    assert lost(report) == 0
