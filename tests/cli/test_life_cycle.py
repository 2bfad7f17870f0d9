"""The commands over living appliances, in this process: output and exit status."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from ncore_ray.appliance import session
from ncore_ray.errors import NcoreError
from ncore_ray.management.processes import is_running, wait_gone, wait_until
from tests.support.command import Command, data, ncore
from tests.support.ray_kit import plain, plain_text

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600), pytest.mark.usefixtures("own_ray")]
TWO = (("one", 2), ("two", 1))
"""Name and number of engines of appliances that live side by side."""


@pytest.fixture
def look(tmp_path: Path) -> Iterator[Command]:
    """An appliance that `ncore run` runs in another process."""
    path = tmp_path / "look.yaml"
    path.write_text(plain_text("look", engines=2))
    command = Command(tmp_path, "run", path)
    command.wait_for("appliance look runs")
    yield command
    command.abandon()


def test_looking_at_an_appliance_until_another_program_ends_it(look: Command) -> None:
    appliance = session.find("look")
    assert_status()
    assert_counters()
    assert_flows()
    assert "appliance look runs" in ncore("events").stdout
    assert data("events")["events"][0]["text"] == "appliance look runs"
    assert_answers(appliance)
    assert_drain(appliance)
    assert_events_are_followed_to_the_last_one(appliance)
    assert look.process.wait(30) == 0
    assert look.text.endswith("look was ended by another program.\n")


def assert_events_are_followed_to_the_last_one(one: session.Appliance) -> None:
    late = Timer(0.5, one.take_down)
    late.start()
    followed = ncore("events", "--follow", "--json")
    late.join()
    assert followed.exit_code == 0
    found = [json.loads(line) for line in followed.stdout.splitlines()]
    assert (found[0]["text"], found[-1]["text"]) == ("appliance look runs", "appliance look is taken down")


def assert_answers(appliance: session.Appliance) -> None:
    stat = appliance.ask("stat")
    assert set(stat["actors"]) == set(stat["cores"]) == {"distributor", "nic-nc0", "engine-0", "engine-1"}
    assert set(stat["vservers"]) == {"www", "db"}
    found = appliance.ask("explain_flow", "10.1.0.2", 40_000, "10.1.0.100", 80, "tcp")
    assert (found["vserver"], found["rule"], found["connection"]) == ("www", "assigned", None)
    assert found["engine"] in (0, 1)
    assert appliance.ask("explain", "10.1.0.2", 1, "10.9.9.9", 80, "tcp").endswith("neither a VIP nor a SNIP.")
    with pytest.raises(NcoreError, match="'nonsense' is no IP address"):
        appliance.ask("explain_flow", "nonsense", 1, "10.1.0.100", 80, "tcp")
    assert wait_until(lambda: appliance.ask("status")["services"] == {"web1": "up", "web2": "down"}, 10.0)
    assert wait_until(lambda: "service web2 is down" in texts(appliance), 10.0)


def texts(appliance: session.Appliance) -> list[str]:
    return [event["text"] for event in appliance.ask("events")]


def assert_drain(appliance: session.Appliance) -> None:
    assert appliance.ask("drain", 1.0) == 0
    assert appliance.ask("status")["state"] == "draining"


def assert_status() -> None:
    shown = ncore("status")
    assert shown.exit_code == 0
    for words in ["look ● running", "HTTP  10.1.0.100:80", "engine-1", "● running", "look.yaml", "10.2.0.3:80"]:
        assert words in shown.stdout
    assert data("status", "look")["state"] == "running"
    assert len(data("status")["actors"]) == 5
    missing = ncore("status", "nothing")
    assert (missing.exit_code, missing.stderr) == (2, "there is no appliance named nothing, only look\n")


def assert_counters() -> None:
    for command in (["stat"], ["stat", "--all"], ["top", "--once", "-i", "0.1"]):
        shown = ncore(*command)
        assert shown.exit_code == 0
        assert "www" in shown.stdout
    assert "drop_tcp_bad_checksum_packets" in ncore("stat", "-a").stdout
    assert data("stat")["actors"]["engine-0"]["drop_tcp_bad_checksum_packets"] == 0
    assert set(data("top", "-i", "0.1")) == {"seconds", "busy", "actors", "vservers", "services"}


def assert_flows() -> None:
    assert ncore("flows").stdout.endswith("0 connections\n")
    assert data("flows") == {"total": 0, "flows": []}
    shown = ncore("explain", "10.1.0.2:40000->10.1.0.100:80/tcp").stdout
    assert "flow        tcp 10.1.0.2:40000 → 10.1.0.100:80\nengine      " in shown
    assert "[rule: assigned]\nvServer     www\nconnection  none lives\n" in shown
    assert data("explain", "10.1.0.2:40000->10.1.0.100:5432")["vserver"] == "db"
    wrong = ncore("explain", "10.1.0.2->10.1.0.100")
    assert wrong.exit_code == 2
    assert "is no flow: expected SOURCE:PORT->DESTINATION:PORT/PROTOCOL" in wrong.stderr


def test_deploy_is_idempotent_replaces_and_falls_back(tmp_path: Path) -> None:
    path = tmp_path / "edge.yaml"
    path.write_text(plain_text("edge", placement="per-core"))
    assert "edge ● running" in ncore("deploy", path).stdout
    first = data("status")["process"]
    again = ncore("deploy", path)
    assert (again.exit_code, again.stdout.splitlines()[-1]) == (
        0,
        "edge runs with exactly this configuration: nothing to do.",
    )
    assert data("status")["process"] == first
    assert_replaced(path, first)
    assert_falls_back(path)


def assert_replaced(path: Path, first: int) -> None:
    path.write_text(plain_text("edge", placement="per-core").replace("connections: 1000", "connections: 900"))
    changed = ncore("deploy", path)
    assert changed.exit_code == 0
    assert "edge has another configuration: it is replaced." in changed.stdout
    found = data("status")
    assert found["process"] != first
    assert found["dimensions"]["connections"] == 900


def assert_falls_back(path: Path) -> None:
    path.write_text(
        plain_text("edge", placement="per-core").replace("driver: memory", "driver: af_packet, interface: nowhere")
    )
    broken = ncore("deploy", path, "--drain", "0")
    assert broken.exit_code == 2
    assert broken.stderr == (
        "edge/engine-0 cannot start: cannot send on network interface nowhere: No such device;"
        " the former configuration runs again\n"
    )
    assert data("status")["dimensions"]["connections"] == 900


def test_several_appliances_drain_and_shutdown() -> None:
    one, _ = (session.create(plain(name, engines), "x.yaml", detached=True) for name, engines in TWO)
    processes = one.ask("processes")
    assert len(processes) == len(set(processes)) == 6  # management, arena, NIC, distributor, 2 engines
    assert all(map(is_running, processes))
    assert_both_are_told_apart()
    assert one.take_down() == []
    assert wait_gone(processes, 2.0) == []
    assert session.names() == ["two"]
    assert session.find().ask("status")["state"] == "running"
    drained = ncore("drain", "two", "-t", "5")
    assert drained.exit_code == 0
    assert "two is drained" in drained.stdout
    assert ncore("shutdown", "--drain", "1").stdout.endswith("two has ended.\n")
    assert session.remains() == []
    assert ncore("shutdown").stderr == "which appliance? there is none (ncore run CONFIG starts one)\n"
    refused = ncore("shutdown", "--ray")
    assert refused.exit_code == 2
    assert "was not started by `ncore deploy`" in refused.stderr


def assert_both_are_told_apart() -> None:
    assert [row["appliance"] for row in data("status")["appliances"]] == session.names() == ["one", "two"]
    assert session.find("two").name == "two"
    shown = ncore("status")
    assert shown.exit_code == 0
    assert "10.1.0.100:80, 10.1.0.100:5432" in shown.stdout
    unclear = ncore("drain")
    assert (unclear.exit_code, unclear.stderr) == (2, "which appliance? there are one, two: name one\n")
    with pytest.raises(NcoreError, match="which appliance\\? there are one, two: name one"):
        session.find()
    with pytest.raises(NcoreError, match="an appliance named one runs already"):
        session.create(plain("one"), "x.yaml", detached=True)


def test_the_death_of_any_actor_is_said_within_a_second_and_mended() -> None:
    sick = session.create(plain("sick", engines=2), "x.yaml", detached=True)
    for actor in ("engine-1", "nic-nc0", "distributor"):
        assert_death_is_said(sick, actor)
        assert wait_until(lambda name=actor: row_of(sick, name)["restarts"] == 1, 60.0)  # type: ignore[misc]
    assert wait_until(lambda: sick.ask("status")["state"] == "running", 10.0)
    assert ncore("status").exit_code == 0
    assert_death_is_said(sick, "arena")
    assert wait_until(lambda: row_of(sick, "arena")["restarts"] == 1, 60.0)
    assert wait_until(lambda: sick.ask("status")["state"] == "running", 10.0)
    assert ncore("status").exit_code == 0
    processes = sick.ask("processes")
    assert_a_management_without_an_arena_gives_up(sick)
    assert ncore("shutdown", "sick").exit_code == 0
    assert session.names() == session.remains() == []
    assert wait_gone(processes, 5.0) == []


def row_of(appliance: session.Appliance, actor: str) -> dict[str, Any]:
    rows: list[dict[str, Any]] = appliance.ask("status")["actors"]
    return next(row for row in rows if row["name"] == actor)


def assert_death_is_said(appliance: session.Appliance, actor: str) -> None:
    process = row_of(appliance, actor)["process"]
    text = f"sick/{actor} (process {process}) failed: its process died"
    os.kill(process, signal.SIGKILL)
    killed_at = time.monotonic()
    assert wait_until(lambda: text in " ".join(texts(appliance)), 10.0)
    assert time.monotonic() - killed_at < 1.0


def assert_a_management_without_an_arena_gives_up(appliance: session.Appliance) -> None:
    for process in reversed(appliance.ask("processes")):  # nobody who maps it is left
        os.kill(process, signal.SIGKILL)

    def says_so() -> bool:
        try:
            appliance.ask("status")
        except NcoreError as error:
            return "appliance sick is failed" in str(error)
        return False

    assert wait_until(says_so, 60.0)
