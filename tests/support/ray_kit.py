"""One Ray for all tests that need one, and little appliances that need no network."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest
import ray

from ncore_ray.appliance import session
from ncore_ray.compilation import compile_all, is_compiled
from ncore_ray.config.load import parse
from ncore_ray.config.model import Configuration

STORE: Final = 512 << 20
"""Room for an appliance between real hosts, or several of the little ones."""
PLAIN: Final = """
appliance: {{name: {name}, engines: {engines}, standbys: 0, backup: false, arena: 32MiB}}
distribution: {{placement: {placement}}}
nics:
  - {{name: nc0, driver: memory, addresses: [10.1.0.10/24, 10.2.0.10/24]}}
services:
  - {{name: web1, address: "10.2.0.2:80", monitor: none}}
  - {{name: web2, address: "10.2.0.3:80", monitor: {{type: tcp, interval: 100ms, timeout: 50ms}}}}
vservers:
  - {{name: www, address: "10.1.0.100:80", protocol: HTTP, services: [web1, web2]}}
  - {{name: db, address: "10.1.0.100:5432", protocol: TCP, services: [web1]}}
limits: {{connections: 1000}}
"""
_nodes: list[session.RayNode] = []


def plain_text(name: str, engines: int = 1, placement: str = "core") -> str:
    """Return the YAML of an appliance without a network; with ``per-core`` it has fewer actors, and starts sooner."""
    return PLAIN.format(name=name, engines=engines, placement=placement)


def plain(name: str, engines: int = 1, placement: str = "core") -> Configuration:
    """Return the configuration of an appliance without a network."""
    return parse(plain_text(name, engines, placement))


def leave_ray() -> None:
    """End the Ray of this process, if there is one; the next test that needs one starts it anew."""
    if _nodes:
        session.disconnect(_nodes.pop())


@contextmanager
def own_folder() -> Iterator[Path]:
    """A folder for the Ray of this test run, so that no other one is attached to."""
    if not is_compiled():
        compile_all(lambda part, done, total: None)
    folder = Path(tempfile.mkdtemp(prefix="nct", dir="/tmp"))  # short: it holds names of sockets
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", str(folder))
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("RAY_metrics_report_interval_ms", "1000")  # instead of every 10 s
        yield folder
        leave_ray()
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def on_own_ray() -> Iterator[None]:
    """Connect this process to a Ray of its own, if it is not; remove all appliances that are left there."""
    if not ray.is_initialized():
        _nodes.append(session.connect(STORE))
    yield
    for name in {*session.names(), *session.remains()}:
        with suppress(Exception):
            session.remove(name)
