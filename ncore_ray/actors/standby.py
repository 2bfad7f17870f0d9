"""The standby: a process with the arena mapped and all kernels loaded, that takes the place of an actor that dies."""

from __future__ import annotations

import os
import time
from typing import Any

from ncore_ray.actors.flow_distributor import FlowDistributor
from ncore_ray.actors.nic_reader import NicReader
from ncore_ray.actors.packet_engine import PacketEngine
from ncore_ray.actors.worker import Worker
from ncore_ray.arena.layout import PAGE
from ncore_ray.engine.warm import warm_engine
from ncore_ray.errors import NcoreError
from ncore_ray.nic.fanout import Fanout
from ncore_ray.nic.runner import warm_up
from ncore_ray.nic.settings import NicSettings

ROLES: dict[str, type[Worker]] = {
    "PacketEngine": PacketEngine,
    "FlowDistributor": FlowDistributor,
    "NicReader": NicReader,
}
"""Kinds of actors that a standby can become."""


class Standby(Worker):
    """Waits until it is told whose place it takes; from then on it is that actor."""

    def __init__(self, name: str) -> None:
        super().__init__(name, None)
        self.worker: Worker | None = None
        self._ready = False

    def __repr__(self) -> str:
        return self.name if self.worker is None else self.worker.name

    def prepare(self) -> None:
        """Load all kernels, and touch every page of the arena, so that none has to be found later."""
        warm_engine()
        warm_up()
        int(self.array[::PAGE].sum())
        self._ready = True

    def become(self, kind: str, arguments: tuple[Any, ...], fanout: Fanout | None) -> tuple[int, str, float]:
        """Take the place of an actor whose process has ended.

        Args:
            kind: of `ROLES`.
            arguments: what the actor was made with.
            fanout: what its receive queues join, if it has some.

        Returns:
            This process's id, what was found, and the seconds from the call to the first breath.

        Raises:
            NcoreError: this standby is an actor already, or what it needs cannot be had.
        """
        if self.worker is not None:
            raise NcoreError(f"{self.name} has become {self.worker.name} already")
        began_at = time.monotonic()
        worker = ROLES[kind](*arguments)
        worker.mapping = self.mapping
        self.worker = worker
        found = worker.succeed(fanout)
        return os.getpid(), found, time.monotonic() - began_at

    def succeed(self, fanout: Fanout | None) -> str:
        """A standby has no predecessor: nothing is to be done."""
        return ""

    def role(self) -> tuple[str | None, int]:
        """Return the name of the actor that this standby has become, if it has; and its process if it could become one.

        0: it is not ready yet.
        """
        return None if self.worker is None else self.worker.name, os.getpid() if self._ready else 0

    def _engine(self) -> PacketEngine:
        if not isinstance(self.worker, PacketEngine):
            raise NcoreError(f"{self.name} is no packet engine")
        return self.worker

    def steer(self, fanout: Fanout) -> None:
        """As the engine that it has become. Raises NcoreError."""
        self._engine().steer(fanout)

    def welcome(self) -> None:
        """All kernels are loaded already."""

    def adopt(self, name: str, index: int, cpu: int | None, nics: list[NicSettings | None]) -> tuple[str, float]:
        """As the engine that it has become. Raises NcoreError."""
        return self._engine().adopt(name, index, cpu, nics)

    def open_nic(self, place: int, nic: NicSettings | None) -> None:
        """As the engine that it has become. Raises NcoreError."""
        self._engine().open_nic(place, nic)

    def dismiss(self, index: int) -> bool:
        """As the engine that it has become. Raises NcoreError."""
        return self._engine().dismiss(index)

    def guests(self) -> list[str]:
        """Return the names of the engines that it has adopted."""
        return self.worker.guests() if isinstance(self.worker, PacketEngine) else []

    def start(self) -> None:
        """A standby has no loop; what it becomes is started by `become`."""

    def alive(self) -> bool:
        """Return True while the loops of what it has become run."""
        return self.worker is None or self.worker.alive()

    def failure(self) -> str | None:
        """Return what ended a loop of what it has become."""
        return None if self.worker is None else self.worker.failure()

    def stop(self) -> bool:
        """End what it has become; return True when that has ended."""
        self.stopping.set()
        return self.worker is None or self.worker.stop()
