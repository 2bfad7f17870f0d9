"""Waiting for processes to be gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

_LOOK_S: Final = 0.02


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Return True as soon as a condition holds, or False after the time."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= end:
            return False
        time.sleep(_LOOK_S)
    return True


def is_running(process: int) -> bool:
    """Return whether a process of this node exists and is no zombie."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in ("Z", "X")


def wait_gone(processes: Iterable[int], timeout_s: float) -> list[int]:
    """Wait until processes are gone; return those that are still there after the time."""
    waiting = [process for process in processes if process > 0]
    wait_until(lambda: not any(map(is_running, waiting)), timeout_s)
    return [process for process in waiting if is_running(process)]


def _parent(process: str) -> int:
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def descendants(process: int) -> list[int]:
    """Return the children of a process, their children, and so on."""
    parents = {int(path.name): _parent(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()}
    found = [process]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


def command_line(process: int) -> list[str]:
    """Return the arguments that a process was started with; none if it is gone."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []
