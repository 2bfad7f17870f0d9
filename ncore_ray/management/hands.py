"""What the management does to the processes of actors: it calls methods, and ends them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Final

import ray
from ray.exceptions import RayError

from ncore_ray.management.processes import wait_gone
from ncore_ray.management.team import Member, reason_of

ANSWER_S: Final = 10.0
FAILED: Final = object()
"""In place of an answer."""

log: Final = logging.getLogger("ncore_ray")


@dataclass(frozen=True)
class Hands:
    """Does it by Ray."""

    def ask(self, member: Member, method: str, *arguments: Any, within_s: float = ANSWER_S) -> Any:
        """Return what an actor's method answers; FAILED if it does not (whoever watches the actor says why)."""
        try:
            return ray.get(getattr(member.handle, method).remote(*arguments), timeout=within_s)
        except (RayError, AttributeError) as error:
            log.warning("%s does not %s: %s", member.name, method, reason_of(error))
            return FAILED

    def end(self, handle: Any, process: int) -> None:
        """End an actor's process: its loops between two breaths if that can be, the process in any case."""
        try:
            ray.get(handle.stop.remote(), timeout=ANSWER_S)
        except RayError as error:
            log.warning("process %d did not end by itself: %s", process, reason_of(error))
        ray.kill(handle, no_restart=True)
        wait_gone([process], ANSWER_S)
