"""A path in user space between two TAP devices: delay, rate, queue and loss as in the simulation, seeded."""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import os
import select
import struct
import threading
import time
from typing import Final

from benchmarks.simulation.path import Link, Path
from ncore_ray.lab.host import Host

_TUNSETIFF: Final = 0x4004_54CA
_TAP: Final = 0x0002
_NO_PACKET_INFORMATION: Final = 0x1000
_IPV4: Final = b"\x08\x00"
_MOST: Final = 65_536
_LONGEST_S: Final = 0.05


def open_tap(host: Host, name: str) -> int:
    """Make a TAP device in a host's namespace and bring it up; return the descriptor of the other side."""

    def make() -> int:
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TAP | _NO_PACKET_INFORMATION))
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    descriptor = host.namespace.call(make)
    host.set_up(name)
    return descriptor


class Shim(threading.Thread):
    """Carries frames between two TAP devices, each direction over a `Link` of its own. IPv4 only is delayed or lost."""

    def __init__(self, near: int, far: int) -> None:
        super().__init__(name="shim", daemon=True)
        self._ends = (near, far)
        self._ended = False
        self._events: list[tuple[int, int, int, bytes]] = []
        self._count = 0
        self.links: tuple[Link, Link] = (Link(Path(0), 0, is_forward=True), Link(Path(0), 1, is_forward=True))

    def change(self, path: Path, seed: int) -> None:
        """Be another path from now on; what is on its way still arrives."""
        self.links = (Link(path, 2 * seed, is_forward=True), Link(path, 2 * seed + 1, is_forward=True))

    def stop(self) -> None:
        """End the thread and close both sides; the devices are gone then."""
        self._ended = True
        self.join()
        for end in self._ends:
            os.close(end)

    def run(self) -> None:
        """Carry."""
        while not self._ended:
            wait = _LONGEST_S
            if self._events:
                wait = min(max(self._events[0][0] - _now(), 0) / 1e6, wait)
            ready, _, _ = select.select(self._ends, (), (), wait)
            for end in ready:
                self._take(end)
            self._deliver()

    def _take(self, end: int) -> None:
        """Read all that a device has sent."""
        direction = self._ends.index(end)
        with contextlib.suppress(BlockingIOError):
            while True:
                frame = os.read(end, _MOST)
                now = _now()
                is_carried = frame[12:14] == _IPV4
                for at in self.links[direction].carry(now, len(frame)) if is_carried else [now]:
                    self._count += 1
                    heapq.heappush(self._events, (at, self._count, self._ends[1 - direction], frame))

    def _deliver(self) -> None:
        now = _now()
        while self._events and self._events[0][0] <= now:
            _, _, end, frame = heapq.heappop(self._events)
            with contextlib.suppress(BlockingIOError):
                os.write(end, frame)


def _now() -> int:
    return time.monotonic_ns() // 1000
