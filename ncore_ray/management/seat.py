"""The lease as one process sees it: taken by compare-and-swap, renewed ten times a second, looked at by who waits."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Final

from ncore_ray.arena.layout import Bytes
from ncore_ray.arena.lease import Tenure, claim
from ncore_ray.errors import NcoreError
from ncore_ray.machine.system import monotonic_us
from ncore_ray.management.processes import Held, ThreadState, thread_state, wait_gone
from ncore_ray.office.place import lease_of, start_of

SEATS: Final = ("management", "management-2")
"""The last part of the names of both actors that may manage an appliance. The first one builds."""
HUNG_S: Final = 2.0
"""A management that has not renewed the lease for so long hangs."""
STARVED_S: Final = 10.0
"""... if it could run, but got no processor time."""
TAKING_S: Final = 30.0
"""... if it is taking over."""
_HUNG_CPU_S: Final = 0.5
_GONE_S: Final = 2.0
Look = Callable[[int, int], ThreadState]


class NotActiveError(NcoreError):
    """Asked of a management that is not, or no more, the one at work."""


class Seat:
    """One process's claim to the management of an arena."""

    def __init__(self, array: Bytes) -> None:
        self._lease = lease_of(array)
        self._word_at = int(array.ctypes.data) + start_of(array)
        self._own = 0

    def take(self, expected: int) -> bool:
        """Take the lease that was ``expected``; return whether that went well: of several, one succeeds."""
        if not claim(self._word_at, expected):
            return False
        lease = self._lease
        lease.tenure, lease.renewed_at = Tenure.TAKING_OVER, monotonic_us()
        lease.process, lease.thread = os.getpid(), threading.get_native_id()
        if lease.waiting == os.getpid():
            lease.waiting = 0
        self._own = expected + 1
        return True

    def serve(self) -> None:
        """Say that all is taken over: whoever waits looks closer from now on, however long it took."""
        self._lease.renewed_at = monotonic_us()
        self._lease.tenure = Tenure.SERVING

    def renew(self) -> None:
        """Say that this process is alive: called by the thread that watches everything else. Raises NotActiveError."""
        self.check()
        self._lease.thread = threading.get_native_id()
        self._lease.renewed_at = monotonic_us()

    def close(self) -> None:
        """Say that nobody is to take over: the appliance is taken down."""
        self._lease.tenure = Tenure.CLOSED

    def check(self) -> None:
        """See that this process is the one at work. Raises NotActiveError."""
        if self._own == 0 or self._lease.word != self._own:
            raise NotActiveError("another management is at work")

    def wait(self) -> None:
        """Say that this process waits."""
        self._lease.waiting = os.getpid()

    @property
    def word(self) -> int:
        """The number of the lease."""
        return self._lease.word

    @property
    def holder(self) -> int:
        """The process that manages the appliance."""
        return self._lease.process

    @property
    def waiting(self) -> int:
        """The process that waits to take over, or 0."""
        return self._lease.waiting

    @property
    def tenure(self) -> int:
        """How far the holder is (`Tenure`)."""
        return self._lease.tenure

    @property
    def renewed_at(self) -> int:
        """When the holder was last at it, µs."""
        return self._lease.renewed_at

    @property
    def thread(self) -> int:
        """The holder's thread that renews."""
        return self._lease.thread


class LeaseWatch:
    """Says when a management that waits has to take over. Time counts only while it is let run itself."""

    def __init__(self, seat: Seat, state_of: Look = thread_state) -> None:
        self._seat = seat
        self._state_of = state_of
        self._seen_at = -1
        self._still_s = 0.0
        self._cpu_s = 0.0

    def look(self, span_s: float) -> str | None:
        """Look ``span_s`` after the last time; return why the holder can do its work no more, or None."""
        seat = self._seat
        if seat.tenure == Tenure.CLOSED:
            return None
        state = self._state_of(seat.holder, seat.thread)
        if state.letter in ("", "Z", "X"):
            return "died"
        if seat.renewed_at != self._seen_at:
            self._seen_at, self._still_s, self._cpu_s = seat.renewed_at, 0.0, state.cpu_s
            return None
        self._still_s += span_s
        if self._still_s < self._patience_s(state):
            return None
        return f"has not renewed its lease for {self._still_s:.1f} s (state {state.letter})"

    def _patience_s(self, state: ThreadState) -> float:
        if self._seat.tenure == Tenure.TAKING_OVER:
            return TAKING_S
        starved = state.letter == "R" and state.cpu_s - self._cpu_s < _HUNG_CPU_S
        return STARVED_S if starved else HUNG_S


def put_an_end_to(former: Held) -> None:
    """See that a former holder does nothing any more: two never work on one arena.

    Raises:
        NcoreError: the kernel does not let it go.
    """
    former.kill()
    if left := wait_gone(former.handles, _GONE_S):
        raise NcoreError(f"the former management, process {left[0]}, cannot be ended")
