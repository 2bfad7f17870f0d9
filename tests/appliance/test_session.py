"""Appliances on a real Ray: built, watched, taken down. Drivers without a network."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest
import ray

from ncore_ray.appliance import session
from ncore_ray.config.load import parse
from ncore_ray.errors import NcoreError
from ncore_ray.management.processes import is_running, wait_gone, wait_until
from tests.support.ray_kit import plain, plain_text

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600), pytest.mark.usefixtures("own_ray")]


def build(name: str, engines: int = 1) -> session.Appliance:
    return session.create(plain(name, engines), "test", detached=False)


def process_of(appliance: session.Appliance, actor: str) -> int:
    rows: list[dict[str, Any]] = appliance.ask("status")["actors"]
    return next(int(row["process"]) for row in rows if row["name"] == actor)


def test_two_appliances_live_side_by_side_and_leave_nothing() -> None:
    first, second = build("one", engines=2), build("two")
    assert session.names() == ["one", "two"]
    assert session.find("two").name == "two"
    with pytest.raises(NcoreError, match="which appliance\\? there are one, two: name one"):
        session.find()
    with pytest.raises(NcoreError, match="an appliance named one runs already"):
        build("one")
    processes = first.ask("processes")
    assert len(processes) == len(set(processes)) == 7  # management, arena, 2 NICs, distributor, 2 engines
    assert all(map(is_running, processes))
    assert first.take_down() == []
    assert wait_gone(processes, 2.0) == []
    assert session.names() == ["two"]
    assert session.find().ask("status")["state"] == "running"
    second.take_down()
    assert session.remains() == []


def test_the_death_of_any_actor_is_said_within_a_second() -> None:
    appliance = build("crash", engines=2)
    processes = appliance.ask("processes")
    for actor in ("engine-1", "nic-nc0", "arena", "distributor"):
        assert_death_is_said(appliance, actor)
    found = appliance.ask("status")
    assert found["state"] == "degraded"
    assert [row["name"] for row in found["actors"] if row["state"] != "failed"] == ["nic-nc1", "engine-0"]
    appliance.take_down()
    assert wait_gone(processes, 2.0) == []


def assert_death_is_said(appliance: session.Appliance, actor: str) -> None:
    process = process_of(appliance, actor)
    text = f"crash/{actor} (process {process}) failed: its process died"
    os.kill(process, signal.SIGKILL)
    killed_at = time.monotonic()
    assert wait_until(lambda: any(text in event["text"] for event in appliance.ask("events")), 10.0)
    assert time.monotonic() - killed_at < 1.0


def test_a_build_that_fails_leaves_nothing_and_names_the_actor() -> None:
    text = plain_text("broken").replace("name: nc1, driver: memory", "name: nc1, driver: pcap, input: /nowhere.pcap")
    before = workers()
    sentence = r"^broken/nic-nc1 cannot start: capture file /nowhere.pcap cannot be read: No such file or directory$"
    with pytest.raises(NcoreError, match=sentence):
        session.create(parse(text), "test", detached=True)
    assert session.names() == session.remains() == []
    assert wait_until(lambda: workers() == before, 5.0)


def test_an_arena_beyond_the_object_store_is_refused() -> None:
    configuration = parse(plain_text("huge").replace("arena: 32MiB", "arena: 1GiB"))
    with pytest.raises(NcoreError, match="not in shared memory: Ray's object store is too small"):
        session.create(configuration, "test", detached=False)
    assert session.names() == session.remains() == []


def workers() -> set[str]:
    return {actor["name"] for actor in ray.util.list_named_actors(all_namespaces=True)}


def test_answers_of_an_appliance() -> None:
    appliance = build("ask", engines=2)
    stat = appliance.ask("stat")
    assert set(stat["actors"]) == set(stat["cores"]) == {"distributor", "nic-nc0", "nic-nc1", "engine-0", "engine-1"}
    assert set(stat["vservers"]) == {"www", "db"}
    assert {row["role"] for row in appliance.ask("flows")} <= {"monitor"}
    found = appliance.ask("explain_flow", "10.1.0.2", 40_000, "10.1.0.100", 80, "tcp")
    assert (found["vserver"], found["rule"], found["connection"]) == ("www", "assigned", None)
    assert found["engine"] in (0, 1)
    assert appliance.ask("explain", "10.1.0.2", 1, "10.9.9.9", 80, "tcp").endswith("neither a VIP nor a SNIP.")
    with pytest.raises(NcoreError, match="'nonsense' is no IP address"):
        appliance.ask("explain_flow", "nonsense", 1, "10.1.0.100", 80, "tcp")
    assert wait_until(lambda: appliance.ask("status")["services"] == {"web1": "up", "web2": "down"}, 10.0)
    assert wait_until(lambda: "service web2 is down" in texts(appliance), 10.0)
    assert appliance.ask("drain", 1.0) == 0
    assert appliance.ask("status")["state"] == "draining"
    appliance.take_down()


def texts(appliance: session.Appliance) -> list[str]:
    return [event["text"] for event in appliance.ask("events")]
