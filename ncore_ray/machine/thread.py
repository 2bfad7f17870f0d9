"""What a thread of the data plane asks of the operating system."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection
from typing import Final

log: Final = logging.getLogger("ncore_ray")


def settle(cpus: Collection[int] | None) -> None:
    """Let the calling thread run on ``cpus`` (None: anywhere) at full priority: Ray's workers start at nice 15.

    Both hold for one thread in Linux: every loop calls this at its start. Raises OSError: no such CPU for this process.
    """
    _raise_priority()
    if cpus is not None:
        os.sched_setaffinity(0, cpus)


def _raise_priority() -> None:
    if os.getpriority(os.PRIO_PROCESS, 0) <= 0:
        return
    try:
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    except PermissionError:
        log.warning("a thread of the data plane keeps nice %d", os.getpriority(os.PRIO_PROCESS, 0))
