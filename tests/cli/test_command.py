"""The frame of the command: help and errors without any Ray."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from ncore_ray.cli.main import app
from ncore_ray.cli.output import print_error
from ncore_ray.errors import NcoreError

COMMANDS = [
    "run",
    "deploy",
    "drain",
    "shutdown",
    "status",
    "events",
    "stat",
    "top",
    "flows",
    "explain",
    "compile",
    "metrics",
    *("add", "set", "unset", "rm", "move", "bind", "unbind", "apply", "rollback"),
    *("show", "diff", "history", "export", "api", "shell"),
]
ATTACHING = [
    "status",
    "stat",
    "top",
    "flows",
    "events",
    "drain",
    "shutdown",
    "metrics",
    "show",
    "history",
    "export",
    "api",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert f" {command} " in result.stdout


@pytest.mark.parametrize("command", ATTACHING)
def test_without_ray_there_is_one_sentence(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    result = CliRunner().invoke(app, [command])
    sentence = "no Ray is running here, so there is no appliance (start one with: ncore run CONFIG)\n"
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", sentence)


@pytest.mark.parametrize("command", ["run", "deploy"])
def test_a_wrong_configuration_starts_nothing(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.init", lambda *_, **__: pytest.fail("Ray was started"))
    result = CliRunner().invoke(app, [command, str(tmp_path / "none.yaml")])
    assert (result.exit_code, result.stderr) == (2, f"{tmp_path}/none.yaml: there is no such file\n")


@pytest.mark.parametrize("command", ["run", "deploy"])
def test_an_arena_too_small_starts_nothing(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.support.ray_kit import plain_text

    monkeypatch.setattr("ray.init", lambda *_, **__: pytest.fail("Ray was started"))
    path = tmp_path / "big.yaml"
    path.write_text(plain_text("big").replace("connections: 1000", "connections: 1000000"))
    result = CliRunner().invoke(app, [command, str(path)])
    assert result.exit_code == 2
    assert "arena" in result.stderr
    assert result.stderr.count("\n") == 1


def test_compile_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ncore_ray.compilation.is_compiled", lambda: False)
    assert CliRunner().invoke(app, ["compile", "--check"]).exit_code == 1
    monkeypatch.setattr("ncore_ray.compilation.is_compiled", lambda: True)
    result = CliRunner().invoke(app, ["compile"])
    assert (result.exit_code, result.stdout.partition(":")[0]) == (0, "all kernels are there")


def test_errors_are_not_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_error("found [red]x[/red]")
    assert capsys.readouterr().err == "found [red]x[/red]\n"


def test_a_ray_started_for_a_deploy_that_fails_ends_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ncore_ray.appliance import session
    from tests.support.ray_kit import plain_text

    def fail(*_: object, **__: object) -> None:
        raise NcoreError("broken/nic-nc0 cannot start: no")

    ended: list[bool] = []
    monkeypatch.setattr("ncore_ray.compilation.is_compiled", lambda: True)
    monkeypatch.setattr(session, "connect", lambda *_, **__: session.RayNode(False, "", lasting=True))
    monkeypatch.setattr(session, "names", list)
    monkeypatch.setattr(session, "create", fail)
    monkeypatch.setattr("ncore_ray.appliance.ray_node.stop_lasting", lambda: ended.append(True))
    path = tmp_path / "broken.yaml"
    path.write_text(plain_text("broken"))
    result = CliRunner().invoke(app, ["deploy", str(path)])
    assert (result.exit_code, result.stderr, ended) == (2, "broken/nic-nc0 cannot start: no\n", [True])
