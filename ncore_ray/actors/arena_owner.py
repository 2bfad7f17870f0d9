"""The actor that owns an arena: it puts the bytes into Ray's object store and does nothing else.

An object of Ray's store lives as long as its owner, so the owner is as small as can be: no kernel, no socket, no loop.
"""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np
import ray


class ArenaOwner:
    """Owner of one arena on its node."""

    def __init__(self, name: str, size: int) -> None:
        """Put ``size`` zeroed bytes (plus a page, for alignment) into the store and keep them mapped."""
        self.name = name
        self._reference = ray.put(np.zeros(size, np.uint8))
        self._mapped = ray.get(self._reference)
        self._stopping = threading.Event()

    def __repr__(self) -> str:
        return self.name

    def hand_out(self) -> tuple[list[Any], str, int]:
        """Return the reference, in a list so that Ray does not resolve it on the way, this node's id, and the pid."""
        return [self._reference], ray.get_runtime_context().get_node_id(), os.getpid()

    def watch(self, timeout_s: float) -> str | None:
        """Return after ``timeout_s``: a caller that waits for it learns at once when this process dies."""
        self._stopping.wait(timeout_s)
        return None

    def stop(self) -> bool:
        """Let go of a `watch` that waits; return True."""
        self._stopping.set()
        return True
