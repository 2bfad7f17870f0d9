"""Where the management asks the cores, and takes what they say: one port, one thread that receives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes
from ncore_ray.machine.record import view
from ncore_ray.messages.arena import ArenaPort, management
from ncore_ray.messages.parcel import Parcels, send_parcel
from ncore_ray.messages.port import Port, monotonic_us

_TAKE_US: Final = 200_000


class Desk:
    """Any thread may ask; ``on_told`` is called with what a core says unasked (number 0)."""

    def __init__(self, array: Bytes, port: Port | None = None) -> None:
        engines = view(Arena, array).engine_count
        self._port = port or ArenaPort(array, engines, management(engines))
        self._parcels = Parcels()
        self._number = monotonic_us()  # behind those of a former management
        self._waiting: dict[int, dict[int, Any]] = {}
        self._came = threading.Condition()
        self._sending = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="desk", daemon=True)
        self.on_told: Callable[[int, Any], None] = lambda core, value: None

    def start(self) -> Desk:
        """Begin to receive."""
        self._thread.start()
        return self

    def _work(self) -> None:
        while not self._stopping.is_set():
            self.take(monotonic_us() + _TAKE_US)

    def take(self, deadline_us: int) -> None:
        """Take what comes until an instant, and what has come."""
        while not self._stopping.is_set() and (message := self._port.receive(deadline_us)) is not None:
            found = self._parcels.put(message.sender, message.value)
            if found is None:
                continue
            number, value = found
            if number == 0:
                self.on_told(message.sender, value)
            with self._came:
                if number in self._waiting:
                    self._waiting[number][message.sender] = value
                    self._came.notify_all()

    def ask(self, questions: Mapping[int, Any], timeout_s: float) -> dict[int, Any]:
        """Ask each of some cores its question; return the answers that came in time."""
        with self._came:
            self._number += 1
            number, answers = self._number, dict[int, Any]()
            self._waiting[number] = answers
        with self._sending:  # one thread sends at a time
            asked = {core for core, question in questions.items() if send_parcel(self._port, core, number, question)}
        end = time.monotonic() + timeout_s
        with self._came:
            while asked - answers.keys() and (left := end - time.monotonic()) > 0:
                self._came.wait(left)
            del self._waiting[number]
            return dict(answers)

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
