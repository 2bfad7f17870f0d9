"""The process-private records of a NIC's two threads, with all the memory that they name."""

from __future__ import annotations

import numpy as np

from ncore_ray.arena.frame import FRAME_SIZE
from ncore_ray.machine.record import new
from ncore_ray.nic.burst import MESSAGE_SIZE, VECTOR_SIZE
from ncore_ray.nic.cutting import CHAIN_FRAMES, LARGEST
from ncore_ray.nic.local import BATCH, BURST, ReaderLocal, WriterLocal

_IDLE_MS = 20


class ReaderMemory:
    """A `ReaderLocal` and its scratch: keep it as long as kernels use its address."""

    def __init__(self, spin_us: int = 0) -> None:
        """Make a reader's record, to be filled by a driver."""
        self._memory, self.local, self.address = new(ReaderLocal)
        self._scratch = np.zeros(8, np.int64)
        self._large = np.zeros(LARGEST, np.uint8)
        self._vectors = np.zeros(CHAIN_FRAMES * VECTOR_SIZE, np.uint8)
        self.local.fd = -1
        self.local.scratch = self._scratch.ctypes.data
        self.local.large = self._large.ctypes.data
        self.local.vectors = self._vectors.ctypes.data
        self.local.spin_us = spin_us
        self.local.idle_ms = _IDLE_MS


class WriterMemory:
    """A `WriterLocal` and its scratch: keep it as long as kernels use its address."""

    def __init__(self, spin_us: int = 0) -> None:
        """Make a writer's record, to be filled by a driver."""
        self._memory, self.local, self.address = new(WriterLocal)
        self._scratch = np.zeros(8, np.int64)
        self._messages = np.zeros((BURST, MESSAGE_SIZE // 8), np.int64)
        self._vectors = np.zeros(BURST * VECTOR_SIZE, np.uint8)
        self._bounce = np.zeros(BURST * FRAME_SIZE, np.uint8)
        self._frames = np.zeros(BATCH, np.int64)
        self._messages[:, 2] = self._vectors.ctypes.data + np.arange(BURST) * VECTOR_SIZE
        self._messages[:, 3] = 1
        self._fill(spin_us)

    def _fill(self, spin_us: int) -> None:
        self.local.fd = -1
        self.local.scratch = self._scratch.ctypes.data
        self.local.messages = self._messages.ctypes.data
        self.local.vectors = self._vectors.ctypes.data
        self.local.bounce = self._bounce.ctypes.data
        self.local.frames = self._frames.ctypes.data
        self.local.spin_us = spin_us
