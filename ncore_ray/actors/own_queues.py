"""The receive queues that an engine reads by itself: opened, named for its loop, closed."""

from __future__ import annotations

import socket
from typing import Any

import numpy as np

from ncore_ray.arena.core import Core
from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes
from ncore_ray.engine.queues import OwnQueue, OwnQueues
from ncore_ray.machine.record import new, size_of, view
from ncore_ray.machine.system import PollFd
from ncore_ray.nic.direct import what_is_cut
from ncore_ray.nic.fanout import Fanout
from ncore_ray.nic.runner import NicRunner, warm_up
from ncore_ray.nic.settings import NicSettings, settings_of_queue
from ncore_ray.tables.nic import Cutting, Nic, Transmit

_MOST_NICS = 64
_ADDRESS_BYTES = 24


class EngineQueues:
    """The receive queues that one engine reads. Without `open` it has none, and the engine sleeps on its bell."""

    def __init__(self) -> None:
        self._memory, self.record, self.address = new(OwnQueues)
        self._places = np.zeros(_MOST_NICS * size_of(OwnQueue), np.uint8)
        self._polls = np.zeros((_MOST_NICS + 1) * size_of(PollFd), np.uint8)
        self._scratch = np.zeros(64, np.uint8)
        self.record.queues = self._places.ctypes.data
        self.record.polls = self._polls.ctypes.data
        self.record.scratch = self._scratch.ctypes.data
        self._runners: list[NicRunner] = []
        self._bell: socket.socket | None = None
        self._core: Core | None = None

    def open(
        self, array: Bytes, engine: int, nics: list[NicSettings], fanout: Fanout, *, recover: bool = False
    ) -> None:
        """Open the queues; engines do so in the order of their numbers. Raises NicError.

        Where the kernel fills one queue only, engine 0 reads it and spreads the packets over the engines' rings. With
        ``recover`` they were those of a predecessor that died; the new sockets are the last of their groups.
        """
        if engine == 0 and not recover:
            warm_up()
        for index, settings in enumerate(nics):
            if engine == 0 or settings.has_queues(fanout):
                self._open_queue(array, engine, index, len(nics), settings, fanout, recover=recover)
        self.record.count = len(self._runners)

    def _open_queue(
        self,
        array: Bytes,
        engine: int,
        index: int,
        nics: int,
        settings: NicSettings,
        fanout: Fanout,
        *,
        recover: bool,
    ) -> None:
        row = _row(array, index)
        queue = settings_of_queue(settings, engine, fanout.joining(row.fanout_group))
        runner = NicRunner(array, engine * nics + index, queue)
        runner.open(recover=recover)
        if engine == 0:
            row.mac, row.mtu = runner.mac, runner.mtu
            row.transmit = Transmit.RING if runner.needs_writer else Transmit.DIRECT
            cuts = row.transmit == Transmit.DIRECT and not row.vlan
            row.offload = what_is_cut() if cuts else Cutting.NOTHING
            row.fanout_group = runner.driver.fanout_group
        place = view(OwnQueue, self._places, len(self._runners) * size_of(OwnQueue))
        place.reader, place.local = runner.reader_address, runner.reader_local_address
        self._runners.append(runner)

    def hang_bell(self, core: Core, epoch: int, actor: int) -> None:
        """Let other engines wake this one, which sleeps on file descriptors."""
        self._bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        name = f"\0{epoch & (1 << 60) - 1:015x}{actor:03d}".encode()
        self._bell.bind(name)
        address = (socket.AF_UNIX.value.to_bytes(2, "little") + name).ljust(_ADDRESS_BYTES, b"\0")
        words = np.frombuffer(address, "<i8").tolist()
        core.bell_socket = self._bell.fileno()
        core.bell_address_0, core.bell_address_1, core.bell_address_2 = words
        core.bell_length = 2 + len(name)
        self._core = core

    def steer(self, fanout: Fanout) -> None:
        """Give the groups of the queues another program, where there is one."""
        for runner in self._runners:
            runner.driver.steer(fanout)

    def start(self, cpu: int | None) -> None:
        """Start the threads beside the engine's loop: writers, and what serves files."""
        for runner in self._runners:
            runner.start(None if cpu is None else [cpu], reads=False)

    def failure(self) -> BaseException | None:
        """Return what ended a thread."""
        return next((runner.failure for runner in self._runners if runner.failure), None)

    def stop(self) -> bool:
        """End the threads; the engine's loop has ended. Return False if one did not, and nothing may be closed."""
        ended = [runner.stop() for runner in self._runners]
        if not all(ended):
            return False
        for runner in self._runners:
            runner.close()
        self._runners = []
        self.record.count = 0
        if self._bell is not None and self._core is not None:
            self._core.bell_length = 0
            self._bell.close()
            self._bell = None
        return True


def _row(array: Bytes, index: int) -> Any:
    return view(Nic, array, view(Arena, array).nics + index * size_of(Nic))
