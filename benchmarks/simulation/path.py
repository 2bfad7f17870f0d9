"""A path between two hosts: delay, rate, a queue that drops at its tail; loss, reordering and duplication, seeded."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

_SECOND_US: Final = 1_000_000
_ETHERNET: Final = 14


@dataclass(frozen=True)
class Path:
    """What both directions do to packets; shares are parts of 1."""

    delay_us: int = 10_000
    """Of each direction."""
    rate: int = 0
    """Bytes per second towards the receiver; 0: no limit."""
    queue: int = 64_000
    """Bytes that wait for the rate at the most."""
    loss: float = 0.0
    reordering: float = 0.0
    """Packets that come later by `late_us`."""
    late_us: int = 5_000
    jitter_us: int = 0
    """By which packets come late to the queue at the most. Where streams share one it should be the time that it takes
    to send a packet: else one may find each place that becomes free, and another none, only because of the instants at
    which they send (phase effects; Floyd, Jacobson 1991)."""
    duplication: float = 0.0
    losses: tuple[tuple[int, int], ...] = ()
    """Runs of packets towards the receiver that are lost: the first one's number (0 …), and how many."""
    mtu: int = 0
    """Bytes of the longest packet towards the receiver, from the IP header on; 0: any."""
    tells: bool = False
    """Whether a router says so of those that are too long (RFC 792, "fragmentation needed")."""


class Link:
    """One direction of a path. ``is_forward``: towards the receiver, where the rate and the runs of losses are."""

    def __init__(self, path: Path, seed: int, *, is_forward: bool) -> None:
        self._path = path
        self._chance = random.Random(seed)
        self._rate = path.rate if is_forward else 0
        self._lost = {first + i for first, count in path.losses for i in range(count)} if is_forward else set()
        self._mtu = path.mtu if is_forward else 0
        self._free_at = 0
        self._entered_at: dict[int, int] = {}
        self.carried = 0
        self.dropped = 0

    def enters_at(self, now: int, stream: int) -> int:
        """Return when a packet of a stream comes to the queue: never before an earlier one of the same stream."""
        at = now + self._chance.randrange(self._path.jitter_us + 1) if self._path.jitter_us else now
        self._entered_at[stream] = max(at, self._entered_at.get(stream, 0))
        return self._entered_at[stream]

    def carry(self, now: int, size: int) -> list[int]:
        """Take a packet of so many bytes; return when it arrives: never, once or twice."""
        number = self.carried
        self.carried += 1
        arrivals = []
        is_lost = self._happens(self._path.loss) or number in self._lost or self.is_too_long(size)
        for _ in range(0 if is_lost else 1 + self._happens(self._path.duplication)):
            leaves_at = self._through_queue(now, size)
            if leaves_at >= 0:
                late = self._path.late_us if self._happens(self._path.reordering) else 0
                arrivals.append(leaves_at + self._path.delay_us + late)
        self.dropped += not arrivals
        return arrivals

    def is_too_long(self, size: int) -> bool:
        """Return whether a frame of so many bytes is too long for the path."""
        return 0 < self._mtu < size - _ETHERNET

    def _happens(self, share: float) -> bool:
        return share > 0 and self._chance.random() < share

    def _through_queue(self, now: int, size: int) -> int:
        """Return when a packet has left the queue, µs, or −1 if there was no room."""
        if not self._rate:
            return now
        waiting = max(self._free_at - now, 0) * self._rate // _SECOND_US
        if waiting + size > self._path.queue:
            return -1
        self._free_at = max(self._free_at, now) + size * _SECOND_US // self._rate
        return self._free_at
