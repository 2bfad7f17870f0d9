"""The PacketEngine actor: one engine, one process, one pinned thread; and one more for each engine that it adopts."""

from __future__ import annotations

import os
import time
from typing import Final

from ncore_ray.actors.own_queues import EngineQueues
from ncore_ray.actors.teller import Teller, begin_to_tell
from ncore_ray.actors.worker import Loop, Worker
from ncore_ray.arena.core import Actor
from ncore_ray.engine.partition import Engine
from ncore_ray.engine.run import EngineLocal, engine_run
from ncore_ray.engine.takeover.run import take_over
from ncore_ray.engine.warm import warm_engine
from ncore_ray.machine.record import new, view
from ncore_ray.machine.system import monotonic_us
from ncore_ray.nic.burst import SendCounters
from ncore_ray.nic.direct import SenderMemory, open_sender
from ncore_ray.nic.fanout import Fanout
from ncore_ray.nic.settings import NicSettings
from ncore_ray.nic.writer import ring_bell
from ncore_ray.wire.packet import Packet

SPIN_US: Final = 5
_BREATH_S: Final = 0.002


class PacketEngine(Worker):
    """Runs `engine_run` over partition ``index`` of the arena."""

    def __init__(
        self, name: str, index: int, cpu: int | None, nics: list[NicSettings | None], spin_us: int = SPIN_US
    ) -> None:
        super().__init__(name, cpu)
        self.index = index
        self._nics = nics
        self._spin_us = spin_us
        self._fds: list[int] = []
        self._queues = EngineQueues()
        self._loop: Loop | None = None
        self._guests: dict[int, PacketEngine] = {}
        self._teller: Teller | None = None

    def prepare(self) -> None:
        """Open a send socket per NIC, make the private records, and run the kernel once."""
        self._fds = [self._open(nic) for nic in self._nics]
        self._packet_memory, _, packet = new(Packet)
        self._counters_memory, self.send_counters, counters = new(SendCounters)
        self._sender = SenderMemory(self._fds, counters, capacity=512)
        self._scratch_memory, _, scratch = new(Packet)
        self._local_memory, local, self._local = new(EngineLocal)
        local.packet, local.sender, local.spin_us, local.scratch = packet, self._sender.address, self._spin_us, scratch
        local.own_queues = self._queues.address
        self.core(self._actor).stop = 1
        self._run()

    def open_queues(self, fanout: Fanout) -> None:
        """Open a receive queue of each NIC: this engine reads and distributes by itself. Raises NicError."""
        self._queues.open(self.array, self.index, self._there(), fanout)
        self._queues.hang_bell(self.core(self._actor), self.arena.epoch, self._actor)

    def succeed(self, fanout: Fanout | None) -> str:
        """Take over the partition: connections that are whole go on.

        Receive queues are opened while the engine breathes already: that takes the kernel some tenths of a second, in
        which the packets come to the other engines, and by their rings to this one.
        """
        self.prepare()
        core = self.core(self._actor)
        core.bell_length = 0
        found = take_over(self.array, self.index, monotonic_us())
        self._breathe()
        if fanout is not None:
            self._queues.open(self.array, self.index, self._there(), fanout, recover=True)
            self._queues.hang_bell(core, self.arena.epoch, self._actor)
            self._queues.start(self.cpu)
        return str(found)

    @property
    def _actor(self) -> int:
        return Actor.ENGINE + self.index

    def _there(self) -> list[NicSettings]:
        """Return the NICs; where engines read by themselves, no place is empty."""
        return [nic for nic in self._nics if nic is not None]

    def _open(self, nic: NicSettings | None) -> int:
        if nic is None or nic.needs_writer:
            return -1
        return open_sender(nic.interface or nic.name, nic.netns, offload=not nic.vlan)

    def _run(self) -> int:
        arena = self.arena
        return engine_run(self.base + arena.engines + self.index * arena.engine_stride, self._local)

    def start(self) -> None:
        """Let the engine breathe; it says anew by which configuration it works."""
        arena = self.arena
        engine = view(Engine, self.array, arena.engines + self.index * arena.engine_stride)
        engine.bank, engine.announces = -1, int(self.index == 0)
        self._queues.start(self.cpu)
        self._breathe()

    def _breathe(self) -> None:
        self._loop = Loop(self.name, self._run, self.core(self._actor), self.cpu)
        self._loop.start()
        self._teller = begin_to_tell(self.array, self._actor)

    def steer(self, fanout: Fanout) -> None:
        """Give the groups of the receive queues another program."""
        self._queues.steer(fanout)

    def welcome(self) -> None:
        """Load what `adopt` needs, so that the flows of the partition wait no longer than they have to."""
        warm_engine()

    def adopt(self, name: str, index: int, cpu: int | None, nics: list[NicSettings | None]) -> tuple[str, float]:
        """Go on with the partition of an engine whose process has ended, in a thread beside the own one.

        The arguments are those that the engine was made with. Its packets come by the rings: it has no receive queue.
        Returns what was found, and how long it took, in seconds.
        """
        began_at = time.monotonic()
        guest = PacketEngine(name, index, self.cpu, nics)
        guest.mapping = self.mapping
        found = guest.succeed(None)
        self._guests[index] = guest
        return found, time.monotonic() - began_at

    def open_nic(self, place: int, nic: NicSettings | None) -> None:
        """Send through a NIC that comes to a place from now on; None: through none.

        The engine breathes: its kernel reads the descriptor for each batch. The former one is closed when no batch can
        know it any more.

        Raises:
            NicError: it cannot be opened; nothing is changed.
        """
        if self._nics[place] == nic:
            return
        fd, former = self._open(nic), self._fds[place]
        self._nics = [*self._nics[:place], nic, *self._nics[place + 1 :]]
        self._fds[place] = self._sender.fds[place] = fd
        for guest in list(self._guests.values()):
            guest.open_nic(place, nic)
        if former >= 0:
            self._await_breaths()
            os.close(former)

    def _await_breaths(self) -> None:
        """Wait until the breath at hand has ended: two more have begun, or there is no loop."""
        core = self.core(self._actor)
        enough = core.breaths + 2
        while self._loop is not None and self._loop.alive and core.breaths < enough:
            ring_bell(self.base, self._actor)
            time.sleep(_BREATH_S)

    def dismiss(self, index: int) -> bool:
        """End the thread of an adopted partition; return True when it has ended."""
        guest = self._guests.pop(index, None)  # before it ends: whoever watches would take that for a failure
        if guest is None or guest.stop():
            return True
        self._guests[index] = guest
        return False

    def guests(self) -> list[str]:
        """Return the names of the engines whose partitions were adopted."""
        return [guest.name for guest in self._guests.values()]

    def live_connections(self) -> int:
        """Return how many connections the engine holds."""
        arena = self.arena
        return view(Engine, self.array, arena.engines + self.index * arena.engine_stride).live_connections

    def alive(self) -> bool:
        """Return True while the engine breathes."""
        ended = [index for index, guest in list(self._guests.items()) if not guest.alive()]
        guests = not any(index in self._guests for index in ended)
        return guests and self._loop is not None and self._loop.alive

    def failure(self) -> str | None:
        """Return the exception that ended the loop."""
        found = self._queues.failure() or (self._loop.failure if self._loop is not None else None)
        if found:
            return repr(found)
        return next((why for guest in list(self._guests.values()) if (why := guest.failure())), None)

    def stop(self) -> bool:
        """End the loop and close the sockets; return True when it has ended."""
        self.stopping.set()
        if self._teller is not None:
            self._teller.stop()
        dismissed = [self.dismiss(index) for index in list(self._guests)]
        ended = all(dismissed) and (self._loop is None or self._loop.stop()) and self._queues.stop()
        if ended:
            for fd in self._fds:
                if fd >= 0:
                    os.close(fd)
            self._fds = []
        return ended
