"""For the whole suite: kernels of this process check every index, and are compiled before the first test's clock."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from numba import int64
from numba.core import config as numba_config

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # A shell that starts the suite in the background has it ignore Ctrl-C, and so would every program that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)

if "NUMBA_BOUNDSCHECK" not in os.environ and not numba_config.DISABLE_JIT:
    # Not in the environment: the actors of the end-to-end tests are processes of their own and run as users' do.
    # Before the first import of a kernel.
    numba_config.BOUNDSCHECK = 1

from ncore_ray import compilation
from ncore_ray.lab.capability import can_make_namespaces
from ncore_ray.machine.jit import JIT

# The same examples in every run of the same source (`--hypothesis-profile default` looks for others), and no deadlines:
# the first call of a kernel compiles it, and other programs share the machine.
settings.register_profile(
    "suite", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")

if "NCORE_STATE_DIR" not in os.environ:
    # What appliances of the tests keep of their configurations is not the user's.
    os.environ["NCORE_STATE_DIR"] = tempfile.mkdtemp(prefix="ncore-state-")
    atexit.register(shutil.rmtree, os.environ["NCORE_STATE_DIR"], ignore_errors=True)

for _name in ("COLUMNS", "LINES"):
    # readline, which pytest loads, puts a terminal's size into the environment that child processes inherit.
    os.environ.pop(_name, None)
    os.unsetenv(_name)

FAILURES = "NCORE_TEST_FAILURES"  # as in tests.suite
EXCERPT = 1500

_actors_kernels: list[str] = []
# What the project asks before it starts actors: not whether this process's own, checked kernels are in the cache.
vars(compilation)["is_compiled"] = lambda: bool(_actors_kernels)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Compile the large kernels now, if the chosen tests need them: no test's time limit is to contain that."""
    if session.config.option.collectonly or not session.items:
        return
    if any(item.get_closest_marker("ray") for item in session.items):
        subprocess.run([sys.executable, "-m", "ncore_ray.cli.main", "compile"], check=True)
        _actors_kernels.append("compiled")
    if "ncore_ray.lab.dry.engine" in sys.modules:
        _compile_engine()


def _compile_engine() -> None:
    """Compile the packet engine, with checks, for this process."""
    from ncore_ray.engine.run import breathe_once

    kernel: Any = breathe_once
    if JIT:
        started_at = time.monotonic()
        kernel.compile((int64,) * 4)
        print(f"  packet engine with checks: compiled or loaded in {time.monotonic() - started_at:.1f} s", flush=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Leave to the whole suite (`tests.suite`) what failed here: it says it again at its end."""
    if FAILURES not in os.environ:
        return
    bad = [*terminalreporter.getreports("failed"), *terminalreporter.getreports("error")]
    with Path(os.environ[FAILURES]).open("a") as stream:
        for report in bad:
            stream.write(f"{getattr(report, 'when', 'collect')} {report.nodeid}\n{report.longreprtext[-EXCERPT:]}\n")


@pytest.fixture(scope="session")
def namespaces() -> None:
    """Skip where no namespaces can be made."""
    if not can_make_namespaces():
        pytest.skip("network namespaces cannot be made here")


@pytest.fixture(scope="session")
def ray_folder() -> Iterator[Path]:
    """The one folder for the Ray of this test run."""
    from tests.support.ray_kit import own_folder

    with own_folder() as folder:
        yield folder


@pytest.fixture
def own_ray(ray_folder: Path) -> Iterator[Path]:
    """The one Ray of this test run; all appliances that a test leaves there are removed."""
    from tests.support.ray_kit import on_own_ray

    with on_own_ray():
        yield ray_folder
