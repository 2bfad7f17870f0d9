"""A NIC made of files: receives the packets of one capture and writes what is sent to another."""

from __future__ import annotations

import time
from pathlib import Path

from ncore_ray.nic.capture import Captured, CaptureWriter, read_capture
from ncore_ray.nic.local import ReaderLocal
from ncore_ray.nic.memory import MemoryDriver
from ncore_ray.nic.queue import CUT, PrivateQueue


def wall_clock_shift_us() -> int:
    """Return the µs to add to the monotonic clock to get the time since 1970."""
    return time.time_ns() // 1_000 - time.monotonic_ns() // 1_000


class PcapDriver(MemoryDriver):
    """Delivers a capture as fast as it is taken, or ``paced`` by its timestamps."""

    def __init__(
        self,
        source: Path | str | None = None,
        target: Path | str | None = None,
        *,
        paced: bool = False,
        mac: int | None = None,
        mtu: int | None = None,
        clock_shift_us: int | None = None,
    ) -> None:
        """Name the files; ``clock_shift_us`` is added to the times of packets sent (None: the wall clock's)."""
        super().__init__()
        self._source = source
        self._target = target
        self._paced = paced
        self._writer: CaptureWriter | None = None
        self._shift = wall_clock_shift_us() if clock_shift_us is None else clock_shift_us
        self.mac = self.mac if mac is None else mac
        self.mtu = self.mtu if mtu is None else mtu

    def open(self) -> None:
        """Read the capture into memory and make the other file."""
        packets = read_capture(self._source) if self._source is not None else []
        self.input = PrivateQueue(PrivateQueue.capacity_for([len(packet.data) for packet in packets]))
        for packet in packets:
            self._load(packet)
        if self._target is not None:
            self._writer = CaptureWriter(self._target)

    def _load(self, packet: Captured) -> None:
        cut = CUT if packet.length > len(packet.data) else 0
        self.input.put(packet.data, packet.at_us, cut)

    def fill_reader(self, local: ReaderLocal) -> None:
        """Name the input queue."""
        super().fill_reader(local)
        local.paced = int(self._paced)

    def service(self) -> None:
        """Write what was sent since the last call."""
        for packet in self.output.drain():
            if self._writer is not None:
                self._writer.write(packet.at + self._shift, packet.data)
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        """Write the rest and close the file."""
        self.service()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
