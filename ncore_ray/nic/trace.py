"""Tracer: writes what the appliance receives from a NIC and sends on it to a capture file.

Received packets are seen behind the fault injector, sent ones before it: the trace shows what the appliance saw and
did, so that it can be run again. The kernels put packets into queues; a control thread moves them to the file.
"""

from __future__ import annotations

from pathlib import Path

from ncore_ray.nic.capture import CaptureWriter
from ncore_ray.nic.queue import PrivateQueue, Taken


class Tracer:
    """The trace of one NIC: a queue for each direction (one thread writes to each) and the file."""

    def __init__(self, path: Path | str, clock_shift_us: int = 0, capacity: int = 16 << 20) -> None:
        """Make the file; ``clock_shift_us`` turns a kernel's `now` into µs since 1970."""
        self._writer = CaptureWriter(path)
        self._shift = clock_shift_us
        self.received = PrivateQueue(capacity)
        self.sent = PrivateQueue(capacity)

    def service(self) -> None:
        """Move what waits to the file, in order of time."""
        packets: list[Taken] = [*self.received.drain(), *self.sent.drain()]
        packets.sort(key=lambda packet: packet.at)
        for packet in packets:
            self._writer.write(packet.at + self._shift, packet.data)
        self._writer.flush()

    def close(self) -> None:
        """Write the rest and end the file."""
        self.service()
        self._writer.close()
