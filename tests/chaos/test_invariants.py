"""Every check of a run passes on what is right, and fails on each way in which it can be wrong."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ncore_ray.chaos.invariants import (
    Watcher,
    affinity_check,
    counters_check,
    downloads_check,
    leaks_check,
    repairs_check,
    stall_check,
    take_over_check,
)
from ncore_ray.chaos.record import Download, Fault
from ncore_ray.demo.accounts import Accounts, Snapshot
from tests.demo.test_checks import accounts, books


def downloads(whole: int, failed: int = 0, wrong: int = 0, again: int = 0) -> list[Download]:
    good = Download("u", "a:1", 0.0, 1.0, 10)
    found = [good] * whole + [Download("u", "a:1", 0.0, 1.0, 5, "IncompleteReadError after 5 bytes")] * failed
    found += [Download("u", "a:1", 0.0, 1.0, 10, "other bytes", is_wrong=True)] * wrong
    return found + [Download("u", "a:1", 0.0, 1.0, 0, "ConnectionResetError after 0 bytes", again=True)] * again


@pytest.mark.parametrize(
    ("counts", "passed"),
    [((1000,), True), ((999, 1), True), ((998, 2), False), ((1999, 0, 1), False), ((10, 0, 0, 5), True), ((0,), False)],
)
def test_downloads(counts: tuple[int, ...], passed: bool) -> None:
    assert downloads_check(downloads(*counts), 0.999).passed is passed


def test_stalls() -> None:
    assert stall_check([0.1, 0.2, 5.0], [], 0.3).passed
    assert "before the fault 50 ms" in stall_check([0.1, 0.2, 5.0], [0.05], 0.3).detail
    assert not stall_check([0.4], [], 0.3).passed
    assert stall_check([], [], 0.3).passed


def struck(repaired_s: float | None = 0.1, actor: str = "engine-0") -> Fault:
    return Fault(1.0, actor, "kill", 7, repaired_s, "it goes on")


def test_repairs() -> None:
    assert repairs_check([struck()], [{"level": "info", "text": "well"}]).passed
    assert not repairs_check([], []).passed
    assert not repairs_check([struck(None)], []).passed
    assert not repairs_check([struck()], [{"level": "error", "text": "x cannot be replaced"}]).passed
    assert not repairs_check(
        [struck()], [{"level": "info", "text": "0 were reset (1 without a mark: a defect)"}]
    ).passed


@pytest.mark.parametrize(("after_s", "passed"), [(0.2, True), (5.1, False), (None, False)])
def test_take_overs(after_s: float | None, passed: bool) -> None:
    assert take_over_check([struck(9.0), struck(after_s, "management")]).passed is passed


def row(engine: int, age_ms: int, remote: str = "10.1.0.2:40000", role: str = "client") -> dict[str, Any]:
    return {"engine": engine, "age_ms": age_ms, "remote": remote, "local": "10.1.0.100:80", "role": role}


def test_a_flow_on_two_engines() -> None:
    watcher = Watcher()
    watcher.take_flows([row(0, 1000), row(1, 9, "10.1.0.10:1", "server")], 10.0)
    watcher.take_flows([row(0, 2000)], 11.0)
    assert affinity_check(watcher).passed
    watcher.take_flows([row(1, 3000)], 12.0)
    assert not affinity_check(watcher).passed


def test_the_same_ports_again_are_another_flow() -> None:
    watcher = Watcher()
    watcher.take_flows([row(0, 5000)], 10.0)
    watcher.take_flows([row(1, 100)], 11.0)
    assert affinity_check(watcher).passed


def test_without_a_sample_nothing_is_known() -> None:
    assert not affinity_check(Watcher()).passed


def test_counters() -> None:
    watcher = Watcher()
    stat: dict[str, Any] = {"actors": {"engine-0": {"requests": 5, "live_connections": 9}}}
    watcher.take_stat(stat)
    watcher.take_stat({"actors": {"engine-0": {"requests": 5, "live_connections": 1}}})
    assert counters_check(watcher, accounts(), []).passed
    watcher.take_stat({"actors": {"engine-0": {"requests": 4, "live_connections": 1}}})
    assert not counters_check(watcher, accounts(), []).passed


def test_a_counter_that_is_gone_has_gone_back() -> None:
    watcher = Watcher()
    watcher.take_stat({"actors": {"engine-1": {"requests": 5}}})
    watcher.take_stat({"actors": {}})
    assert watcher.steps_back == ["engine-1 requests: 5 → None"]


def _lose(made: dict[str, Any]) -> None:
    made["actors"]["distributor"]["forwarded_packets"] -= 1


def test_sums_are_exact_unless_the_one_that_counts_was_killed() -> None:
    assert not counters_check(Watcher(), accounts(_lose), []).passed
    assert not counters_check(Watcher(), accounts(_lose), [struck()]).passed
    assert counters_check(Watcher(), accounts(_lose), [struck(actor="distributor")]).passed


def snapshot(**changes: int) -> Snapshot:
    actors = copy.deepcopy(books()["actors"])
    for number in (0, 1):
        actors[f"engine-{number}"] |= {"live_connections": 0}
        actors["distributor"][f"live_flows_engine_{number}"] = 0
    actors["engine-1"] |= changes
    services = {"web1": {"idle_connections": 2}}
    return Snapshot(0, {"actors": actors, "services": services}, {})


def test_leaks() -> None:
    entries = {"engine-0": 0, "engine-1": 0}
    assert leaks_check(snapshot(), snapshot(live_connections=0), entries).passed
    assert not leaks_check(snapshot(), snapshot(free_frames=99), entries).passed
    assert leaks_check(snapshot(free_frames=99), snapshot(free_frames=99), entries).passed
    assert not leaks_check(snapshot(), snapshot(live_connections=1), entries).passed
    assert not leaks_check(snapshot(), snapshot(), {"engine-0": 0, "engine-1": 1}).passed
    assert Accounts(snapshot(), snapshot()).held_frames() == 0
