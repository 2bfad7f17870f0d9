"""The Ray of the demo and of the tests, whatever else runs on this machine."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import ray

from ncore_ray.appliance.ray_node import connect, disconnect, running_ray
from ncore_ray.appliance.ray_start import start_ray


@dataclass(frozen=True)
class DemoRay:
    """A Ray that runs."""

    address: str
    dashboard: str
    environment: str = ""
    """What a person has to put before `ncore` so that it finds this Ray; nothing when it is the only one here."""


@contextlib.contextmanager
def demo_ray(arena_bytes: int) -> Iterator[DemoRay]:
    """Start a Ray that `ncore` finds, or one beside the Ray that runs here already; end it. Raises NcoreError."""
    if running_ray():
        with own_ray(arena_bytes) as started:
            yield replace(started, environment=f"RAY_AUTH_MODE=token RAY_ADDRESS={started.address} ")
        return
    with _own_signals(), contextlib.redirect_stderr(io.StringIO()):
        node = connect(arena_bytes)
    try:
        yield DemoRay(ray.get_runtime_context().gcs_address, node.dashboard)
    finally:
        disconnect(node)


@contextlib.contextmanager
def own_ray(arena_bytes: int) -> Iterator[DemoRay]:
    """Start a Ray whose store has room for the arena, beside whatever runs here; end it. Raises NcoreError."""
    with _own_signals(), contextlib.redirect_stderr(io.StringIO()):  # what Ray says at its start is in its logs
        context = start_ray(arena_bytes)
    try:
        url = context.dashboard_url
        yield DemoRay(context.address_info["gcs_address"], f"http://{url}" if url else "")
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Keep our handler of SIGTERM, where Ray would put its own."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def choose_folder() -> None:
    """Let Ray keep its files elsewhere when the usual folder belongs to another user. Before Ray is imported."""
    usual = Path("/tmp/ray")
    if "RAY_TMPDIR" not in os.environ and usual.exists() and not os.access(usual, os.W_OK):
        os.environ["RAY_TMPDIR"] = f"/tmp/ray-{os.environ.get('USER') or os.getuid()}"
