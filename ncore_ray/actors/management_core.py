"""The actor that manages an appliance, or waits to: there may be two, and the lease says which one is at work.

Whoever waits has everything loaded and the arena mapped. It learns of the other's death from the kernel, at once, and
of a hang from the lease, which is not renewed any more; then it takes the lease, ends what is left of the other, and
goes on. The one that died is started anew by Ray, and waits from then on.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import suppress
from typing import Any, Final

import ray
from ray.exceptions import RayError

from ncore_ray.actors.finding import find_arena
from ncore_ray.actors.management import Management
from ncore_ray.actors.mapping import Mapping
from ncore_ray.arena.lease import Tenure
from ncore_ray.blueprint.records import digest
from ncore_ray.errors import NcoreError
from ncore_ray.management.deaths import Deaths
from ncore_ray.management.history import History
from ncore_ray.management.office import Office
from ncore_ray.management.processes import Held
from ncore_ray.management.removal import remove
from ncore_ray.management.samples import Sampler, sample
from ncore_ray.management.seat import SEATS, LeaseWatch, Seat, put_an_end_to
from ncore_ray.management.team import NAMESPACE
from ncore_ray.management.warm import warm_management

WAITS: Final = "this management waits"
_LOOK_S: Final = 0.1
_ANSWER_S: Final = 10.0
_LONG_S: Final = 3600.0
_METHODS: Final = frozenset(name for name in vars(Management) if not name.startswith("_") and name != "take_over")

log: Final = logging.getLogger("ncore_ray")


class ManagementCore:
    """One of the two seats."""

    def __init__(self, name: str, seat_name: str, *, detached: bool, tether: int = 0) -> None:
        """Be a management. The second seat, and one that Ray starts anew, waits; the first one is told to build.

        ``tether`` is the process of a program in the foreground: the appliance ends with it.
        """
        self.name, self._seat_name, self._tether = name, seat_name, tether
        self._failure = ""
        self._active: Management | None = None
        self._history = History()
        if detached and (seat_name != SEATS[0] or ray.get_runtime_context().was_current_actor_reconstructed):
            threading.Thread(target=self._wait, name="seat", daemon=True).start()
        else:
            self._active = Management(name, seat_name, detached=detached, foreground=bool(tether) or not detached)
        if tether:
            threading.Thread(target=self._end_with, args=(tether,), name="tether", daemon=True).start()

    def __repr__(self) -> str:
        return f"{self.name}/{self._seat_name}"

    def ask(self, method: str, *arguments: Any) -> Any:
        """Call a method of the management at work.

        Returns:
            What it returns; or `WAITS`: the other one is at work, and nothing was done. (An error that nobody fetches
            ends up in Ray's log.)

        Raises:
            NcoreError: what the method raises.
        """
        if method not in _METHODS:
            raise NcoreError(f"the management has no {method}")
        if self._active is None:
            return self._answer_of_none(method)
        return getattr(self._active, method)(*arguments)

    def _answer_of_none(self, method: str) -> Any:
        """Return what a seat says that is not at work; one that never can be is able to end."""
        if not self._failure:
            return WAITS
        known = {
            "process": os.getpid(),
            "stop": [],
            "overview": {"appliance": self.name, "state": "failed", "since": 0},
        }
        if method not in known:
            raise NcoreError(f"appliance {self.name} is failed: {self._failure}")
        return known[method]

    def _end_with(self, process: int) -> None:
        """Wait for the end of a process, then end the appliance: so does whichever management is at work by then."""
        deaths = Deaths()
        while deaths.add(process) and not deaths.wait(_LONG_S):
            deaths.close()
        while self._active is None and not self._failure:
            time.sleep(_LOOK_S)
        if self._active is not None:
            with suppress(Exception):  # whatever it is, nothing is to be left
                self._active.stop(f"the end of process {process}")
        remove(self.name)

    def _wait(self) -> None:
        """Wait for the end of the management at work, then be it."""
        try:
            mapping = self._map()
            warm_management(mapping.array)
            self._remember(mapping)
            seat = Seat(mapping.array)
            former, word, why = self._await_end(seat)
            while not seat.take(word):
                former, word, why = self._await_end(seat)
            self._go_on(mapping, seat, former, why)
        except Exception as error:
            self._failure = f"the management cannot begin anew: {error}"
            log.exception("the management of %s cannot begin anew", self.name)

    def _remember(self, mapping: Mapping) -> None:
        """Begin to keep the history, behind what the management at work has of it."""
        other = next(seat for seat in SEATS if seat != self._seat_name)
        with suppress(ValueError, RayError):  # it may be dead
            asked = ray.get_actor(f"{self.name}/{other}", namespace=NAMESPACE).ask.remote("leave_history")
            left = ray.get(asked, timeout=_ANSWER_S)
            self._history.take([] if left == WAITS else left)
        Sampler(self._history, lambda: sample(mapping.array)).start()

    def _map(self) -> Mapping:
        """Map the arena. Raises NcoreError."""
        reference, node = find_arena(self.name)
        mapping = Mapping(reference, node)
        mapping.check(None, digest())
        if Seat(mapping.array).tenure == Tenure.NONE:
            raise NcoreError(f"appliance {self.name} was never built to its end")
        return mapping

    def _await_end(self, seat: Seat) -> tuple[Held, int, str]:
        """Return the former holder, its lease, and why it is to be replaced."""
        word, holder = seat.word, seat.holder
        held, deaths, watch = Held([holder]), Deaths(), LeaseWatch(seat)
        deaths.add(holder)
        last = time.monotonic()
        try:
            while seat.word == word:
                seat.wait()
                deaths.wait(_LOOK_S)
                now = time.monotonic()
                if why := watch.look(min(now - last, 2 * _LOOK_S)):
                    return held, word, why
                last = now
        finally:
            deaths.close()
        return held, -1, ""  # somebody else was quicker

    def _go_on(self, mapping: Mapping, seat: Seat, former: Held, why: str) -> None:
        put_an_end_to(former)
        management = Management(
            self.name, self._seat_name, detached=True, foreground=bool(self._tether), history=self._history
        )
        process = next(iter(former.handles), 0)
        management.take_over(mapping, Office(mapping.array, seat, process), why)
        self._active = management
