"""What speaks for one core with the management, by core-to-core messages: when it is asked, or once in a period.

A thread of the core's own process: the loop of packets, which never holds Python's lock, does not notice. Where it
fails time and again, it rests longer and longer, and says so more and more seldom.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, Final

from ncore_ray.actors.answers import Answers
from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes
from ncore_ray.arena.lease import Telling
from ncore_ray.machine.record import view
from ncore_ray.management.trouble import Trouble
from ncore_ray.messages.arena import ArenaPort, management
from ncore_ray.messages.parcel import Parcels, send_parcel
from ncore_ray.messages.port import Port, monotonic_us
from ncore_ray.office.place import lease_of

_WAIT_US: Final = 500_000
UNASKED: Final = 0
"""The number of what nobody has asked for."""
log: Final = logging.getLogger("ncore_ray")


class Teller:
    """Of one core."""

    def __init__(
        self, array: Bytes, core: int, port: Port | None = None, rest: Callable[[float], object] | None = None
    ) -> None:
        """Speak for a core by a port; ``rest`` waits for some seconds after a failure (until it is to end)."""
        engines = view(Arena, array).engine_count
        self._array, self._core, self._boss = array, core, management(engines)
        self._port = port or ArenaPort(array, engines, core)
        self._answers, self._parcels = Answers(array, core), Parcels()
        self._stopping = threading.Event()
        self._rest = rest or self._stopping.wait
        self._failing, self._unheard = Trouble(), Trouble()
        self._thread = threading.Thread(target=self._work, name=f"teller-{core}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def _work(self) -> None:
        due_at = monotonic_us()
        while not self._stopping.is_set():
            try:
                due_at = self._turn(due_at)
                self._failing.over()
            except Exception as error:
                self._rest(self._failed(error))

    def _turn(self, due_at: int) -> int:
        """Tell, if it is time for that, and answer for a while; return when it will be time again (µs)."""
        lease = lease_of(self._array)
        if lease.telling == Telling.UNASKED:
            due_at = max(due_at + lease.telling_us, monotonic_us())
            self.tell()
            self.take(due_at)
        else:
            self.take(monotonic_us() + _WAIT_US)
        return due_at

    def _failed(self, error: Exception) -> float:
        """Say what went wrong, if it is news; return how long to rest."""
        pause_s, trouble = self._failing.again(), self._failing
        if trouble.times == 1:
            log.error("core %d does not tell", self._core, exc_info=error)
        elif trouble.is_news:
            log.error("core %d does not tell, %d times in a row: %s", self._core, trouble.times, error)
        return pause_s

    def take(self, deadline_us: int) -> None:
        """Answer what is asked until an instant."""
        while not self._stopping.is_set() and (message := self._port.receive(deadline_us)) is not None:
            found = self._parcels.put(message.sender, message.value)
            if found is not None:
                self._send(found[0], self._answers.answer(found[1]))

    def tell(self) -> None:
        """Send the counters of now unasked."""
        self._send(UNASKED, self._answers.answer({"ask": "counters"}))

    def _send(self, number: int, value: Any) -> None:
        if send_parcel(self._port, self._boss, number, value):
            self._unheard.over()
            return
        self._unheard.again()
        if self._unheard.is_news:
            log.warning("core %d was not heard: nobody takes its messages (%d)", self._core, self._unheard.times)

    def stop(self) -> None:
        """Let the thread end, within half a second."""
        self._stopping.set()

    def end(self) -> None:
        """Let the thread end, and wait for it."""
        self.stop()
        self.join()

    def join(self) -> None:
        """Wait for the end of the thread."""
        self._thread.join()


def begin_to_tell(array: Bytes, core: int) -> Teller | None:
    """Return what speaks for a core from now on; None where nobody asks."""
    if lease_of(array).telling == Telling.NOT:
        return None
    teller = Teller(array, core)
    teller.start()
    return teller
