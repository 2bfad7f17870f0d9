"""Faults, one at a time: an actor chosen by chance is killed or stopped, and its repair is waited for."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from ncore_ray.chaos.record import Fault

Ask = Callable[..., Any]
"""Asks the management: a method and its arguments. Raises NcoreError."""
_REPAIRED_S: Final = 60.0
_LOOK_S: Final = 0.005
_LEAST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 1.0
_FLOWS: Final = 100_000
MANAGEMENT: Final = "management"
"""Name and kind of whichever management is at work."""
BESIDE: Final = (MANAGEMENT, "ArenaOwner")
"""Kinds of actors that no packet passes through."""


class What(StrEnum):
    """What is done to an actor."""

    KILL = "kill"
    """SIGKILL."""
    STOP = "stop"
    """SIGSTOP, until the management takes it for hung and replaces it."""
    PAUSE = "pause"
    """SIGSTOP for a moment, then SIGCONT: it was only slow."""


@dataclass(frozen=True)
class Target:
    """An actor that something can be done to."""

    name: str
    kind: str
    process: int
    restarts: int


def targets(status: dict[str, Any], only: Sequence[str]) -> list[Target]:
    """Return the actors with a process of their own whose names begin with one of some words (none: all).

    The management is one of them if another one waits: else its end is that of the appliance.
    """
    found = [
        Target(row["name"], row["kind"], row["process"], row["restarts"])
        for row in status["actors"]
        if row["state"] == "running" and not row.get("host")
    ]
    if status.get("backup_process"):
        found.append(Target(MANAGEMENT, MANAGEMENT, status["process"], 0))
    return [one for one in found if not only or any(one.name.startswith(word) for word in only)]


class Chaos:
    """Does things to the actors of an appliance, in an order that the seed decides."""

    def __init__(self, ask: Ask, seed: int, whats: Sequence[What], only: Sequence[str]) -> None:
        self._ask = ask
        self._random = random.Random(seed)
        self._whats, self._only = list(whats), list(only)
        self._has_backup = False
        """Whether a second management was seen: then there is to be one before the next strike."""

    def is_well(self) -> bool:
        """Return whether all actors are there, and somebody can take the place of the next that dies."""
        status = self._ask("status")
        waits = bool(status.get("backup_process"))
        self._has_backup |= waits
        return bool(status["standbys_ready"]) and status["state"] == "running" and waits >= self._has_backup

    def strike(self) -> Fault | None:
        """Do something to one of the actors, and wait until all is well with it; None if there is none to choose."""
        candidates = targets(self._ask("status"), self._only)
        if not candidates:
            return None
        target, what = self._random.choice(candidates), self._random.choice(self._whats)
        pause_s = self._random.uniform(_LEAST_PAUSE_S, _LONGEST_PAUSE_S)
        flows = self._flows_of(target)
        at = time.monotonic()
        os.kill(target.process, signal.SIGKILL if what is What.KILL else signal.SIGSTOP)
        if what is What.PAUSE:
            time.sleep(pause_s)
            os.kill(target.process, signal.SIGCONT)
            return Fault(at, target.name, what.value, target.process, pause_s, f"stopped for {pause_s:.2f} s", flows)
        repaired_s = self._await_repair(target, at)
        return Fault(at, target.name, what.value, target.process, repaired_s, self._said(target), flows)

    def _flows_of(self, target: Target) -> tuple[str, ...]:
        """Return the clients' ends of the flows that pass through an actor: of an engine its own, of a reader all."""
        if target.kind in BESIDE:
            return ()
        rows = self._ask("flows", _FLOWS)
        engine = int(target.name.rpartition("-")[2]) if target.kind == "PacketEngine" else None
        return tuple(row["remote"] for row in rows if row["role"] == "client" and engine in (None, row["engine"]))

    def _await_repair(self, target: Target, at: float) -> float | None:
        while time.monotonic() - at < _REPAIRED_S:
            if _is_replaced(target, self._ask("status")):
                return time.monotonic() - at
            time.sleep(_LOOK_S)
        return None

    def _said(self, target: Target) -> str:
        texts = [event["text"] for event in self._ask("events")]
        begin = f"the management (process {target.process})" if target.kind == MANAGEMENT else f"{target.name} goes on"
        return next((text for text in reversed(texts) if text.startswith(begin)), "")


def _is_replaced(target: Target, status: dict[str, Any]) -> bool:
    if target.kind == MANAGEMENT:
        return bool(status["process"] != target.process)
    row = next((row for row in status["actors"] if row["name"] == target.name), None)
    return row is not None and row["restarts"] > target.restarts and row["state"] == "running"
