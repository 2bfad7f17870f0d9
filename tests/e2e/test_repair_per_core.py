"""Engines that read and distribute themselves, killed under load: their receive queues are opened anew."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

from ncore_ray.errors import NcoreError
from tests.e2e.bed import PER_CORE, Bed
from tests.e2e.kills import (
    Download,
    assert_nothing_leaked,
    await_standby,
    gone_on,
    kill,
    load_while,
    lost,
    process_of,
    said,
    scale,
)
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


def requests_in_turn(bed: Bed) -> list[int]:
    """Send twelve requests of one connection, which engines serve by turns; return which of them served any."""
    before = [served.get("http_requests", 0) for served in engines(bed)]
    urls = ["-o", "/dev/null", "http://10.1.0.101/bytes/1000?seed=2"] * 12
    text = bed.run(["curl", "-sS", "-w", "%{http_code} %{num_connects}\\n", *urls])
    assert text.split("\n") == ["200 1"] + ["200 0"] * 11
    after = [served.get("http_requests", 0) for served in engines(bed)]
    return [number for number, (now, was) in enumerate(zip(after, before, strict=True)) if now > was]


def engines(bed: Bed) -> list[dict[str, Any]]:
    actors = bed.site.stat()["actors"]
    return [actors.get(f"engine-{number}", {}) for number in range(4)]


def test_engines_with_queues_and_transactions_come_and_go_without_a_lost_request(bed: Bed) -> None:
    before = engines(bed)

    def act() -> None:
        scale(bed, 4)
        time.sleep(1)
        requests_in_turn(bed)
        scale(bed, 2)
        requests_in_turn(bed)
        bed.wait(lambda: bed.appliance.ask("scaling")["settled"], "two have ended", 60.0)

    report = load_while(bed, act, *LOAD)
    assert (report["requests"] > 500, lost(report)) == (True, 0)
    assert engines(bed)[3]["connections_accepted"] > before[3].get("connections_accepted", 0)
    assert requests_in_turn(bed) == [0, 1]
    scale(bed, 3)
    assert requests_in_turn(bed) == [0, 1, 2]


def test_an_arena_without_its_owner_serves_on_and_engines_attach_later(bed: Bed) -> None:
    kill(bed, "arena")
    kill(bed, "engine-2")
    kill(bed, "engine-2")  # now a process is at work that has mapped the arena after its owner's death
    report = load_while(bed, None, "--connections", "20", "--seconds", "2")
    assert lost(report) == 0
    kill(bed, "arena")
    assert not [event for event in bed.appliance.ask("events") if event["level"] == "error"]


def test_engines_are_called_and_have_to_agree_to_a_change(bed: Bed) -> None:
    before = bed.appliance.ask("configuration")
    assert "replication: calls" in before
    await_standby(bed)
    os.kill(process_of(bed, "engine-1"), signal.SIGSTOP)
    with pytest.raises(NcoreError, match="engine-1: it does not answer; nothing was changed"):
        bed.configure("set service web1 weight=3")
    assert bed.appliance.ask("configuration") == before
    times = len(said(bed, "engine-1 goes on"))
    bed.wait(lambda: len(said(bed, "engine-1 goes on")) > times, "engine-1 is replaced", 30.0)
    with bed.changed("set service web1 weight=3") as done:
        assert done["commands"] == ["set service web1 weight=3"]
        assert "weight: 3" in bed.appliance.ask("configuration")
    assert bed.appliance.ask("configuration") == before
