"""Tells of services that go up or down, and of own addresses that are given up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Final

_LOOK_S: Final = 0.2
_LEVELS: Final = {"up": "info", "unknown": "info"}
"""Of words that are no warning."""


class HealthWatch:
    """Compares the health of services and addresses with what it was, several times a second, in its own thread."""

    def __init__(self, read: Callable[[], Mapping[str, str]], tell: Callable[[str, str], None]) -> None:
        """Watch things; ``read`` returns what each is, ``tell`` takes a level and a sentence of both.

        Of what is ``unknown`` at first nothing is told.
        """
        self._read = read
        self._tell = tell
        self._before: Mapping[str, str] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="health-watch", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def begin(self) -> None:
        """Take the services as they are: what was before is known."""
        self._before = self._read()

    def look(self) -> None:
        """Tell what has changed since the last look."""
        now = self._read()
        for name, word in now.items():
            if word != self._before.get(name, "unknown"):
                self._tell(_LEVELS.get(word, "warning"), f"{name} is {word}")
        self._before = now

    def _work(self) -> None:
        while not self._stopping.wait(_LOOK_S):
            self.look()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
