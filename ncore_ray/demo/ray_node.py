"""A Ray of the demo's own, whatever else runs on this machine."""

from __future__ import annotations

import contextlib
import io
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import ray
from ray.exceptions import RayError

from ncore_ray.errors import NcoreError
from ncore_ray.management.team import NAMESPACE

_STORE_SLACK: Final = 160 << 20
_SETTINGS: Final = {
    "RAY_worker_niceness": "0",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_usage_stats_enabled": "0",
}


@contextlib.contextmanager
def own_ray(arena_bytes: int) -> Iterator[tuple[str, str]]:
    """Start a Ray whose store has room for the arena; yield its address and its dashboard's URL; end it.

    Raises NcoreError.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        # Ray prints to standard error at the start; it belongs to its logs.
        with contextlib.redirect_stderr(io.StringIO()):
            context = ray.init(
                address="local",
                namespace=NAMESPACE,
                object_store_memory=arena_bytes + _STORE_SLACK,
                include_dashboard=True,
                log_to_driver=False,
                logging_level=logging.ERROR,
                _temp_dir=_folder(),
            )
    except (RayError, ValueError, OSError, RuntimeError) as error:
        raise NcoreError(f"Ray cannot be started: {error}") from None
    try:
        url = context.dashboard_url
        yield context.address_info["gcs_address"], f"http://{url}" if url else ""
    finally:
        ray.shutdown()


def _folder() -> str | None:
    """Return a folder for Ray's session where the usual one belongs to another user."""
    usual = Path("/tmp/ray")
    if not usual.exists() or os.access(usual, os.W_OK):
        return None
    return f"/tmp/ray-{os.environ.get('USER') or os.getppid()}"
