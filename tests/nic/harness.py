"""One NIC on a little arena, breath by breath: the test plays the distributor and the engines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from ncore_ray.arena.frame import FRAME_SIZE, NO_FRAME, Checksum
from ncore_ray.arena.ring import (
    Ring,
    ring_at,
    ring_give_back,
    ring_publish,
    ring_room,
    ring_take,
    ring_waiting,
    ring_write,
)
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.machine.record import view
from ncore_ray.nic.burst import SendCounters
from ncore_ray.nic.driver import Driver
from ncore_ray.nic.faults import FaultCounters, FaultInjector, FaultSettings
from ncore_ray.nic.local import reader_local_at, writer_local_at
from ncore_ray.nic.memory import MemoryDriver
from ncore_ray.nic.partition import (
    READER_COUNTERS,
    READER_FAULTS,
    WRITER,
    WRITER_COUNTERS,
    WRITER_FAULTS,
    WRITER_SENDS,
    Reader,
    ReaderCounters,
    Writer,
    WriterCounters,
    reader_at,
    writer_at,
)
from ncore_ray.nic.reader import reader_breath
from ncore_ray.nic.small_arena import SmallArena, make_small_arena
from ncore_ray.nic.thread_memory import ReaderMemory, WriterMemory
from ncore_ray.nic.trace import Tracer
from ncore_ray.nic.writer import writer_breath

T = TypeVar("T")


@entry_kernel
def read_once(base: int, reader: int, local: int, now: int) -> int:
    """One breath of a reader."""
    return reader_breath(base, reader_at(reader), reader_local_at(local), now)


@entry_kernel
def write_once(base: int, writer: int, local: int, now: int) -> int:
    """One breath of a writer."""
    return writer_breath(base, writer_at(writer), writer_local_at(local), now)


@entry_kernel
def put_word(ring: int, word: int) -> int:
    """Write and publish one word; return 0 if the ring is full."""
    if ring_room(ring_at(ring), 1) < 1:
        return 0
    ring_write(ring_at(ring), word)
    return ring_publish(ring_at(ring))


@entry_kernel
def take_word(ring: int) -> int:
    """Take one word and give its place back; −1 if there is none."""
    if ring_waiting(ring_at(ring)) == 0:
        return -1
    word = ring_take(ring_at(ring))
    ring_give_back(ring_at(ring))
    return word


class Arrived(NamedTuple):
    """A descriptor that the distributor got, with its bytes."""

    frame: int
    data: bytes
    nic: int
    checksum: Checksum


def packet(number: int = 0, length: int = 60) -> bytes:
    """Return an Ethernet frame that carries its number."""
    head = bytes.fromhex("020000000001 020000000002 0800") + number.to_bytes(8, "big")
    return head + bytes(number + place & 0xFF for place in range(length - len(head)))


def number_of(data: bytes) -> int:
    """Return the number of a packet made by `packet`."""
    return int.from_bytes(data[14:22], "big")


@dataclass
class Rig:
    """A NIC and what surrounds it. The distributor is actor 0, engine k is actor 1 + k."""

    arena: SmallArena
    driver: Driver
    nic: int = 0
    now: int = 1_000_000

    def __post_init__(self) -> None:
        self.base = self.arena.base
        self.partition = self.arena.header.readers + self.nic * self.arena.header.reader_stride
        self.reader_memory, self.writer_memory = ReaderMemory(), WriterMemory()
        self.driver.fill_reader(self.reader_memory.local)
        self.driver.fill_writer(self.writer_memory.local)
        self.reader = self._view(Reader, 0)
        self.writer = self._view(Writer, WRITER)
        self.received = self._view(ReaderCounters, READER_COUNTERS)
        self.received_faults = self._view(FaultCounters, READER_FAULTS)
        self.written = self._view(WriterCounters, WRITER_COUNTERS)
        self.sends = self._view(SendCounters, WRITER_SENDS)
        self.sent_faults = self._view(FaultCounters, WRITER_FAULTS)
        self.injectors: list[FaultInjector] = []

    def _view(self, record: type[T], offset: int) -> T:
        return view(record, self.arena.array, self.partition + offset)

    def _ring(self, region: int, index: int) -> int:
        return self.base + region + index * self.arena.header.ring_stride

    def inject(self, settings: FaultSettings) -> None:
        """Wrap the NIC with a fault injector in both directions."""
        for direction, offset in enumerate((READER_FAULTS, WRITER_FAULTS)):
            self.injectors.append(FaultInjector(settings, self.base + self.partition + offset, direction))
        self.reader_memory.local.faults, self.writer_memory.local.faults = (each.address for each in self.injectors)

    def trace(self, tracer: Tracer) -> None:
        """Wrap the NIC with a tracer."""
        self.reader_memory.local.trace = tracer.received.address
        self.writer_memory.local.trace = tracer.sent.address

    def read(self, passed_us: int = 10) -> int:
        """Let time pass and the reader breathe."""
        self.now += passed_us
        return read_once(self.base, self.base + self.partition, self.reader_memory.address, self.now)

    def write(self, passed_us: int = 10) -> int:
        """Let time pass and the writer breathe."""
        self.now += passed_us
        return write_once(self.base, self.base + self.partition + WRITER, self.writer_memory.address, self.now)

    def inbound(self) -> Ring:
        """Return the ring reader → distributor."""
        return view(Ring, self.arena.array, self._ring(self.arena.header.inbound_rings, self.nic) - self.base)

    def take(self) -> Arrived | None:
        """Take one descriptor as the distributor."""
        word = take_word(self._ring(self.arena.header.inbound_rings, self.nic))
        if word < 0:
            return None
        frame, length = word & 0xFFFF_FFFF, word >> 32 & 0xF_FFFF
        return Arrived(frame, self._bytes(frame, length), word >> 52 & 0xFF, Checksum(word >> 60 & 7))

    def frames_of(self, frame: int) -> list[int]:
        """Return the frames of a packet by its first one."""
        links, frames = self.arena.links(), [frame]
        while (following := int(links[frames[-1]])) != NO_FRAME:
            frames.append(following)
        return frames

    def _bytes(self, frame: int, length: int) -> bytes:
        """Return a packet from however many frames it takes, of which none may be spare."""
        frames = self.frames_of(frame)
        assert len(frames) == max(-(-length // FRAME_SIZE), 1)
        return b"".join(self.arena.frame(each, FRAME_SIZE) for each in frames)[:length]

    def take_all(self) -> list[Arrived]:
        """Take all descriptors as the distributor."""
        arrived = []
        while (one := self.take()) is not None:
            arrived.append(one)
        return arrived

    def give_back(self, frame: int, actor: int = 0) -> None:
        """Send a received frame home as an actor."""
        index = actor * self.arena.header.nic_count + self.nic
        assert put_word(self._ring(self.arena.header.return_rings, index), frame)

    def receive(self, passed_us: int = 10) -> list[Arrived]:
        """One breath; what the distributor gets from it goes home at once."""
        self.read(passed_us)
        arrived = self.take_all()
        for one in arrived:
            self.give_back(one.frame)
        return arrived

    def send(self, frame: int, data: bytes, engine: int = 0) -> bool:
        """Give a packet in one of an engine's frames to the writer."""
        self.arena.write_frame(frame, data)
        index = engine * self.arena.header.nic_count + self.nic
        word = frame | len(data) << 32 | self.nic << 52
        return bool(put_word(self._ring(self.arena.header.transmit_rings, index), word))

    def sent_home(self, engine: int = 0) -> list[int]:
        """Take the frames that came home to an engine."""
        index = engine * self.arena.header.nic_count + self.nic
        frames = []
        while (word := take_word(self._ring(self.arena.header.transmit_return_rings, index))) >= 0:
            frames.append(word)
        return frames


def memory_rig(*, engines: int = 1, nic_frames: int = 64, ring_capacity: int = 128) -> tuple[Rig, MemoryDriver]:
    """Return a rig with the memory driver."""
    driver = MemoryDriver(4 << 20)
    arena = make_small_arena(engines=engines, nic_frames=nic_frames, ring_capacity=ring_capacity)
    return Rig(arena, driver), driver
