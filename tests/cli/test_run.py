"""`ncore run` as a process of its own: on a Ray that runs, and on one that it starts."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ncore_ray.appliance import session
from ncore_ray.management.processes import descendants, wait_gone, wait_until
from tests.support.command import NCORE, Command
from tests.support.ray_kit import plain_text

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]
Run = Callable[..., Command]


@pytest.fixture
def run(config: Path, tmp_path: Path) -> Iterator[Run]:
    """Begins `ncore run` with the configuration and more arguments, and waits until the appliance runs."""
    begun: list[Command] = []

    def begin(*arguments: str) -> Command:
        begun.append(Command(tmp_path, "run", config, *arguments))
        begun[-1].wait_for("appliance edge runs")
        return begun[-1]

    yield begin
    for command in begun:
        command.abandon()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "edge.yaml"
    path.write_text(plain_text("edge", placement="per-core"))
    return path


@pytest.fixture
def other_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for another Ray."""
    folder = Path(tempfile.mkdtemp(prefix="nco", dir="/tmp"))
    monkeypatch.setenv("RAY_TMPDIR", str(folder))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_a_crash_is_said_at_once_and_ctrl_c_ends_it(own_ray: Path, run: Run, tmp_path: Path) -> None:
    trace = tmp_path / "nc0.pcap"
    running = run("--fault", "nc0:loss=1%,seed=7", "--trace", f"nc0={trace}")
    for words in ["edge ● running", "faults seed=7,loss=1%", f"trace → {trace}", "in the foreground"]:
        assert words in running.text
    edge = session.find("edge")
    os.kill(edge.ask("status")["actors"][0]["process"], signal.SIGKILL)
    killed_at = time.monotonic()
    running.wait_for("failed: its process died")
    assert time.monotonic() - killed_at < 1.0
    running.wait_for("goes on in process")
    processes = edge.ask("processes")
    assert running.end(signal.SIGINT) == 0
    assert running.text.endswith("edge has ended.\n")
    assert wait_gone(processes, 2.0) == []
    assert session.names() == session.remains() == []


def test_the_death_of_the_management_ends_it(own_ray: Path, run: Run) -> None:
    running = run()
    processes = session.find("edge").ask("processes")
    os.kill(processes[0], signal.SIGKILL)
    killed_at = time.monotonic()
    running.wait_for("the management of edge has died, and the appliance with it")
    assert time.monotonic() - killed_at < 1.0
    assert running.process.wait(30) == 2
    assert wait_gone(processes, 10.0) == []
    assert wait_until(lambda: session.remains() == [], 5.0)


def test_a_second_management_takes_over_and_all_end_with_the_program(own_ray: Path, run: Run) -> None:
    running = run("--backup")
    edge = session.find("edge")
    assert wait_until(lambda: edge.ask("status")["backup_process"] > 0, 60.0)
    assert not edge.ask("status")["detached"]
    first = edge.ask("process")
    os.kill(first, signal.SIGKILL)
    running.wait_for("manages on")
    assert edge.ask("process") != first
    assert wait_until(lambda: edge.ask("status")["backup_process"] > 0, 60.0)
    processes = edge.ask("processes")
    running.process.kill()
    running.process.wait()
    assert wait_gone(processes, 20.0) == []
    assert wait_until(lambda: session.names() == session.remains() == [], 5.0)


def test_a_killed_run_leaves_nothing_on_the_ray(own_ray: Path, run: Run) -> None:
    running = run()
    processes = session.find("edge").ask("processes")
    running.process.kill()
    running.process.wait()
    assert wait_gone(processes, 20.0) == []
    assert wait_until(lambda: session.names() == session.remains() == [], 5.0)


def test_a_ray_of_its_own_ends_with_a_killed_run(other_folder: Path, run: Run) -> None:
    running = run()
    family = descendants(running.process.pid)
    assert len(family) > 10
    running.process.kill()
    running.process.wait()
    assert wait_gone(family, 40.0) == []


def test_a_lasting_ray(other_folder: Path, config: Path) -> None:
    def ncore(*words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*NCORE, *map(str, words)], capture_output=True, text=True, timeout=300)

    deployed = ncore("deploy", config)
    assert deployed.returncode == 0, deployed.stderr
    keeper = int(re.findall(r'"process": (\d+)', (other_folder / "ray" / "ncore_keeper.json").read_text())[0])
    family = [keeper, *descendants(keeper)]
    status = ncore("status")
    assert (status.returncode, "edge ● running" in status.stdout) == (0, True)
    ended = ncore("shutdown", "--ray")
    assert (ended.returncode, ended.stdout.splitlines()[-1]) == (0, "Ray has ended.")
    assert wait_gone(family, 10.0) == []
