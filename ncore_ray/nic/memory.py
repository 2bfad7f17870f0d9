"""A NIC in the memory of this process, for tests and benchmarks."""

from __future__ import annotations

from ncore_ray.arena.frame import Checksum
from ncore_ray.nic.driver import Driver
from ncore_ray.nic.local import DriverKind, ReaderLocal, WriterLocal
from ncore_ray.nic.queue import PrivateQueue, Taken

_IDLE_MS = 1


class MemoryDriver(Driver):
    """Packets put in with `put` are received; what is sent is taken with `sent`."""

    kind = DriverKind.QUEUE
    mac = 0x02_00_00_00_00_01

    def __init__(self, capacity: int = 8 << 20) -> None:
        """Make two queues of ``capacity`` bytes."""
        self.input = PrivateQueue(capacity)
        self.output = PrivateQueue(capacity)

    def open(self) -> None:
        """Nothing is to be done."""

    def close(self) -> None:
        """Nothing is to be done."""

    def put(self, data: bytes, *, checksum: Checksum = Checksum.UNKNOWN, at_us: int = 0) -> bool:
        """Let a packet arrive; False if the queue is full."""
        return self.input.put(data, at_us, checksum)

    def sent(self) -> list[Taken]:
        """Return the packets that were sent since the last call."""
        return list(self.output.drain())

    def fill_reader(self, local: ReaderLocal) -> None:
        """Name the input queue; no file descriptor announces its packets."""
        local.kind = self.kind
        local.fd = -1
        local.queue = self.input.address
        local.idle_ms = _IDLE_MS

    def fill_writer(self, local: WriterLocal) -> None:
        """Name the output queue."""
        local.kind = self.kind
        local.queue = self.output.address
