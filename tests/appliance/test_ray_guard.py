"""The helper that ends Ray's agents after this program's death."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from ncore_ray.appliance.ray_guard import AgentGuard


@pytest.fixture
def agent() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as agent:
        yield agent
        agent.kill()


def test_the_end_of_the_program_ends_the_agents(agent: subprocess.Popen[bytes]) -> None:
    guard = AgentGuard([agent.pid])
    assert guard.process is not None
    guard.process.communicate()  # as when this program ends: the pipe does
    assert agent.wait(10) == -signal.SIGKILL
    assert guard.process.returncode == 0


def test_agents_that_are_gone_already_are_no_error(agent: subprocess.Popen[bytes]) -> None:
    guard = AgentGuard([agent.pid])
    agent.kill()
    agent.wait()
    assert guard.process is not None
    guard.process.communicate()
    assert guard.process.returncode == 0


def test_a_guard_that_is_dismissed_does_nothing(agent: subprocess.Popen[bytes]) -> None:
    guard = AgentGuard([agent.pid])
    guard.dismiss()
    assert guard.process is None
    assert agent.poll() is None


def test_without_agents_there_is_no_guard() -> None:
    assert AgentGuard([]).process is None
