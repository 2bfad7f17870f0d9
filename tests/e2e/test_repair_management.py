"""A management that dies: the data plane does not notice, and the one that waits goes on with what the first knew."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from ncore_ray.chaos.run import Plan, Run
from ncore_ray.lab.network import VIP
from ncore_ray.management.processes import is_running
from tests.e2e.bed import Bed
from tests.e2e.kills import kill, load_while, lost, process_of, said

OPTIONS: dict[str, Any] = {"standbys": "auto", "engines": 2, "detached": True, "backup": "true"}
OPTIONS |= {"replication": "messages", "source": "messages"}
WANTED_S = 5.0
SEED = 22
"""Strikes engine-1, the management, the arena's owner and engine-0."""
KILLS = True


def _await_backup(bed: Bed) -> dict[str, Any]:
    """Return the status once somebody waits to take over."""
    bed.wait(lambda: bed.appliance.ask("status")["backup_process"], "a second management waits", 60.0)
    found: dict[str, Any] = bed.appliance.ask("status")
    assert found["backup_process"] != found["process"]
    return found


def _time_of_stat(bed: Bed) -> float:
    """Return how long the answer to `stat` takes, ms."""
    began_at = time.monotonic()
    bed.appliance.ask("stat")
    return (time.monotonic() - began_at) * 1000


def _end_management(bed: Bed, number: int) -> float:
    """Kill or stop the management at work; return after how many seconds another one answers."""
    before = _await_backup(bed)["process"]
    began_at = time.monotonic()
    os.kill(before, number)
    bed.wait(lambda: bed.appliance.ask("process") != before, "another management answers", 30.0)
    spent_s = time.monotonic() - began_at
    print(f"{signal.Signals(number).name}: another management answers after {spent_s:.2f} s")
    return spent_s


def test_the_program_that_built_it_is_dead(bed: Bed) -> None:
    assert bed.driver
    assert not is_running(bed.driver)
    assert lost(load_while(bed, None, "--connections", "20", "--seconds", "1")) == 0
    with bed.changed("set service web1 weight=2"):
        assert "weight: 2" in bed.appliance.ask("configuration")


def test_the_data_plane_does_not_notice(bed: Bed) -> None:
    kill(bed, "engine-0")
    bed.appliance.ask("configure", "change", ["set service web1 weight=3"], "bob", "why")
    before, events = _await_backup(bed), bed.appliance.ask("events")
    counted = bed.appliance.ask("stat")["vservers"]["www"]["requests"]
    spent: list[float] = []

    def act() -> None:
        time.sleep(0.5)
        took = [_time_of_stat(bed) for _ in range(20)]
        print(f"stat under load: median {sorted(took)[10]:.1f} ms, longest {max(took):.1f} ms")
        spent.append(_end_management(bed, signal.SIGKILL))
        spent.append(_end_management(bed, signal.SIGSTOP))

    report = load_while(bed, act, "--connections", "40", "--seconds", "60", "--requests", "1000000")
    assert lost(report) == 0
    assert max(spent) < WANTED_S
    after = bed.appliance.ask("status")
    assert [row["process"] for row in after["actors"]] == [row["process"] for row in before["actors"]]
    assert after["since"] == before["since"]
    assert [row["restarts"] for row in after["actors"]] == [row["restarts"] for row in before["actors"]]
    assert bed.appliance.ask("events")[: len(events)] == events
    assert len(said(bed, "manages on")) == 2
    assert bed.appliance.ask("stat")["vservers"]["www"]["requests"] > counted
    assert "weight: 3" in bed.appliance.ask("configuration")
    last = bed.appliance.ask("configure", "versions", 1)[0]
    assert (last["author"], last["comment"]) == ("bob", "why")


def test_the_new_one_repairs(bed: Bed) -> None:
    kill(bed, "engine-1")
    kill(bed, "engine-0")
    assert lost(load_while(bed, None, "--connections", "20", "--seconds", "2")) == 0


def test_the_management_and_the_arena_s_owner_die_at_once(bed: Bed) -> None:
    before, owner = _await_backup(bed)["process"], process_of(bed, "arena")
    report = load_while(bed, lambda: _kill_both(bed, before, owner), "--connections", "20", "--seconds", "60")
    assert lost(report) == 0
    _await_backup(bed)  # the one that Ray has begun anew had to find the arena without its owner
    kill(bed, "engine-1")
    kill(bed, "engine-1")


def _kill_both(bed: Bed, management: int, owner: int) -> None:
    for process in (owner, management):
        os.kill(process, signal.SIGKILL)
    bed.wait(lambda: bed.appliance.ask("process") != management, "another management answers", 30.0)
    bed.wait(lambda: process_of(bed, "arena") not in (0, owner), "somebody keeps the arena", 30.0)
    bed.wait(lambda: bed.appliance.ask("status")["state"] == "running", "all is well", 30.0)


def test_a_short_minute_of_kills(bed: Bed) -> None:
    """`ncore chaos`, with each kind of actor once. How long flows stand still is for a quiet machine to say."""
    vip = bed.new_vip()
    with bed.changed(f"add vserver files address={vip}:81 protocol=TCP services=web1,web2"):
        plan = Plan(
            duration_s=60,
            every_s=0.5,
            most_faults=4,
            seed=SEED,
            only=("engine", "arena", "management"),
            urls=tuple(f"http://{address}/bytes/100000?seed=7" for address in (VIP, f"{vip}:81")),
            clients=10,
            rate=30,
            netns=bed.client.namespace.name,
            least=0.9,
            stall_s=30,
        )
        outcome = Run(bed.appliance, plan, print).run()
    print(outcome.plain())
    assert [check for check in outcome.checks if not check.passed] == []
    assert {fault.actor for fault in outcome.faults} == {"engine-0", "engine-1", "arena", "management"}
