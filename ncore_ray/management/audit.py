"""The audit log: who changed, or tried to change, what, when, and what came of it."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ncore_ray.errors import NcoreError
from ncore_ray.management.jsonlines import JsonLines


@dataclass
class Entry:
    """One attempt."""

    action: str
    author: str
    comment: str = ""
    asked: Sequence[str] = ()
    """The commands as they were given."""
    done: dict[str, Any] = field(default_factory=dict)
    """What came of it: the version, and the commands that led to it."""

    def plain(self, at: float, took_ms: float, result: str) -> dict[str, Any]:
        """Return the line."""
        return {
            "at": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03d}Z",
            "who": self.author,
            "action": self.action,
            "asked": list(self.asked),
            "comment": self.comment,
            "result": result,
            "version": self.done.get("version"),
            "commands": self.done.get("commands", []),
            "took_ms": round(took_ms, 1),
        }


def entry_of(action: str, method: Callable[..., Any], arguments: Sequence[Any]) -> Entry | None:
    """Return the entry for a call of the configuration service; None if it changes nothing."""
    if action not in ("change", "apply", "rollback"):
        return None
    given = inspect.signature(method).bind(*arguments).arguments
    if action == "change":
        asked = list(given["commands"])
    else:
        asked = [f"{action} {given['source' if action == 'apply' else 'number']}"]
    return Entry(action, given["author"], given.get("comment", ""), asked)


class Audit:
    """Writes a line for each attempt, whatever came of it."""

    def __init__(self, file: JsonLines | None, clock: Callable[[], float] = time.time) -> None:
        self._file, self._clock = file, clock

    @contextmanager
    def attempt(self, entry: Entry) -> Iterator[Entry]:
        """Do something inside, and fill in what was done."""
        began_at = self._clock()
        result = "failed"
        try:
            yield entry
            result = "done"
        except NcoreError as error:
            result = f"refused: {error}"
            raise
        finally:
            now = self._clock()
            self._write(entry.plain(began_at, (now - began_at) * 1000, result))

    def note(self, action: str, author: str, result: str = "done") -> None:
        """Write a line for what is no change of the configuration."""
        self._write(Entry(action, author).plain(self._clock(), 0.0, result))

    def _write(self, line: dict[str, Any]) -> None:
        if self._file is not None:
            self._file.write(line)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
