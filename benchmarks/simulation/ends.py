"""The hosts at the ends of the appliance: plain TCPs without retransmission, of which one sends and one receives."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from ncore_ray.lab.dry.packets import ethernet, internet_checksum, ip_bytes

MSS: Final = 1460
_SCALE: Final = 10
_WINDOW: Final = 8 << 20
_DELAYED_ACK_US: Final = 40_000
_CHUNK: Final = 16 * MSS
_WRAP: Final = 1 << 32
_HALF: Final = 1 << 31
FIN: Final = 1
SYN: Final = 2
RST: Final = 4
ACK: Final = 16
_PERIOD: Final = 65_521
CONTENT: Final = bytes((n * 167 + (n >> 8)) & 0xFF for n in range(_PERIOD)) * 2
"""What every stream consists of, over and over, from its first byte on."""


def content(position: int, length: int) -> bytes:
    """Return bytes of the stream, at the most `_PERIOD`."""
    start = position % _PERIOD
    return CONTENT[start : start + length]


@dataclass(frozen=True)
class Heard:
    """A segment that the engine sent."""

    ports: tuple[int, int]
    sequence: int
    acknowledgment: int
    flags: int
    window: int
    options: bytes
    payload: bytes


def read(frame: bytes) -> Heard:
    """Read a segment; the engine writes no IP options."""
    source, destination, sequence, acknowledgment, offset, flags, window = struct.unpack(">HHIIBBH", frame[34:50])
    end = 34 + (offset >> 4) * 4
    return Heard((source, destination), sequence, acknowledgment, flags, window, frame[54:end], frame[end:])


def _difference(a: int, b: int) -> int:
    return (a - b + _HALF) % _WRAP - _HALF


@cache
def _headers(mac: int, engine_mac: int, source: str, destination: str, length: int) -> bytes:
    """Return the Ethernet and IP headers of a packet of so many bytes."""
    start = struct.pack(">BBHHHBB", 0x45, 0, length, 0, 0, 64, 6)
    ends = ip_bytes(source) + ip_bytes(destination)
    sum_field = struct.pack(">H", internet_checksum(start + b"\0\0" + ends))
    return ethernet(start + sum_field + ends, 0x0800, engine_mac, mac)


@dataclass
class Host:
    """One end of one connection. Its packets carry no checksums of TCP: they are handed over as verified."""

    mac: int
    engine_mac: int
    own: tuple[str, int]
    engine: tuple[str, int]
    first: int = 1_000
    engine_first: int = 0

    def segment(self, flags: int, sequence: int, acknowledgment: int, data: bytes = b"", options: bytes = b"") -> bytes:
        """Return a frame; numbers count from the initial ones."""
        window = min(_WINDOW >> (0 if flags & SYN else _SCALE), 65535)
        head = struct.pack(
            ">HHIIBBHI",
            self.own[1],
            self.engine[1],
            (self.first + sequence) % _WRAP,
            (self.engine_first + acknowledgment) % _WRAP if flags & ACK else 0,
            (5 + len(options) // 4) << 4,
            flags,
            window,
            0,
        )
        body = head + options + data
        return _headers(self.mac, self.engine_mac, self.own[0], self.engine[0], 20 + len(body)) + body

    def syn_options(self, *, sack: bool) -> bytes:
        """Return what a SYN says."""
        return struct.pack(">BBHBBBB", 2, 4, MSS, 1, 3, 3, _SCALE) + (b"\1\1\4\2" if sack else b"")


@dataclass
class Source(Host):
    """Sends a stream as fast as the engine takes it, on a wire that loses nothing."""

    size: int = 0
    sent: int = 0
    acknowledged: int = 0
    scale: int = 0
    ended: bool = False

    def take(self, heard: Heard) -> list[bytes]:
        """Take a segment of the engine; return what is sent."""
        if heard.flags & SYN:
            self.engine_first = heard.sequence
            self.scale = heard.options[heard.options.index(b"\3\3") + 2]
            return [self.segment(SYN | ACK, 0, 1, b"", self.syn_options(sack=False))]
        self.acknowledged = max(self.acknowledged, _difference(heard.acknowledgment, self.first) - 1)
        frames = []
        if heard.flags & FIN:
            frames.append(self.segment(ACK, self.sent + 1 + self.ended, 2))
        room = self.acknowledged + (heard.window << self.scale)
        while self.sent < self.size and self.sent + min(_CHUNK, self.size - self.sent) <= room:
            data = content(self.sent, min(_CHUNK, self.size - self.sent))
            frames.append(self.segment(ACK, 1 + self.sent, 1, data))
            self.sent += len(data)
        if self.sent == self.size and not self.ended:
            self.ended = True
            frames.append(self.segment(FIN | ACK, 1 + self.size, 1))
        return frames


@dataclass
class Sink(Host):
    """Receives a stream, checks every byte, and acknowledges as RFC 5681, RFC 2018 and RFC 2883 say."""

    sack: bool = True
    timestamps: bool = False
    recent: int = 0
    """The engine's timestamp to echo (RFC 7323 §4.3)."""
    now: int = 0
    position: int = 0
    """What is expected next, from the first byte on."""
    early: list[tuple[int, int]] = field(default_factory=list)
    """Blocks that came too early, that of the latest segment first."""
    twice: tuple[int, int] | None = None
    waiting: int = 0
    acknowledge_at: int = 0
    end: int = -1
    """Position of the FIN."""
    finished_at: int = 0

    def open(self, now: int) -> bytes:
        """Return the SYN."""
        self.now = now
        return self.segment(SYN, 0, 0, b"", self.syn_options(sack=self.sack) + self._stamp())

    def _stamp(self) -> bytes:
        """Return the timestamps option, if both ends have it."""
        if not self.timestamps:
            return b""
        return struct.pack(">BBBBII", 1, 1, 8, 10, (self.now >> 10) % _WRAP, self.recent)

    def _note_stamp(self, heard: Heard) -> None:
        at = heard.options.find(b"\x08\x0a")
        if at < 0:
            self.timestamps = self.timestamps and not heard.flags & SYN
        elif heard.flags & SYN or _difference(heard.sequence, self.engine_first) - 1 <= self.position:
            self.recent = int.from_bytes(heard.options[at + 2 : at + 6], "big")

    def take(self, heard: Heard, now: int) -> list[bytes]:
        """Take a segment; return what is sent at once."""
        self.now = now
        self._note_stamp(heard)
        if heard.flags & RST:
            raise ConnectionResetError(f"the connection of port {self.own[1]} was reset at {now} µs")
        if heard.flags & SYN:
            self.engine_first = heard.sequence
            return [self.segment(ACK, 1, 1, b"", self._stamp())]
        start = _difference(heard.sequence, self.engine_first) - 1
        if heard.flags & FIN:
            self.end = start + len(heard.payload)
        at_once = self._take_text(start, heard.payload) if heard.payload else bool(heard.flags & FIN)
        if self.end == self.position and not self.finished_at:
            self.finished_at = now
            at_once = True
        if at_once or self.waiting >= 2:
            return [self._acknowledgment()]
        if self.waiting and not self.acknowledge_at:
            self.acknowledge_at = now + _DELAYED_ACK_US
        return []

    def tick(self, now: int) -> list[bytes]:
        """Return an acknowledgment that has waited long enough."""
        self.now = now
        return [self._acknowledgment()] if 0 < self.acknowledge_at <= now else []

    def _take_text(self, start: int, payload: bytes) -> bool:
        """Take bytes; return whether they have to be acknowledged at once."""
        if payload != content(start, len(payload)):
            raise ValueError(f"wrong bytes at {start}")
        end = start + len(payload)
        if end <= self.position or any(a <= start and end <= b for a, b in self.early):
            self.twice = (start, end)
            return True
        if start > self.position:
            self._keep(start, end)
            return True
        had_early = bool(self.early)
        self.position = end
        while self.early and min(self.early)[0] <= self.position:
            block = min(self.early)
            self.early.remove(block)
            self.position = max(self.position, block[1])
        self.waiting += 1
        return had_early

    def _keep(self, start: int, end: int) -> None:
        touching = [block for block in self.early if block[0] <= end and start <= block[1]]
        for block in touching:
            self.early.remove(block)
        whole = (min([start, *(a for a, _ in touching)]), max([end, *(b for _, b in touching)]))
        self.early.insert(0, whole)

    def _acknowledgment(self) -> bytes:
        self.waiting = self.acknowledge_at = 0
        blocks = ([self.twice] if self.twice else []) + self.early
        self.twice = None
        options = b""
        if blocks and self.sack:
            most = 3 if self.timestamps else 4
            edges = [(self.engine_first + 1 + edge) % _WRAP for block in blocks[:most] for edge in block]
            options = struct.pack(f">BBBB{len(edges)}I", 1, 1, 5, 2 + 4 * len(edges), *edges)
        received = self.position + 1 + (self.end == self.position)
        return self.segment(ACK, 1, received, b"", self._stamp() + options)
