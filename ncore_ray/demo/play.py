"""What happens to the appliance while the load runs: an engine is killed, more engines come, and go again.

In this order, because a process that takes a place is ready from the start, and those for more engines take seconds.
"""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from ncore_ray.demo.site import Site
from ncore_ray.errors import NcoreError

MORE: Final = 4
_FIRST: Final = 0.1
_SECOND: Final = 0.2
_LAST: Final = 0.7
"""Parts of the load after which an engine is killed, and the engines become more, and fewer again, at the earliest."""
_LOOK_S: Final = 0.05
_WAIT_S: Final = 30.0
_PAUSE_S: Final = 0.5


@dataclass
class Acts:
    """What was done, and what came of it."""

    more_s: float | None = None
    """Until new flows went to all engines."""
    killed: str = ""
    went_on: str = ""
    """What the management said when the killed engine's successor breathed."""
    fewer_s: float | None = None
    failure: str = ""
    told: list[str] = field(default_factory=list)

    @property
    def reset(self) -> int:
        """Connections that the killed engine was changing at that instant: nobody can tell how far it had come."""
        found = re.search(r"(\d+) were reset", self.went_on)
        return int(found[1]) if found else 0

    @property
    def all_done(self) -> bool:
        """Whether everything was done."""
        return self.more_s is not None and bool(self.went_on) and self.fewer_s is not None and not self.failure


class Play:
    """Does it, in a thread of its own, beside a load."""

    def __init__(self, site: Site, seconds: float) -> None:
        self.acts = Acts()
        self._site = site
        self._seconds = seconds
        self._engines = site.configuration.appliance.engines
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="play", daemon=True)

    def __enter__(self) -> Play:
        self._began_at = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Wait for the last act: on a machine with much to do it comes when the load is over."""
        if error[0] is not None:
            self._ended.set()
        self._thread.join(2 * _WAIT_S)
        self._ended.set()

    def _work(self) -> None:
        try:
            self._until(_FIRST)
            self._await(lambda: self._site.appliance.ask("status")["standbys_ready"], "a standby is ready")
            self._kill("engine-1")
            self._until(_SECOND)
            self.acts.more_s = self._scale(MORE)
            self._ended.wait(_PAUSE_S)
            self._until(_LAST)
            self.acts.fewer_s = self._scale(self._engines)
        except NcoreError as error:
            self.acts.failure = str(error)

    def _until(self, share: float) -> None:
        self._ended.wait(max(self._began_at + share * self._seconds - time.monotonic(), 0.0))

    def _scale(self, count: int) -> float:
        began_at = time.monotonic()
        self._say(f"ncore scale engines {count}")
        self._site.appliance.ask("configure", "change", [f"set appliance engines={count}"], "demo", "the demo", "/")
        self._await(lambda: self._site.appliance.ask("scaling")["taking_flows"] == count, f"{count} engines")
        took_s = time.monotonic() - began_at
        self._say(f"  new flows go to {count} engines, {took_s:.1f} s later")
        return took_s

    def _kill(self, name: str) -> None:
        rows: list[dict[str, Any]] = self._site.appliance.ask("status")["actors"]
        process = next(int(row["process"]) for row in rows if row["name"] == name)
        self._say(f"kill -9 {process}: that was {name}")
        self.acts.killed = name
        os.kill(process, signal.SIGKILL)
        self._await(lambda: self._said(name), f"{name} is replaced")
        self.acts.went_on = self._said(name)
        self._say(f"  {self.acts.went_on}")

    def _said(self, name: str) -> str:
        texts = [event["text"] for event in self._site.appliance.ask("events")]
        return next((text for text in reversed(texts) if text.startswith(f"{name} goes on in process")), "")

    def _await(self, ready: Callable[[], Any], what: str) -> None:
        end = time.monotonic() + _WAIT_S
        while not ready():
            if time.monotonic() > end or self._ended.is_set():
                raise NcoreError(f"{what}: not in time")
            time.sleep(_LOOK_S)

    def _say(self, text: str) -> None:
        self.acts.told.append(f"{time.monotonic() - self._began_at:5.1f} s  {text}")
