"""A Ray of this program's own: what it is told, and the room that it needs."""

from __future__ import annotations

import logging
import os
from typing import Any, Final

import ray
from ray.exceptions import RayError

from ncore_ray.errors import NcoreError, first_line
from ncore_ray.management.team import NAMESPACE

STORE_SLACK: Final = 160 << 20
"""Bytes that Ray's object store is larger than the arena, so that Ray's own objects never push at it."""
SETTINGS: Final = {
    "RAY_worker_niceness": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_usage_stats_enabled": "0",
}
"""What a Ray that we start ourselves is told: full priority for workers, no idle workers, no killing by memory."""
_SHARED_MEMORY: Final = "/dev/shm"


def be_quiet() -> None:
    """Keep Ray from printing of dead workers: that is said by us, in a sentence."""
    ray._private.worker._worker_logs_enabled = False


def check_shared_memory(arena_bytes: int) -> None:
    """Raise NcoreError if an arena and what Ray needs beside it find no room in shared memory."""
    try:
        state = os.statvfs(_SHARED_MEMORY)
    except OSError as error:
        raise NcoreError(f"{_SHARED_MEMORY} cannot be used: {error.strerror}") from None
    free = state.f_bavail * state.f_frsize
    if free < arena_bytes + STORE_SLACK:
        raise NcoreError(
            f"{_SHARED_MEMORY} has {free >> 20:,} MiB free, but the arena and Ray need"
            f" {arena_bytes + STORE_SLACK >> 20:,} MiB: enlarge it (docker run --shm-size=…), or set a smaller"
            " appliance.arena"
        )


def start_ray(arena_bytes: int) -> Any:
    """Start a Ray that ends with this program, whatever else runs here; return its context. Raises NcoreError."""
    check_shared_memory(arena_bytes)
    be_quiet()
    os.environ.update({name: value for name, value in SETTINGS.items() if name not in os.environ})
    try:
        return ray.init(
            address="local",  # not by a stale file
            namespace=NAMESPACE,
            object_store_memory=arena_bytes + STORE_SLACK,
            include_dashboard=True,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (RayError, RuntimeError, ValueError, OSError) as error:
        raise NcoreError(f"Ray cannot be started: {first_line(error)}") from None
