"""A TCP in plain Python that is slow and obviously right: what it cannot take in order waits in a dictionary of bytes.

It goes back to the first unacknowledged byte whenever nothing moved for a while, and reads at a pace of its own.
Positions count bytes of the stream from 0, so nothing in here wraps; only the numbers on the wire do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Final

_PATIENCE_US: Final = 300_000
_IN_FLIGHT: Final = 30_000
_MSS: Final = 1460
SYN_POSITION: Final = -1


@dataclass(frozen=True)
class Wire:
    """A segment by stream positions: −1 is the SYN, the FIN stands behind the last byte."""

    position: int
    acknowledged: int
    flags: str
    window: int
    payload: bytes = b""
    blocks: tuple[tuple[int, int], ...] = ()
    """What came too early, by SACK: first position and the one behind the last."""


@dataclass
class ReferenceTcp:
    """One end. ``is_active``: it begins."""

    data: bytes
    capacity: int
    pace: int
    """Bytes that its reader takes at every tick."""
    is_active: bool
    received: bytearray = field(default_factory=bytearray)
    read: int = 0
    early: dict[int, int] = field(default_factory=dict)
    peer_position: int = SYN_POSITION
    """What is expected next of the other end."""
    una: int = SYN_POSITION
    next: int = SYN_POSITION
    edge: int = 0
    end: int | None = None
    """Position of the other end's FIN."""
    moved_at: int = 0
    told: int = 0
    says_blocks: bool = False

    @property
    def fin(self) -> int:
        return len(self.data)

    @property
    def is_done(self) -> bool:
        return self.una == self.fin + 1 and self.ended and self.read == len(self.received)

    @property
    def ended(self) -> bool:
        return self.end is not None and self.peer_position == self.end + 1

    def window(self) -> int:
        return max(self.capacity - (len(self.received) - self.read), 0)

    def _make(self, flags: str, position: int, payload: bytes = b"") -> Wire:
        self.told = self.peer_position + self.window()
        heard = self.peer_position > SYN_POSITION
        return Wire(position, self.peer_position, flags + "A" * heard, self.window(), payload, self.blocks())

    def blocks(self) -> tuple[tuple[int, int], ...]:
        """Return up to three runs of what came too early, the last ones."""
        if not self.says_blocks or not self.early:
            return ()
        starts = [at for at in sorted(self.early) if at - 1 not in self.early][-3:]
        return tuple((start, next(at for at in count(start) if at not in self.early)) for start in starts)

    def take(self, segment: Wire, now: int) -> list[Wire]:
        """Take a segment; return the answers."""
        if self.una == self.fin + 1 and self.ended:
            # Both streams have ended: what still comes needs no more than an answer to a FIN.
            return [self._make("", self.next)] if "F" in segment.flags else []
        assert "R" not in segment.flags, "reset"
        if "S" in segment.flags:
            self.peer_position = max(self.peer_position, 0)
        elif self.peer_position == SYN_POSITION:
            return []
        if "A" in segment.flags:
            assert segment.acknowledged <= self.fin + 1, "what was never sent is acknowledged"
            if segment.acknowledged > self.una:
                self.una, self.moved_at = segment.acknowledged, now
                self.next = max(self.next, self.una)
            self.edge = max(self.edge, segment.acknowledged + segment.window)
        self._keep(segment)
        is_news = bool(segment.payload) or "F" in segment.flags or "S" in segment.flags
        return ([self._make("", max(self.next, 0))] if is_news and self.una >= 0 else []) + self.send(now)

    def _keep(self, segment: Wire) -> None:
        for i, byte in enumerate(segment.payload):
            place = segment.position + i
            if self.peer_position <= place < self.peer_position + self.window():
                assert self.early.setdefault(place, byte) == byte, "the same place holds other bytes"
        if "F" in segment.flags:
            self.end = segment.position + len(segment.payload)
        while self.peer_position in self.early:
            self.received.append(self.early.pop(self.peer_position))
            self.peer_position += 1
        if self.end is not None and self.peer_position == self.end:
            self.peer_position += 1

    def send(self, now: int) -> list[Wire]:
        """Return what may go out now."""
        if self.una == SYN_POSITION:
            if self.next == SYN_POSITION and (self.is_active or self.peer_position > SYN_POSITION):
                self.next, self.moved_at = 0, now
                return [self._make("S", SYN_POSITION)]
            return []
        segments = []
        while self.next < self.fin and self.next < min(self.edge, self.una + _IN_FLIGHT):
            size = min(_MSS, self.fin - self.next, self.edge - self.next)
            segments.append(self._make("P", self.next, self.data[self.next : self.next + size]))
            self.next += size
        if self.next == self.fin and self.una <= self.fin:
            segments.append(self._make("F", self.fin))
            self.next += 1
        return segments

    def tick(self, now: int) -> list[Wire]:
        """Let the reader read; send again what was not acknowledged for long; tell of a larger window."""
        self.read = min(self.read + self.pace, len(self.received))
        if now - self.moved_at > _PATIENCE_US and self.una <= self.fin:
            self.moved_at = now
            self.next = self.una
            if self.una >= 0 and self.una < self.fin and self.edge <= self.una:  # the window is closed: ask
                return [self._make("P", self.una, self.data[self.una : self.una + 1])]
            return self.send(now)
        if self.ended:
            return []
        grown = self.peer_position + self.window() - self.told
        return [self._make("", max(self.next, 0))] if self.una >= 0 and grown >= min(_MSS, self.capacity // 2) else []
