"""One end of a TCP connection, as simple as it can be right: in order, nothing lost, no congestion control.

It takes only what continues the stream, never more than the window that it told, and keeps to the other's window.
What stays unacknowledged for long is sent again from the start.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
SCALE: Final = 3
RESEND_US: Final = 300_000
_MASK: Final = 0xFFFF_FFFF


@dataclass(frozen=True)
class Segment:
    """What is read from, or written to, a TCP header."""

    source_port: int
    destination_port: int
    sequence: int
    acknowledgment: int
    flags: int
    window: int
    options: bytes = b""
    payload: bytes = b""


def read_segment(raw: bytes) -> Segment:
    source, destination, sequence, acknowledgment, offset, flags, window = struct.unpack(">HHIIBBH", raw[:16])
    end = (offset >> 4) * 4
    return Segment(source, destination, sequence, acknowledgment, flags, window, raw[20:end], raw[end:])


def option(options: bytes, kind: int) -> bytes | None:
    """Return the value of a TCP option."""
    while options and options[0]:
        if options[0] == 1:
            options = options[1:]
            continue
        if options[0] == kind:
            return options[2 : options[1]]
        options = options[options[1] :]
    return None


def _after(a: int, b: int) -> int:
    """Return how far ``a`` lies behind ``b`` in sequence space."""
    return ((a - b + (1 << 31)) & _MASK) - (1 << 31)


@dataclass
class Peer:
    """One connection of a host. ``transmit`` sends a segment to the appliance; ``settle`` lets packets run."""

    own: tuple[str, int]
    other: tuple[str, int]
    transmit: Callable[[Segment], None]
    settle: Callable[[], None]
    iss: int
    limit: int = 256 << 10
    """Bytes that it takes in before somebody reads them."""
    mss: int = 1460
    hold_acks: bool = False
    """Acknowledge nothing for now."""
    lossy: bool = False
    """Segments may be missing: what does not continue the stream is thrown away."""
    paused: bool = False
    """Nobody reads: what comes in takes away from the window."""

    received: bytearray = field(default_factory=bytearray)
    total_received: int = 0
    total_sent: int = 0
    """Bytes given to `send`."""
    eof: bool = False
    was_reset: bool = False
    established: bool = False
    closing: bool = False
    gone: bool = False

    _out: bytearray = field(default_factory=bytearray)
    """From the first byte that is not acknowledged."""
    _una: int = 0
    _next: int = 0
    _rcv: int = 0
    _told: int = 0
    """The right edge of the window that was told."""
    _edge: int = 0
    """The right edge of the other's window."""
    _their_scale: int = 0
    _their_mss: int = 536
    _fin_sent: bool = False
    _progress_at: int = 0

    def __post_init__(self) -> None:
        self._una = self.iss
        self._next = self.iss

    # What a test does.

    def connect(self) -> Peer:
        self._emit(SYN, self.iss)
        self._next = (self.iss + 1) & _MASK
        self.settle()
        return self

    def send(self, data: bytes) -> Peer:
        """Send bytes in segments of their own, as far as the window lets them."""
        assert not self.closing
        self.total_sent += len(data)
        self._out += data
        self._push()
        return self

    def close(self) -> Peer:
        self.closing = True
        self._push()
        return self

    def reset(self) -> Peer:
        if not self.gone:
            self._emit(RST | ACK, self._next)
            self.gone = True
        return self

    def read(self, most: int | None = None) -> bytes:
        """Take bytes out, and tell the larger window."""
        count = len(self.received) if most is None else min(most, len(self.received))
        data = bytes(self.received[:count])
        del self.received[:count]
        if self.paused and self.established and not self.gone and not self.eof:
            self._emit(ACK, self._next)
        return data

    def acknowledge(self) -> Peer:
        self.hold_acks = False
        self._emit(ACK, self._next)
        return self

    def expect(self, data: bytes) -> Peer:
        """Assert that exactly these bytes have arrived since the last look."""
        self.settle()
        assert self.read() == data
        return self

    def expect_nothing(self) -> Peer:
        self.settle()
        assert not self.received
        assert not self.eof
        assert not self.was_reset
        return self

    def expect_eof(self) -> Peer:
        self.settle()
        assert not self.received, bytes(self.received)
        assert self.eof
        assert not self.was_reset
        return self

    def expect_reset(self) -> Peer:
        self.settle()
        assert not self.received, bytes(self.received)
        assert self.was_reset
        return self

    def take(self) -> bytes:
        """Let packets run, then take what arrived."""
        self.settle()
        return self.read()

    @property
    def unacknowledged(self) -> int:
        return len(self._out)

    # The protocol.

    def window(self) -> int:
        used = len(self.received) if self.paused else 0
        return max(self.limit - used, 0)

    def _emit(self, flags: int, sequence: int, payload: bytes = b"") -> None:
        options = struct.pack(">BBHBBBB", 2, 4, self.mss, 3, 3, SCALE, 0) if flags & SYN else b""
        window = self.window()
        field_value = min(window, 65535) if flags & SYN else window >> SCALE
        scaled = field_value if flags & SYN else field_value << SCALE
        if flags & ACK and _after(self._rcv + scaled, self._told) > 0:
            self._told = (self._rcv + scaled) & _MASK
        acknowledgment = self._rcv if flags & ACK else 0
        self.transmit(
            Segment(self.own[1], self.other[1], sequence, acknowledgment, flags, field_value, options, payload)
        )

    def _push(self) -> None:
        if not self.established or self.gone or self._fin_sent:
            return
        while True:
            offset = _after(self._next, self._una)
            size = min(len(self._out) - offset, self._their_mss, _after(self._edge, self._next))
            if size <= 0:
                break
            self._emit(ACK | PSH, self._next, bytes(self._out[offset : offset + size]))
            self._next = (self._next + size) & _MASK
        if self.closing and _after(self._next, self._una) == len(self._out):
            self._emit(FIN | ACK, self._next)
            self._next = (self._next + 1) & _MASK
            self._fin_sent = True

    def accept(self, syn: Segment) -> None:
        """Answer a SYN."""
        self._take_options(syn)
        self._rcv = self._told = (syn.sequence + 1) & _MASK
        self._edge = (self.iss + 1 + syn.window) & _MASK
        self._emit(SYN | ACK, self.iss)
        self._next = (self.iss + 1) & _MASK

    def _take_options(self, segment: Segment) -> None:
        mss, scale = option(segment.options, 2), option(segment.options, 3)
        assert mss is not None
        assert scale is not None
        self._their_mss, self._their_scale = int.from_bytes(mss, "big"), scale[0]

    def receive(self, segment: Segment, now: int) -> None:
        """Take one segment."""
        assert not (self.gone and segment.flags & SYN)
        if self.gone:
            if not segment.flags & RST:
                self.transmit(Segment(self.own[1], self.other[1], segment.acknowledgment, 0, RST, 0))
            return
        if segment.flags & RST and self.lossy and self.established and segment.sequence != self._rcv:
            self._emit(ACK, self._next)  # RFC 5961 §3.2: in the window, but not exactly
            return
        if segment.flags & RST:
            probe = 1 if self._told == self._rcv else 0  # the byte that was sent into a closed window
            assert not self.established or 0 <= _after(segment.sequence, self._rcv) <= probe
            self.was_reset = self.gone = True
            return
        if segment.flags & SYN:
            self._receive_syn(segment)
            return
        self._receive_ack(segment, now)
        self._receive_text(segment)
        self._push()

    def _receive_syn(self, segment: Segment) -> None:
        assert segment.flags & ACK
        assert segment.acknowledgment == self._next
        self._take_options(segment)
        self._una = self._next
        self._rcv = self._told = (segment.sequence + 1) & _MASK
        self._edge = (segment.acknowledgment + segment.window) & _MASK
        self.established = True
        self._emit(ACK, self._next)
        self._push()

    def _receive_ack(self, segment: Segment, now: int) -> None:
        acked = _after(segment.acknowledgment, self._una)
        assert _after(segment.acknowledgment, self._next) <= 0, "what was never sent is acknowledged"
        if not self.established:
            assert acked == 1
            self.established, acked = True, 0
            self._una = self._next
        if acked > 0:
            self._progress_at = now
            del self._out[:acked]
            self._una = segment.acknowledgment
        edge = (segment.acknowledgment + (segment.window << self._their_scale)) & _MASK
        if _after(edge, self._edge) > 0:
            self._edge = edge

    def _receive_text(self, segment: Segment) -> None:
        known = _after(self._rcv, segment.sequence)
        if not segment.payload and not segment.flags & FIN:
            return
        if known < 0:
            assert self.lossy, "a segment is missing"
            self._emit(ACK, self._next)
            return
        fresh = segment.payload[known:]
        room = _after(self._told, self._rcv)
        if fresh and room == 0:
            assert len(fresh) == 1, "more than a probe into a closed window"
            fresh = b""
        if fresh:
            assert not self.eof
            assert len(fresh) <= room, "more than the window"
            self.received += fresh
            self.total_received += len(fresh)
            self._rcv = (self._rcv + len(fresh)) & _MASK
        if segment.flags & FIN and not self.eof and known <= len(segment.payload):
            self.eof = True
            self._rcv = (self._rcv + 1) & _MASK
        if not self.hold_acks:
            self._emit(ACK, self._next)

    def tick(self, now: int) -> None:
        """Send again what was not acknowledged for long."""
        if self.gone or not self.established or not self._out or now - self._progress_at < RESEND_US:
            return
        self._progress_at = now
        if _after(self._next, self._una) > 0:
            self._next, self._fin_sent = self._una, False
            self._push()
