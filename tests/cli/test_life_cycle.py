"""The commands over living appliances, in this process: output and exit status."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from ncore_ray.appliance import session
from ncore_ray.cli.main import app
from ncore_ray.errors import NcoreError
from ncore_ray.management.processes import wait_gone, wait_until
from tests.support.ray_kit import plain, plain_text

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600), pytest.mark.usefixtures("own_ray")]


def ncore(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "100"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def data(*arguments: str) -> Any:
    result = ncore(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_looking_at_an_appliance() -> None:
    kept = session.create(plain("look", engines=2), "look.yaml", detached=False)
    assert_status()
    assert_counters()
    assert_flows()
    assert "appliance look runs" in ncore("events").stdout
    assert data("events")["events"][0]["text"] == "appliance look runs"
    assert_events_are_followed_to_the_last_one(kept)


def assert_events_are_followed_to_the_last_one(one: session.Appliance) -> None:
    late = Timer(0.5, one.take_down)
    late.start()
    followed = ncore("events", "--follow", "--json")
    late.join()
    assert followed.exit_code == 0
    found = [json.loads(line) for line in followed.stdout.splitlines()]
    assert (found[0]["text"], found[-1]["text"]) == ("appliance look runs", "appliance look is taken down")


def assert_status() -> None:
    shown = ncore("status")
    assert shown.exit_code == 0
    for words in ["look ● running", "HTTP  10.1.0.100:80", "engine-1", "● running", "look.yaml", "10.2.0.3:80"]:
        assert words in shown.stdout
    assert data("status", "look")["state"] == "running"
    assert len(data("status")["actors"]) == 6
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
    path.write_text(plain_text("edge"))
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
    path.write_text(plain_text("edge").replace("connections: 1000", "connections: 900"))
    changed = ncore("deploy", path)
    assert changed.exit_code == 0
    assert "edge has another configuration: it is replaced." in changed.stdout
    found = data("status")
    assert found["process"] != first
    assert found["dimensions"]["connections"] == 900


def assert_falls_back(path: Path) -> None:
    path.write_text(plain_text("edge").replace("nc1, driver: memory", "nc1, driver: af_packet"))
    broken = ncore("deploy", path, "--drain", "0")
    assert broken.exit_code == 2
    assert broken.stderr == (
        "edge/nic-nc1 cannot start: there is no network interface nc1; the former configuration runs again\n"
    )
    assert data("status")["dimensions"]["connections"] == 900


def test_several_appliances_drain_and_shutdown() -> None:
    for name in ("one", "two"):
        session.create(plain(name), "x.yaml", detached=True)
    assert [row["appliance"] for row in data("status")["appliances"]] == ["one", "two"]
    shown = ncore("status")
    assert shown.exit_code == 0
    assert "10.1.0.100:80, 10.1.0.100:5432" in shown.stdout
    unclear = ncore("drain")
    assert (unclear.exit_code, unclear.stderr) == (2, "which appliance? there are one, two: name one\n")
    drained = ncore("drain", "two", "-t", "5")
    assert drained.exit_code == 0
    assert "two is drained" in drained.stdout
    assert ncore("shutdown", "two").stdout == "two has ended.\n"
    assert ncore("shutdown", "--drain", "1").stdout.endswith("one has ended.\n")
    assert ncore("shutdown").stderr == "which appliance? there is none (ncore run CONFIG starts one)\n"
    refused = ncore("shutdown", "--ray")
    assert refused.exit_code == 2
    assert "was not started by `ncore deploy`" in refused.stderr


def test_failures_are_shown_and_the_exit_status_tells() -> None:
    one = session.create(plain("sick", engines=2), "x.yaml", detached=True)
    processes = one.ask("processes")
    os.kill(processes[-1], signal.SIGKILL)
    assert wait_until(lambda: one.ask("overview")["state"] == "degraded", 5.0)
    shown = ncore("status")
    assert shown.exit_code == 1
    assert "FAILED  engine-1: its process died" in shown.stdout
    os.kill(one.ask("process"), signal.SIGKILL)
    assert wait_until(lambda: session.remains() == ["sick"], 5.0)
    headless = ncore("status")
    assert headless.exit_code == 2
    assert headless.stderr == "the management of appliance sick has died (ncore shutdown sick removes the rest)\n"
    with pytest.raises(NcoreError, match="the management of appliance sick has died"):
        one.ask("status")
    assert "what was left of sick is gone: " in ncore("shutdown", "sick").stdout
    assert session.remains() == []
    assert wait_gone(processes, 5.0) == []
