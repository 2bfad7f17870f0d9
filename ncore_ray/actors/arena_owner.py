"""The actor that owns an arena: it puts the bytes into Ray's object store and does nothing else. And its successor.

An object of Ray's store belongs to the process that put it there, so the owner is as small as can be: no kernel, no
socket, no loop. Should it die all the same, the pages stay what they are as long as one process maps them, and whoever
is told the reference by such a process can map them, too. Only nobody is left who can be asked for it by name: that is
what the successor is for.
"""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np
import ray

from ncore_ray.actors.mapping import Mapping
from ncore_ray.arena.layout import ArenaError
from ncore_ray.blueprint.records import digest


class ArenaHolder:
    """Keeps an arena mapped on its node, and says where it is."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._reference: Any = None
        self._stopping = threading.Event()

    def __repr__(self) -> str:
        return self.name

    def hand_out(self) -> tuple[list[Any], str, int]:
        """Return the reference, in a list so that Ray does not resolve it on the way, this node's id, and the pid.

        Raises:
            ArenaError: it does not hold the arena yet.
        """
        if self._reference is None:
            raise ArenaError(f"{self.name} does not hold the arena yet")
        return [self._reference], ray.get_runtime_context().get_node_id(), os.getpid()

    def watch(self, timeout_s: float) -> str | None:
        """Return after ``timeout_s``: a caller that waits for it learns at once when this process dies."""
        self._stopping.wait(timeout_s)
        return None

    def stop(self) -> bool:
        """Let go of a `watch` that waits; return True."""
        self._stopping.set()
        return True


class ArenaOwner(ArenaHolder):
    """Owner of one arena."""

    def __init__(self, name: str, size: int) -> None:
        """Put ``size`` zeroed bytes (plus a page, for alignment) into the store and keep them mapped."""
        super().__init__(name)
        self._reference = ray.put(np.zeros(size, np.uint8))
        self._mapped = ray.get(self._reference)


class ArenaKeeper(ArenaHolder):
    """Successor of an owner that died."""

    def keep(self, reference: list[Any], node: str, epoch: int) -> int:
        """Map the arena that a living process has told of, and keep it; return this process's id. Raises ArenaError."""
        self._mapping = Mapping(reference, node)
        self._mapping.check(epoch, digest())
        self._reference = self._mapping.reference
        return os.getpid()
