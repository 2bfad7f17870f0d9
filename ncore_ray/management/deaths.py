"""Processes whose end is noticed at once: by handles of the kernel, which become readable then (pidfd_open(2))."""

from __future__ import annotations

import os
import select
from contextlib import suppress


class Deaths:
    """A set of processes that are waited for together. One thread waits; any may add."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._processes: dict[int, int] = {}

    def add(self, process: int) -> bool:
        """Wait for a process, too; return False if it is gone already."""
        if process <= 0:
            return False
        try:
            handle = os.pidfd_open(process)
        except ProcessLookupError:
            return False
        self._processes[handle] = process
        self._poll.register(handle, select.POLLIN)
        return True

    def wait(self, timeout_s: float) -> list[int]:
        """Return the processes that ended, as soon as one did, or none after the time; nobody waits for them again."""
        found = []
        for handle, _ in self._poll.poll(timeout_s * 1000):
            self._poll.unregister(handle)
            found.append(self._processes.pop(handle))
            os.close(handle)
        return found

    def close(self) -> None:
        """Wait for nobody any more."""
        for handle in list(self._processes):
            with suppress(KeyError):
                self._poll.unregister(handle)
            os.close(handle)
        self._processes.clear()
