"""Files of JSON lines, turned over by their size: the log of events and the audit log."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, Final

from ncore_ray.config.management import BESIDE_THE_STORE, Logs

Tell = Callable[[str, str], None]
log: Final = logging.getLogger("ncore_ray")


class JsonLines:
    """One file. Trouble is told once and costs lines, never more; any thread may write."""

    def __init__(self, path: Path, size: int, keep: int, tell: Tell) -> None:
        self._path, self._tell = path, tell
        self._handler = _Handler(path, maxBytes=size, backupCount=keep, delay=True, encoding="utf-8")
        self._lock = threading.Lock()
        self._is_in_trouble = False

    def write(self, row: dict[str, Any]) -> None:
        """Append a line."""
        with self._lock:
            trouble = self._written(row)
            told, self._is_in_trouble = self._is_in_trouble, trouble is not None
        if trouble is not None and not told:
            self._tell("error", f"the log {self._path} cannot be written: {trouble}")

    def _written(self, row: dict[str, Any]) -> str | None:
        line = json.dumps(row, ensure_ascii=False)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._handler.emit(logging.makeLogRecord({"msg": line}))
        except OSError as error:
            return error.strerror or str(error)
        return None

    def close(self) -> None:
        """Close the file."""
        self._handler.close()


class _Handler(RotatingFileHandler):
    """Of the standard library, but trouble is the caller's."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (the library's name)
        """Raise what happened."""
        raise


def open_log(wanted: Path | None, store: Path | None, name: str, logs: Logs, tell: Tell) -> JsonLines | None:
    """Return the log that the configuration asks for: None when there is none, or no place for it beside a store."""
    if wanted is None or (wanted == BESIDE_THE_STORE and store is None):
        return None
    path = store.with_suffix(f".{name}.jsonl") if wanted == BESIDE_THE_STORE and store else wanted
    return JsonLines(path, logs.size, logs.keep, tell)
