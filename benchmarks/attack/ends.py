"""Simple TCP ends: in order, everything again from the first byte that is not acknowledged when nothing moves."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ncore_ray.lab.dry.packets import ethernet, ipv4, tcp

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
MSS: Final = 1460
WINDOW: Final = 65_535
RESEND_US: Final = 250_000
_IN_FLIGHT: Final = 14_600
_MASK: Final = 0xFFFF_FFFF


def after(a: int, b: int) -> int:
    """Return how far ``a`` lies behind ``b`` in sequence space."""
    return ((a - b + (1 << 31)) & _MASK) - (1 << 31)


@dataclass(frozen=True)
class Segment:
    """What is read of a segment that the engine sent."""

    source: tuple[str, int]
    destination: tuple[str, int]
    sequence: int
    acknowledgment: int
    flags: int
    window: int
    payload: bytes


def read(frame: bytes) -> Segment:
    """Read a frame with a TCP segment."""
    start = 34
    source_port, port, sequence, acknowledgment, offset, flags, window = struct.unpack(
        ">HHIIBBH", frame[start : start + 16]
    )
    source, destination = (".".join(map(str, frame[at : at + 4])) for at in (26, 30))
    payload = frame[start + (offset >> 4) * 4 : 14 + int.from_bytes(frame[16:18], "big")]
    return Segment((source, source_port), (destination, port), sequence, acknowledgment, flags, window, payload)


@dataclass
class End:
    """One end of a connection without options but MSS. ``transmit`` takes the frames that it sends."""

    own: tuple[str, int]
    other: tuple[str, int]
    macs: tuple[int, int]
    transmit: Callable[[bytes], None]
    first: int
    window: int = WINDOW
    out: bytearray = field(default_factory=bytearray)
    received: bytearray = field(default_factory=bytearray)
    una: int = 0
    next: int = 0
    expected: int = 0
    edge: int = 0
    moved_at: int = 0
    opened: bool = False
    ended: bool = False
    """The other side has sent everything."""
    closing: bool = False
    closed: bool = False
    """The FIN was acknowledged."""
    was_reset: bool = False
    silent: bool = False
    """Answers nothing by itself."""

    def __post_init__(self) -> None:
        self.una = self.next = self.first

    def emit(self, flags: int, sequence: int, payload: bytes = b"", options: bytes = b"") -> None:
        """Send a segment."""
        acknowledgment = self.expected if flags & ACK else 0
        if flags & SYN:
            options = struct.pack(">BBH", 2, 4, MSS)
        body = tcp(
            *self.own,
            *self.other,
            flags,
            payload,
            sequence=sequence & _MASK,
            acknowledgment=acknowledgment,
            window=self.window,
            options=options,
        )
        self.transmit(ethernet(ipv4(self.own[0], self.other[0], 6, body), 0x0800, *self.macs))

    def connect(self, now: int) -> None:
        """Send a SYN."""
        self.moved_at = now
        self.emit(SYN, self.first)
        self.next = (self.first + 1) & _MASK

    def send(self, data: bytes) -> None:
        """Send bytes as the window allows."""
        self.out += data
        self._push()

    def close(self) -> None:
        """Send a FIN behind all bytes."""
        self.closing = True
        self._push()

    def acknowledge(self) -> None:
        """Say where the stream stands."""
        self.emit(ACK, self.next)

    def _push(self) -> None:
        while self.opened and not self.was_reset:
            offset = after(self.next, self.una)
            size = min(len(self.out) - offset, MSS, after(self.edge, self.next), _IN_FLIGHT - offset)
            if size <= 0:
                break
            self.emit(ACK | PSH, self.next, bytes(self.out[offset : offset + size]))
            self.next = (self.next + size) & _MASK
        if self.opened and self.closing and not self.closed and after(self.next, self.una) == len(self.out):
            self.emit(FIN | ACK, self.next)
            self.next = (self.next + 1) & _MASK

    def take(self, segment: Segment, now: int) -> None:
        """Take a segment."""
        if segment.flags & RST:
            self.was_reset = True
            return
        if self.was_reset:
            return
        if segment.flags & SYN:
            self._open(segment, now)
            return
        self._take_acknowledgment(segment, now)
        fresh = after(self.expected, segment.sequence)
        if 0 <= fresh <= len(segment.payload):
            self.received += segment.payload[fresh:]
            self.expected = (segment.sequence + len(segment.payload)) & _MASK
            if segment.flags & FIN:
                self.ended = True
                self.expected = (self.expected + 1) & _MASK
        if (segment.payload or segment.flags & FIN) and not self.silent:
            self.acknowledge()
        self._push()

    def _open(self, segment: Segment, now: int) -> None:
        self.expected = (segment.sequence + 1) & _MASK
        self.moved_at = now
        if segment.flags & ACK:
            self.una = self.next
            self.opened = True
            self.edge = (segment.acknowledgment + segment.window) & _MASK
            self.acknowledge()
            self._push()
        else:
            self.emit(SYN | ACK, self.first)
            self.next = (self.first + 1) & _MASK
            self.edge = (self.next + segment.window) & _MASK

    def _take_acknowledgment(self, segment: Segment, now: int) -> None:
        acked = after(segment.acknowledgment, self.una)
        if not self.opened and segment.acknowledgment == self.next:
            self.opened, self.una, acked = True, self.next, 0
        if 0 < acked <= after(self.next, self.una):
            self.closed = acked > len(self.out)
            del self.out[:acked]
            self.una, self.moved_at = segment.acknowledgment, now
        self.edge = (segment.acknowledgment + segment.window) & _MASK

    def tick(self, now: int) -> None:
        """Send again what nothing was heard of for long."""
        if self.was_reset or now - self.moved_at < RESEND_US or self.next == self.una:
            return
        self.moved_at = now
        if not self.opened:
            self.emit(SYN | (ACK if self.expected else 0), self.first)
            return
        self.next = self.una
        self._push()
