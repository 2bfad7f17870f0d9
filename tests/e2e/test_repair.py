"""Engines that are killed under load: a standby goes on with their connections. Placement `core`."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from ncore_ray.demo.checks import one_engine_check
from ncore_ray.demo.sightings import Sightings
from tests.e2e.bed import Bed
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
from tests.e2e.load import assert_all_checks

OPTIONS = {
    "standbys": "auto",
    "engines": 2,
    "arena": "128MiB",
    "scaling": ", max_engines: 4, max_nics: 3, drain_time: 1s",
    "monitor": "tcp",  # at its own pace: two probes that fail within half a second are no news of the servers here
}
KILLS = True
LOAD = ("--connections", "40", "--seconds", "60", "--requests", "1000000", "--largest-bytes", "1000000")


def kill_each(bed: Bed, *names: str) -> None:
    """Kill actors, one after the other."""
    for name in names:
        time.sleep(1)
        kill(bed, name)


def test_crash_of_an_engine_is_noticed_within_a_second(bed: Bed) -> None:
    process = process_of(bed, "engine-1")
    await_standby(bed)
    killed_at = time.time()
    os.kill(process, signal.SIGKILL)
    bed.wait(lambda: said(bed, "failed"), "it is noticed")
    (event,) = (event for event in bed.appliance.ask("events") if "failed" in event["text"])
    assert event["at"] - killed_at < 1.0
    text = event["text"]
    assert "engine-1" in text
    assert str(process) in text
    bed.wait(lambda: bed.appliance.ask("status")["state"] == "running", "it is mended")
    assert_all_checks(bed)


def test_long_responses_go_on(bed: Bed) -> None:
    await_standby(bed)
    before = bed.still_snapshot()
    downloads = [Download(bed, 60_000_000).start() for _ in range(4)]
    time.sleep(0.3)
    kill(bed, "engine-0")
    for one in downloads:
        one.end()
    print([(one.right, round(one.longest_stall_s, 3), one.failure) for one in downloads])
    assert sum(one.right for one in downloads) >= 3
    assert all(one.right or one.failure for one in downloads)
    assert_nothing_leaked(bed, before, home=True)


def test_load_goes_on(bed: Bed) -> None:
    before, times = bed.still_snapshot(), gone_on(bed)
    report = load_while(bed, lambda: kill_each(bed, "engine-0", "engine-1", "engine-0"), *LOAD)
    assert report["requests"] > 500
    assert lost(report) <= 6
    assert_nothing_leaked(bed, before, home=True)
    assert gone_on(bed) == times + 3


def test_what_is_stopped_is_told_of_and_what_hangs_is_replaced(bed: Bed) -> None:
    process = process_of(bed, "engine-1")
    kill(bed, "engine-1", signal.SIGSTOP)
    late = [text for text in said(bed, "has not breathed") if str(process) in text]  # others may be late, too
    assert "it is stopped by a signal" in late[0]
    assert "it hangs" in said(bed, "failed")[-1]


def has_ended(bed: Bed) -> int:
    """Return how many engines have gone for good so far, whoever took over what they had."""
    return sum(text.startswith("engine-") for text in said(bed, "has ended; its counters stay"))


def test_one_engine_four_and_two_without_a_lost_request(bed: Bed) -> None:
    """Under HTTP and TCP clients: each of the four gets flows, those of the two that go are taken over."""
    times = gone_on(bed)
    scale(bed, 1)
    bed.wait(lambda: bed.appliance.ask("scaling")["settled"], "engine 1 has ended", 30.0)
    assert_all_checks(bed)
    before = bed.site.stat()["actors"]
    seen: list[dict[str, Any]] = []

    def act() -> None:
        time.sleep(1)
        seen.append(bed.site.stat()["actors"])
        scale(bed, 4)
        time.sleep(1)
        taken_over = len(said(bed, "goes on with the"))
        scale(bed, 2)
        bed.wait(lambda: len(said(bed, "goes on with the")) == taken_over + 2, "two were taken over", 30.0)

    report = load_while(bed, act, *LOAD)
    assert (report["requests"] > 500, lost(report)) == (True, 0)
    assert gone_on(bed) == times, "nobody was replaced"
    assert {row[0] for row in report["connections"]} == {"http", "tcp"}
    assert one_engine_check(report, Sightings(), 4).passed
    after = bed.site.stat()["actors"]
    engines = [f"engine-{number}" for number in range(4)]
    alone = [seen[0][name]["connections_accepted"] - before[name]["connections_accepted"] for name in engines[:2]]
    assert (alone[0] > 0, alone[1]) == (True, 0)
    known = {name: seen[0].get(name, {}).get("connections_accepted", 0) for name in engines}
    assert all(after[name]["connections_accepted"] > known[name] for name in engines)
    assert all(after[name]["http_requests"] >= before[name]["http_requests"] for name in engines[:2])


def test_distributor_and_readers_are_replaced(bed: Bed) -> None:
    report = load_while(bed, lambda: kill_each(bed, "distributor", "nic-nc0", "nic-nc1"), *LOAD)
    assert report["requests"] > 500
    assert lost(report) <= 3


def test_those_that_went_are_at_rest_and_nothing_of_them_is_left(bed: Bed) -> None:
    bed.wait(lambda: bed.appliance.ask("scaling")["settled"], "engines 2 and 3 have ended", 30.0)
    assert [row["name"] for row in bed.appliance.ask("scaling")["engines"]] == ["engine-0", "engine-1"]
    numbers = bed.site.stat()["actors"]
    for name in ("engine-2", "engine-3"):
        assert numbers[name]["frame_capacity"] == numbers[name]["free_frames"]
        assert numbers[name]["live_connections"] == 0
    assert has_ended(bed) == 3, "engines 2 and 3, and before them engine 1 for a while"
