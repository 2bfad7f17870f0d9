"""The arena without its owner: another process keeps it, and can be asked for it, under a name like the owner's.

Nothing waits for that: processes that are made meanwhile are told of the arena by the management (docs/operations.md).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import ray
from ray.exceptions import RayError

from ncore_ray.actors.arena_owner import ArenaKeeper
from ncore_ray.management.processes import make_sure_it_is_gone
from ncore_ray.management.pulse import Tell
from ncore_ray.management.team import Member, Team, reason_of

KIND: Final = "ArenaOwner"
_READY_S: Final = 60.0
_PAUSE_S: Final = 5.0
log: Final = logging.getLogger("ncore_ray")


@dataclass(frozen=True)
class Place:
    """How a process of the node comes to see the arena."""

    reference: list[Any]
    node: str
    epoch: int


class Keeping:
    """Sees that an arena has somebody who is there for it."""

    def __init__(self, team: Team, place: Place, tell: Tell, on_kept: Callable[[int], None]) -> None:
        """``on_kept`` is told the process that keeps the arena from now on."""
        self._team, self._place, self._tell, self._on_kept = team, place, tell, on_kept
        self._stopping = threading.Event()
        self._made = 1

    def begin(self, member: Member, pause_s: float) -> None:
        """Replace an owner that has died, or does not answer, after a pause; returns at once."""
        threading.Thread(target=self._replace, args=(member, pause_s), name="keeper", daemon=True).start()

    def stop(self) -> None:
        """Make no more."""
        self._stopping.set()

    def _replace(self, member: Member, pause_s: float) -> None:
        began_at = time.monotonic()
        try:
            if member.process:
                make_sure_it_is_gone(member.process)
            while not self._stopping.wait(pause_s):
                name, handle = self._create()
                if handle is not None and (process := self._keep(handle)):
                    member.actor = f"{self._team.name}/{name}"
                    self._done(member, handle, process, time.monotonic() - began_at)
                    return
                pause_s = _PAUSE_S
        except Exception as error:  # whatever it is, an operator has to know
            log.exception("the arena's owner was not replaced")
            self._tell("error", f"{member.name} cannot be replaced: {error}")

    def _create(self) -> tuple[str, Any]:
        """Create a successor under the next name that is free: Ray keeps that of a dead actor for a while, or for ever.

        Returns:
            Its name, and its handle; None: it is needed no more.
        """
        while not self._stopping.is_set():
            self._made += 1
            name = f"arena-{self._made}"
            with suppress(ValueError):
                return name, self._team.create_actor(name, ArenaKeeper, f"{self._team.name}/{name}")
        return "", None

    def _keep(self, handle: Any) -> int:
        """Let a successor map the arena; return its process, or 0 if it could not."""
        place = self._place
        try:
            process: int = ray.get(handle.keep.remote(place.reference, place.node, place.epoch), timeout=_READY_S)
        except RayError as error:
            ray.kill(handle, no_restart=True)
            if not self._stopping.is_set():
                self._tell("warning", f"nobody can keep the arena: {reason_of(error)}")
            return 0
        return process

    def _done(self, member: Member, handle: Any, process: int, seconds: float) -> None:
        if self._stopping.is_set():
            ray.kill(handle, no_restart=True)
            return
        member.restarts += 1
        self._team.replaced(member, handle, process)
        text = f"{member.name} goes on in process {process}, after {seconds * 1000:.0f} ms: it keeps the same memory"
        self._tell("info", text)
        self._on_kept(process)
