"""Processes of this node: waiting for them to be gone, and ending exactly those that are meant."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple, Self

_LOOK_S: Final = 0.02
_GONE_S: Final = 5.0
_PARENT: Final = 1
_USER_TIME: Final = 11
_SYSTEM_TIME: Final = 12
_STARTED_AT: Final = 19
"""Places among the words of `_status`: fields 4, 14, 15 and 22 of proc(5), where its own begins with field 3."""


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Return True as soon as a condition holds, or False after the time."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= end:
            return False
        time.sleep(_LOOK_S)
    return True


def _status(process: int | str) -> list[str]:
    """Return the words behind the name in a process's `stat` (proc(5)), from its state on; none if it is gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def is_running(process: int) -> bool:
    """Return whether a process of this node exists and is no zombie."""
    return "".join(_status(process)[:1]) not in ("", "Z", "X")


def started_at(process: int) -> int | None:
    """Return when a running process began, in the kernel's ticks since the boot; None if it is gone."""
    return int(_status(process)[_STARTED_AT]) if is_running(process) else None


class ThreadState(NamedTuple):
    """How the kernel sees a thread."""

    letter: str
    """R runs or could, S and D wait, T is stopped, t is traced, Z and "" are gone (proc(5))."""
    cpu_s: float
    """Processor time that it took so far."""


def thread_state(process: int, thread: int) -> ThreadState:
    """Return how a thread of a process is."""
    status = _status(f"{process}/task/{thread}")
    if not status:
        return ThreadState("", 0.0)
    ticks = sum(int(status[place]) for place in (_USER_TIME, _SYSTEM_TIME))
    return ThreadState(status[0], ticks / os.sysconf("SC_CLK_TCK"))


def wait_gone(processes: Iterable[int], timeout_s: float) -> list[int]:
    """Wait until processes are gone; return those that are still there after the time."""
    waiting = [process for process in processes if process > 0]
    wait_until(lambda: not any(map(is_running, waiting)), timeout_s)
    return [process for process in waiting if is_running(process)]


def make_sure_it_is_gone(process: int) -> None:
    """End what is left of a process: two never work on the same memory. Raises RuntimeError."""
    with Held([process]) as held:
        held.kill()
    if wait_gone([process], _GONE_S) and os.path.exists(f"/proc/{process}"):
        raise RuntimeError(f"process {process} cannot be ended")


def _parent(process: str) -> int:
    status = _status(process)
    return int(status[_PARENT]) if status else 0


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


def is_worker(process: int) -> bool:
    """Return whether a process runs and is one of Ray's: those call themselves so."""
    words = command_line(process) if process > 0 and is_running(process) else []
    return bool(words) and words[0].startswith("ray::")


class Held:
    """Processes held by handles of the kernel (pidfd): another one that gets the same number is never meant."""

    def __init__(self, processes: Iterable[int]) -> None:
        """Hold those that run."""
        self.handles: dict[int, int] = {}
        for process in processes:
            with suppress(ProcessLookupError):
                self.handles[process] = os.pidfd_open(process)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self.handles.values():
            os.close(handle)

    def send(self, process: int, number: int) -> None:
        """Send a signal to one of them, if it still runs."""
        with suppress(KeyError, ProcessLookupError):
            signal.pidfd_send_signal(self.handles[process], number)

    def kill(self) -> None:
        """Kill those that still run."""
        for process in self.handles:
            self.send(process, signal.SIGKILL)
