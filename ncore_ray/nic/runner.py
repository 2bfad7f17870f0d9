"""Everything that the actor of a NIC does, without Ray: the driver, its wrappers, and the two threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection
from typing import Final

from ncore_ray.arena.core import Core, CoreState
from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes
from ncore_ray.machine.random import seed_of
from ncore_ray.machine.record import size_of, view
from ncore_ray.machine.thread import settle
from ncore_ray.nic.driver import Driver
from ncore_ray.nic.faults import FaultInjector
from ncore_ray.nic.memory import MemoryDriver
from ncore_ray.nic.partition import (
    READER_COUNTERS,
    READER_FAULTS,
    WRITER,
    WRITER_FAULTS,
    Reader,
    ReaderCounters,
    Writer,
)
from ncore_ray.nic.pcap import wall_clock_shift_us
from ncore_ray.nic.reader import reader_run
from ncore_ray.nic.recover import rebuild_free, recover_writer
from ncore_ray.nic.settings import NicSettings, make_driver
from ncore_ray.nic.small_arena import make_small_arena
from ncore_ray.nic.spread import UserSpread
from ncore_ray.nic.thread_memory import ReaderMemory, WriterMemory
from ncore_ray.nic.trace import Tracer
from ncore_ray.nic.writer import ring_bell, writer_run

_SERVICE_S: Final = 0.05


def warm_up() -> None:
    """Compile the kernels of reader and writer (or load them from the cache) and run each once on a little arena."""
    arena = make_small_arena(nic_frames=2, engine_frames=2, ring_capacity=2)
    arena.cores()["stop"] = 1
    driver, reader, writer = MemoryDriver(64), ReaderMemory(), WriterMemory()
    driver.fill_reader(reader.local)
    driver.fill_writer(writer.local)
    partition = arena.base + arena.header.readers
    reader_run(arena.base, partition, reader.address)
    writer_run(arena.base, partition + WRITER, writer.address)
    rebuild_free(arena.base, 0)
    recover_writer(arena.base, 0)
    ring_bell(arena.base, 0)


class NicRunner:
    """One NIC at work: ``open``, ``start``, then ``stop`` and ``close``.

    ``array`` is the arena (kept alive by the caller), in which the partition has been written by `init_reader`.
    """

    def __init__(self, array: Bytes, queue: int, settings: NicSettings, driver: Driver | None = None) -> None:
        """Prepare a NIC's receive queue of number ``queue``; ``driver`` replaces the one that the settings name."""
        self.settings = settings
        self.driver = driver or make_driver(settings)
        self.failure: BaseException | None = None
        self._array = array
        self._base = array.ctypes.data
        arena = view(Arena, array)
        self._partition = arena.readers + queue * arena.reader_stride
        self._queue = queue
        self._nic = queue % arena.nic_count
        self._sends = queue < arena.nic_count and settings.needs_writer
        self._reader = view(Reader, array, self._partition)
        self._writer = view(Writer, array, self._partition + WRITER)
        self._cores = [self._core(arena, self._reader.actor), self._core(arena, self._writer.actor)]
        self._reader_memory = ReaderMemory(settings.spin_us)
        self._writer_memory = WriterMemory(settings.spin_us)
        self._tracer: Tracer | None = None
        self._injectors: list[FaultInjector] = []
        self._threads: list[threading.Thread] = []
        self._ended = threading.Event()

    def _core(self, arena: Arena, actor: int) -> Core:
        return view(Core, self._array, arena.cores + actor * size_of(Core))

    @property
    def needs_writer(self) -> bool:
        """True if this NIC's packets are sent by its writer: the row in the NIC table says `Transmit.RING`."""
        return self.settings.needs_writer

    @property
    def free_frames(self) -> int:
        """Frames that packets can be received into."""
        return self._reader.free_count

    @property
    def mac(self) -> int:
        """The appliance's address on this NIC, after `open`."""
        return self.driver.mac

    @property
    def mtu(self) -> int:
        """Known after `open`."""
        return self.driver.mtu

    def open(self, *, recover: bool = False) -> None:
        """Open the driver and its wrappers; with ``recover``, take over from a dead predecessor. Raises NicError."""
        if recover:
            rebuild_free(self._base, self._queue)
            if self._sends:
                recover_writer(self._base, self._nic)
        self.driver.open()
        self._spread()
        self.driver.fill_reader(self._reader_memory.local)
        self._reader_memory.local.vlan = self.settings.vlan
        if self._sends:
            self.driver.fill_writer(self._writer_memory.local)
        self._wrap()

    def _spread(self) -> None:
        several = view(Arena, self._array).decider_count > 1
        self._reader.spread = self.settings.spread if several else UserSpread.NONE
        self._reader.random = seed_of(self.settings.spread_seed, self._nic)

    def _wrap(self) -> None:
        reader, writer = self._reader_memory.local, self._writer_memory.local
        if self.settings.faults is not None:
            for direction, offset in enumerate((READER_FAULTS, WRITER_FAULTS)):
                counters = self._base + self._partition + offset
                self._injectors.append(FaultInjector(self.settings.faults, counters, direction))
            reader.faults, writer.faults = (injector.address for injector in self._injectors)
        if self.settings.trace is not None:
            self._tracer = Tracer(self.settings.trace, wall_clock_shift_us())
            reader.trace = self._tracer.received.address
            writer.trace = self._tracer.sent.address

    @property
    def reader_address(self) -> int:
        """Address of the queue's `Reader`, for an engine that reads by itself."""
        return self._base + self._partition

    @property
    def reader_local_address(self) -> int:
        """Address of the queue's `ReaderLocal`, valid as long as this object."""
        return self._reader_memory.address

    def start(self, cpus: Collection[int] | None = None, *, reads: bool = True) -> None:
        """Start the threads, bound to ``cpus`` if given; the kernels have been compiled by `warm_up`.

        With ``reads`` False there is no reader's thread: the caller's loop does its work.
        """
        self._ended.clear()
        if reads:
            reader = (self._base, self.reader_address, self._reader_memory.address)
            self._launch("reader", self._cores[0], lambda: reader_run(*reader), cpus)
        if self._sends:
            writer = (self._base, self._base + self._partition + WRITER, self._writer_memory.address)
            self._launch("writer", self._cores[1], lambda: writer_run(*writer), cpus)
        self._spawn("service", self._serve)

    def _launch(self, name: str, core: Core, run: Callable[[], int], cpus: Collection[int] | None) -> None:
        core.stop = 0
        core.process = os.getpid()
        core.state = CoreState.RUNNING

        def work() -> None:
            settle(cpus)
            core.thread = threading.get_native_id()
            run()
            core.state = CoreState.STOPPED

        self._spawn(name, work)

    def _spawn(self, name: str, work: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                work()
            except BaseException as error:
                self.failure = error
                raise

        thread = threading.Thread(target=guarded, name=f"{self.settings.name}-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self) -> None:
        """Write files and read the kernel's statistics now and then, until `stop`."""
        while not self._ended.wait(_SERVICE_S):
            self.service()

    def service(self) -> None:
        """Move traces and captures to their files, and add what the kernel has dropped to the counters."""
        counters = view(ReaderCounters, self._array, self._partition + READER_COUNTERS)
        counters.drop_nic_kernel_packets += self.driver.kernel_drops()
        self.driver.service()
        if self._tracer is not None:
            self._tracer.service()

    def is_alive(self) -> bool:
        """Tell whether all threads that were started still run."""
        return bool(self._threads) and all(thread.is_alive() for thread in self._threads)

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Let the threads end; return False if one did not in time (then nothing may be closed or unmapped)."""
        for core in self._cores:
            core.stop = 1
        ring_bell(self._base, self._writer.actor)
        self._ended.set()
        for thread in self._threads:
            thread.join(timeout_s)
        alive = [thread for thread in self._threads if thread.is_alive()]
        self._threads = alive
        if not alive:
            self.service()
        return not alive

    def close(self) -> None:
        """Let the NIC go and end the files; after `stop`."""
        self.driver.close()
        if self._tracer is not None:
            self._tracer.close()
            self._tracer = None
