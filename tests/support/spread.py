"""An `EngineLab` whose engines distribute by themselves, behind NICs in memory with one receive queue each."""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.connection import Tcb
from ncore_ray.engine.run import breathe_once
from ncore_ray.flow.breath import breathe
from ncore_ray.lab.dry.engine import EngineLab
from ncore_ray.machine.record import view
from ncore_ray.management.counters import distributor_counters, nic_counters
from ncore_ray.management.numbers import summed
from ncore_ray.nic.fanout import Fanout, Spread
from ncore_ray.nic.memory import MemoryDriver
from ncore_ray.nic.partition import Reader
from ncore_ray.nic.runner import NicRunner
from ncore_ray.nic.settings import NicSettings, settings_of_queue
from tests.nic.harness import read_once

_QUEUE_BYTES: Final = 1 << 20


class SpreadLab(EngineLab):
    """All engines of an appliance, breathed in turn by one thread; engine 0 reads, as it does in an appliance."""

    def __init__(self, text: str, spread: Spread, *, connections: int = 64, frames: int = 512) -> None:
        super().__init__(text, connections=connections, frames=frames)
        self.drivers = [MemoryDriver(_QUEUE_BYTES) for _ in range(self.arena.nic_count)]
        self.runners = [self._runner(nic, driver, Fanout(spread)) for nic, driver in enumerate(self.drivers)]
        for index in range(self.arena.engine_count):
            self.engine(index).half_open_limit = connections

    def _runner(self, nic: int, driver: MemoryDriver, fanout: Fanout) -> NicRunner:
        settings = settings_of_queue(NicSettings(f"nc{nic}", "memory"), 0, fanout)
        runner = NicRunner(self.array, nic, settings, driver)
        runner.open()
        return runner

    def connections(self, index: int | None = None) -> list[Tcb]:
        """Return the live connections of an engine, or of all."""
        engines = range(self.arena.engine_count) if index is None else [index]
        return [tcb for engine in engines for tcb in super(SpreadLab, self).connections(engine)]

    def receive(self, nic: int, data: bytes, *, engine: int = 0, checksum: int = 0) -> None:
        """Let a frame come in on a NIC."""
        assert self.drivers[nic].put(data), "the NIC's queue is full"

    def breathe(self, now: int | None = None, *, engine: int = 0) -> int:
        """Do one breath of every engine at a time (default: the lab's clock)."""
        self.now = self.now if now is None else now
        work = 0
        for runner in self.runners:
            work += read_once(self.base, runner.reader_address, runner.reader_local_address, self.now)
        for index in range(self.arena.engine_count):
            work += breathe(self.base, index, self._packet, self.now)
        for index in range(self.arena.engine_count):
            address = self.base + self.arena.engines + index * self.arena.engine_stride
            work += breathe_once(address, self._packet, self._sender.address, self.now)
        return work

    def sent(self, *, engine: int | None = None) -> list[tuple[int, bytes]]:
        """Return the frames that an engine, or all, sent since the last call."""
        engines = range(self.arena.engine_count) if engine is None else [engine]
        return [packet for number in engines for packet in super(SpreadLab, self).sent(engine=number)]

    def distributed(self) -> dict[str, int]:
        """Return what all deciders together counted."""
        return distributor_counters(self.array)

    def read_from_nics(self) -> dict[str, int]:
        """Return what the readers of all NICs counted."""
        return summed(nic_counters(self.array, nic) for nic in range(self.arena.nic_count))

    def free_frames(self, nic: int) -> int:
        """Return how many frames of a NIC's reader are at home."""
        place = self.arena.readers + nic * self.arena.reader_stride
        return view(Reader, self.array, place).free_count
