"""The access log of an appliance: drained from the engines' rings some twenty times a second, in a thread."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

import numpy as np

from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes
from ncore_ray.config.model import AccessLog, LogFormat
from ncore_ray.engine.access.ring import NoteRing, drain_notes
from ncore_ray.engine.partition import Engine
from ncore_ray.machine.record import view
from ncore_ray.management.access.entry import Join
from ncore_ray.management.access.file import LogFile
from ncore_ray.management.access.lines import Line, Names, as_json, combined, wall_clock
from ncore_ray.management.directory import RowNames

_PERIOD_S: Final = 0.05
_FOLLOW_S: Final = 1.0
log: Final = logging.getLogger("ncore_ray")


class AccessLogWriter:
    """Writes the access log of a built appliance."""

    def __init__(self, access: AccessLog, array: Bytes, tell: Callable[[str, str], None]) -> None:
        """``tell`` takes a level and a sentence: what operators should know."""
        self._array = array
        self._file = LogFile(access.file, tell)
        self._names = RowNames(array)
        self._line = _writer(access, self._names)
        arena = view(Arena, array)
        self._rings = [
            view(Engine, array, arena.engines + k * arena.engine_stride).access_ring for k in range(arena.engine_count)
        ]
        self._joins = [Join(engine) for engine in range(arena.engine_count)]
        self._drained = np.zeros(max(view(NoteRing, array, ring).capacity for ring in self._rings), np.uint8)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="access-log", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def _work(self) -> None:
        follow_at = time.monotonic() + _FOLLOW_S
        try:
            while not self._stopping.wait(_PERIOD_S):
                self.write_all()
                if time.monotonic() >= follow_at:
                    self._file.follow()
                    follow_at = time.monotonic() + _FOLLOW_S
        except Exception:  # packets flow without a log
            log.exception("the access log is written no more")

    def write_all(self) -> None:
        """Write what all engines have noted."""
        self._names.refresh()
        for ring, join in zip(self._rings, self._joins, strict=True):
            while length := drain_notes(self._array.ctypes.data + ring, self._drained.ctypes.data):
                if lines := [self._line(entry) for entry in join.take(self._drained[:length].tobytes())]:
                    self._file.write(lines)

    def stop(self) -> None:
        """End the thread and write the rest; the engines have ended."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        self.write_all()
        self._file.close()


def _writer(access: AccessLog, rows: RowNames) -> Line:
    names = Names(rows.vserver, rows.service, wall_clock())
    return as_json(names) if access.format is LogFormat.JSON else combined(names)
