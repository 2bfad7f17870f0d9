"""The commands that change a living appliance, and those that show what it was."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from ncore_ray.appliance import session
from ncore_ray.cli.shell_command import Shell
from ncore_ray.config.load import dump, load, parse
from ncore_ray.management.processes import wait_until
from tests.support.command import data, ncore
from tests.support.ray_kit import plain, plain_text

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600), pytest.mark.usefixtures("own_ray")]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NCORE_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("SUDO_USER", "ann")
    return tmp_path


@pytest.fixture
def edge(folder: Path) -> Iterator[session.Appliance]:
    """An appliance with a store, as `ncore run` builds it."""
    one = session.create(
        plain("edge", 2, "per-core"), "edge.yaml", detached=False, store=folder / "state" / "edge.sqlite"
    )
    yield one
    if "edge" in session.names():
        one.take_down()


def test_a_configuration_is_changed_shown_compared_and_rolled_back(
    edge: session.Appliance, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_change(edge)
    assert_refusals(edge)
    assert_apply(folder)
    assert_history()
    assert_shell(edge, capsys)
    assert_rollback(edge)
    assert_repair(edge)
    edge.take_down()
    assert_store_of_what_does_not_run(folder)


def assert_change(edge: session.Appliance) -> None:
    done = ncore("set", "service", "web1", "weight=3", "--comment", "more for web1")
    assert done.exit_code == 0, done.output
    assert "  set service web1 weight=3\nVersion 2 is in force: acknowledged by all engines " in done.stdout
    assert data("set", "service", "web1", "weight=3")["commands"] == []
    assert "Nothing to do: version 2 says that already." in ncore("set", "service", "web1", "weight=3").stdout
    added = data("add", "service", "web3", "address=10.2.0.4:80", "monitor=none")
    assert (added["version"], added["late"]) == (3, [])
    assert 0 <= added["acknowledged_ms"] <= added["total_ms"]
    assert data("bind", "www", "web3", "first")["commands"] == ["bind www web3 first"]
    assert set(edge.ask("status")["services"]) == set(edge.ask("stat")["services"]) == {"web1", "web2", "web3"}
    (event,) = [one["text"] for one in edge.ask("events") if "version 2" in one["text"]]
    assert event == "configuration version 2 by ann: set service web1 weight=3"
    assert {"key": "weight", "value": 3} in data("show", "service", "web1")["service web1"]
    assert {"key": "header", "value": "10s"} in data("show", "timeouts")["timeouts"]
    assert [row["name"] for row in data("show", "services")["services"]] == ["web1", "web2", "web3"]
    assert set(data("show")) == {"appliance", "nics", "services", "vservers"}
    assert ncore("show", "servce").exit_code == 2


def assert_refusals(edge: session.Appliance) -> None:
    before = edge.ask("configuration")
    for words, told in [
        (["set", "service", "web9", "weight=1"], 'there is no service "web9"'),
        (["set", "service", "web1", "weight=0"], "expected a whole number from 1 to 255"),
        (["rm", "service", "web1"], 'found "web1", expected the name of a service'),
        (
            ["set", "appliance", "engines=4"],
            "appliance.engines=4 needs a restart (ncore deploy): the arena has room for",
        ),
        (["add", "servce", "x"], 'did you mean "service"?'),
        (["rollback", "77"], "there is no version 77"),
    ]:
        refused = ncore(*words)
        assert refused.exit_code == 2
        assert told in refused.stderr
    assert edge.ask("configuration") == before


def assert_apply(folder: Path) -> None:
    running = parse(ncore("export").stdout)
    path = folder / "new.yaml"
    path.write_text(dump(running).replace("weight: 3", "weight: 4"))
    found = ncore("diff", path)
    assert (found.exit_code, found.stdout) == (1, "set service web1 weight=4\n")
    assert ncore("apply", path).exit_code == 0
    assert (ncore("diff", path).exit_code, ncore("diff", path).stdout) == (0, "There is no difference.\n")
    other = folder / "other.yaml"
    other.write_text(path.read_text().replace("arena: 32MiB", "arena: 48MiB"))
    restart = data_of_difference(other)
    assert restart["commands"] == ["set appliance arena=48MiB"]
    assert restart["restart"][0].startswith("appliance.arena needs a restart")
    script = folder / "script"
    script.write_text("# two at once\nset service web1 weight=5\nset timeouts header=4s\n")
    assert data("apply", str(script))["commands"] == ["set timeouts header=4s", "set service web1 weight=5"]
    assert load(path).service("web1").weight == 4


def data_of_difference(path: Path) -> dict[str, list[str]]:
    import json

    found: dict[str, list[str]] = json.loads(ncore("diff", path, "--json").stdout)
    return found


def assert_history() -> None:
    rows = data("history")["versions"]
    assert [row["version"] for row in rows] == [6, 5, 4, 3, 2, 1]
    assert {row["author"] for row in rows} == {"ann"}
    assert rows[4]["comment"] == "more for web1"
    assert rows[-1]["comment"] == "built from edge.yaml"
    assert rows[0]["changes"] == ["set timeouts header=4s", "set service web1 weight=5"]
    assert "more for web1" in ncore("history").stdout
    assert len(data("history", "--limit", "2")["versions"]) == 2
    assert "weight: 3" in ncore("export", "--version", "2").stdout


def assert_shell(edge: session.Appliance, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    lines = io.StringIO("show service web1\nhistory --limit 1\nexport --version 99\nhistory --nonsense\nexit\n")
    shell = Shell(edge, stdin=lines)
    shell.use_rawinput = False
    shell.cmdloop()
    told = capsys.readouterr()
    assert "service web1" in told.out
    assert "set timeouts header=4s" in told.out
    assert "there is no version 99" in told.err
    assert "No such option" in told.err


def assert_rollback(edge: session.Appliance) -> None:
    back = data("rollback", "1")
    assert back["version"] == 7
    assert set(back["commands"]) == {
        "unset timeouts header",
        "unset service web1 weight",
        "unbind www web3",
        "rm service web3",
    }
    assert parse(edge.ask("configuration")) == plain("edge", 2, "per-core")
    assert wait_until(lambda: set(edge.ask("stat")["services"]) == {"web1", "web2"}, 5.0)
    assert ncore("diff", "--version", "1").exit_code == 0


def assert_repair(edge: session.Appliance) -> None:
    """The replicator has looked several times by now, and found nothing that had to be repaired."""
    assert [one["text"] for one in edge.ask("events") if "repaired" in one["text"]] == []


def assert_store_of_what_does_not_run(folder: Path) -> None:
    assert len(data("history", "edge")["versions"]) == 7
    assert parse(ncore("export", "edge").stdout) == plain("edge", 2, "per-core")
    assert ncore("history", "nobody").exit_code == 2
    again = session.create(
        parse(plain_text("edge", 2, "per-core").replace("32MiB", "40MiB")),
        "edge.yaml",
        detached=False,
        store=folder / "state" / "edge.sqlite",
    )
    assert data("history")["versions"][0]["changes"] == ["set appliance arena=40MiB"]
    again.take_down()
