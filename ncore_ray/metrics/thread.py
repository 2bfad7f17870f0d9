"""The thread of the management actor that exports the metrics once a second."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

PERIOD_S: Final = 1.0
log: Final = logging.getLogger("ncore_ray")


class ExportThread:
    """Exports every second, in step with the clock, until it is stopped."""

    def __init__(self, prepare: Callable[[], Callable[[], None]]) -> None:
        """``prepare`` is called in the thread and returns what exports: its imports and plans delay nobody's start."""
        self._prepare = prepare
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="metrics", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def _work(self) -> None:
        try:
            export = self._prepare()
            due_at = time.monotonic()
            while not self._stopping.wait(max(due_at - time.monotonic(), 0.0)):
                export()
                due_at = max(due_at + PERIOD_S, time.monotonic())
        except Exception:  # packets flow without metrics
            log.exception("metrics are exported no more")

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
