"""`ncore config check` and the frame of the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ncore_ray import __version__
from ncore_ray.cli.main import app
from ncore_ray.cli.output import Rows, print_rows

ROOT = Path(__file__).parents[2]
DEMO = str(ROOT / "configs" / "demo.yaml")


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "edge.yaml"
    path.write_text((ROOT / "configs" / "demo.yaml").read_text().replace("engines: 2", "engines: 0"))
    return path


def sentence(path: Path) -> str:
    return f"{path}:2:34: appliance.engines: found 0, expected a whole number from 1 to 64"


def test_version() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"ncore {__version__}\n")


def test_help_names_the_commands() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    assert "config" in result.stdout


def test_check_shows_what_would_be_built() -> None:
    result = CliRunner().invoke(app, ["config", "check", DEMO])
    assert result.exit_code == 0
    for text in ["demo", "256MiB", "ncore-demo", "10.1.0.100:9000", "leastconnection", "http GET /health every 2s"]:
        assert text in result.stdout
    assert result.stdout.endswith("demo.yaml: the configuration is valid.\n")


def test_check_as_json_has_the_same_rows() -> None:
    result = CliRunner().invoke(app, ["config", "check", DEMO, "--json"])
    assert result.exit_code == 0
    data = json.loads(result.stdout)
    assert data["valid"] is True
    assert data["appliance"][0]["engines"] == 2
    assert [row["name"] for row in data["services"]] == ["web1", "web2", "web3", "raw1", "raw2", "raw3"]
    assert data["vservers"][1]["services"] == ["raw1", "raw2", "raw3"]


def test_a_wrong_configuration_ends_with_its_problems_on_stderr(broken: Path) -> None:
    result = CliRunner().invoke(app, ["config", "check", str(broken)])
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", sentence(broken) + "\n")


def test_a_wrong_configuration_as_json(broken: Path) -> None:
    result = CliRunner().invoke(app, ["config", "check", str(broken), "--json"])
    assert result.exit_code == 2
    problem = "found 0, expected a whole number from 1 to 64"
    place = {"file": str(broken), "line": 2, "column": 34, "key": "appliance.engines"}
    assert json.loads(result.stdout) == {"valid": False, "problems": [{**place, "problem": problem}]}


def test_no_such_file() -> None:
    result = CliRunner().invoke(app, ["config", "check", "/nowhere.yaml"])
    assert (result.exit_code, result.stderr) == (2, "/nowhere.yaml: there is no such file\n")


def test_wrong_usage() -> None:
    assert CliRunner().invoke(app, ["config", "check"]).exit_code == 2


def test_the_command_itself_is_quick_and_light(broken: Path) -> None:
    code = (
        "import sys\nfrom ncore_ray.cli.main import main\n"
        "try: main()\nfinally: print({'ray', 'numba', 'numpy', 'pydantic'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code, "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("set()\n")
    command = [sys.executable, "-m", "ncore_ray.cli.main", "config", "check", str(broken)]
    failed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (failed.returncode, failed.stdout, failed.stderr) == (2, "", sentence(broken) + "\n")


def test_tables(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([Rows("things", [{"name": "[b]a[1]", "of_both": ["x", "y"], "count": 12345, "on": True, "none": None}])])
    shown = capsys.readouterr().out
    for text in ["things", "of both", "[b]a[1]", "x, y", "12,345", "yes", "–"]:
        assert text in shown
    print_rows([Rows("things", [{"name": "a", "count": 1}]), Rows("none", [])], as_json=True)
    assert json.loads(capsys.readouterr().out) == {"things": [{"name": "a", "count": 1}], "none": []}
