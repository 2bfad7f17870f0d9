"""The end that a script writes: frames from segments with relative numbers, and segments from the engine's frames."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from typing import Final

from ncore_ray.lab.dry.packets import ethernet, icmp, internet_checksum, ip_bytes, ipv4, pseudo_header, tcp
from tests.conformance.language import Step
from tests.conformance.segment import ANY, FIRST, FLAGS, LAST, WRAP, Option, Segment, decode_options, encode_options
from tests.conformance.segment import pieces_of as cut
from tests.support.tcp_script import BEFORE_WRAP, pattern, read_segment

_DEFAULT_MSS, _MOST = 536, 1460
_TIMESTAMPS: Final = 12
"""Bytes of every segment where timestamps are spoken."""


@dataclass
class Near:
    """The script's own end of one connection after the other."""

    nic: int
    own: tuple[str, int]
    engine: tuple[str, int]
    macs: tuple[int, int]
    """The engine's, and its own."""
    first: int = BEFORE_WRAP
    engine_first: int = -1
    mss: int = _DEFAULT_MSS
    """What it has said to take in one segment; an appliance lets the device cut what is longer."""
    inbox: list[tuple[int, Segment]] = field(default_factory=list)
    stamps: list[int] = field(default_factory=list)
    """Timestamps of the engine since the script's start."""
    cookie: bytes = b""
    """Of Fast Open, as the engine told it last."""
    numbers: list[tuple[int, int]] = field(default_factory=list)
    """Initial sequence numbers of the engine, and when they came."""

    _answered: dict[tuple[tuple[str, int], tuple[str, int]], tuple[int, int]] = field(default_factory=dict)
    """For each connection what the engine acknowledged last, and what it has sent, absolute."""

    def begin_again(self, ports_on: int) -> None:
        """Let a new connection begin."""
        self.own = (self.own[0], self.own[1] + ports_on)
        self.engine_first, self.mss = -1, _DEFAULT_MSS

    def run(self, step: Step) -> list[Segment]:
        """Return the segments that a line stands for."""
        assert step.segment is not None
        if len(step.kind) == 1:
            return [step.segment]
        stamped = any(option.name == "ts" for option in step.segment.options)
        return cut(step.segment, self.mss - (_TIMESTAMPS if stamped else 0))

    # What comes from the engine.

    def read(self, frame: bytes, at_us: int) -> Segment | None:
        """Return a segment to this end, or None if it belongs to a connection of before."""
        raw = read_segment(self.nic, frame)
        if raw.destination != (ip_bytes(self.own[0]), self.own[1]):
            return None
        is_syn = raw.flags & FLAGS["S"]
        if self.nic == 1 and not is_syn and self.engine[1] != raw.source[1]:
            return None
        if is_syn:
            self._take_number(raw.sequence, at_us)
            self.engine = (self.engine[0], raw.source[1])
        if raw.flags & FLAGS["A"]:
            self._answered[self.own, self.engine] = (raw.acknowledgment, raw.sequence)
        flags = "".join(letter for letter in "SFRPAUEW" if raw.flags & FLAGS[letter])
        return Segment(
            flags,
            self._relative(raw.sequence) if raw.sequence or "A" in flags or self.engine_first >= 0 else 0,
            len(raw.payload),
            (raw.acknowledgment - self.first) % WRAP if "A" in flags else None,
            raw.window,
            ecn=raw.mark,
            options=self._learned(decode_options(raw.options, self.first)),
            payload=raw.payload,
        )

    def _relative(self, sequence: int) -> int:
        return (sequence - max(self.engine_first, 0)) % WRAP

    def _take_number(self, number: int, at_us: int) -> None:
        if self.engine_first != number:
            self.numbers.append((at_us, number))
        self.engine_first = number

    def _learned(self, options: tuple[Option, ...]) -> tuple[Option, ...]:
        for option in options:
            if option.name == "ts":
                self.stamps.append(option.values[0])
            elif option.name == "fo" and option.raw:
                self.cookie = option.raw
        return options

    # What is sent to it.

    def frame(self, segment: Segment) -> bytes:
        """Return the frame of a segment."""
        if "S" in segment.flags:
            offered = [option.values[0] for option in segment.options if option.name == "mss"]
            self.mss = min(offered[0] if offered else _DEFAULT_MSS, _MOST)
        engine_first = max(self.engine_first, 0)
        raw = tcp(
            *self.own,
            self.engine[0],
            int(segment.modifiers.get("port", self.engine[1])),
            sum(FLAGS[letter] for letter in segment.flags),
            pattern(segment.sequence + ("S" in segment.flags), segment.length),
            sequence=(segment.sequence + self.first) % WRAP,
            acknowledgment=((segment.ack or 0) + engine_first) % WRAP if segment.ack is not None else 0,
            window=65535 if segment.window is None else segment.window,
            options=encode_options(tuple(map(self._resolved, segment.options)), engine_first),
        )
        return self._packed(6, self._modified(raw, segment), segment.ecn)

    def _resolved(self, option: Option) -> Option:
        """Put in what the engine has said before."""
        if option.name == "ts" and option.values[1] in (FIRST, LAST):
            assert self.stamps, "the engine has sent no timestamp yet"
            return replace(option, values=(option.values[0], self.stamps[0 if option.values[1] == FIRST else -1]))
        if option.name == "fo" and option.values == (ANY,):
            assert self.cookie, "the engine has told no cookie yet"
            return Option("fo", (), self.cookie)
        return option

    def resets(self) -> list[bytes]:
        """Return for each connection a reset of the number that the engine expects."""
        frames = []
        for (own, engine), (expected, sent) in self._answered.items():
            raw = tcp(*own, *engine, FLAGS["R"] | FLAGS["A"], sequence=expected, acknowledgment=sent)
            frames.append(ethernet(ipv4(own[0], engine[0], 6, raw), 0x0800, *self.macs))
        return frames

    def icmp_frame(self, words: tuple[str, ...]) -> bytes:
        """Return the frame of an ICMP error about a segment of the engine.

        TYPE CODE seq NUMBER [mtu NUMBER] [length NUMBER]: it quotes headers and ports of a segment of so much payload.
        """
        kind, code = int(words[0]), int(words[1])
        given = {name: int(number) for name, number in zip(words[2::2], words[3::2], strict=True)}
        sequence, mtu, data = given["seq"], given.get("mtu", 0), bytes(given.get("length", 0))
        quoted = tcp(*self.engine, *self.own, FLAGS["A"], data, sequence=(sequence + self.engine_first) % WRAP)
        packet = ipv4(self.engine[0], self.own[0], 6, quoted)[:28]
        return self._packed(1, icmp(kind, code, struct.pack(">HH", 0, mtu) + packet))

    def _packed(self, protocol: int, body: bytes, mark: int = 0) -> bytes:
        return ethernet(ipv4(self.own[0], self.engine[0], protocol, body, mark=mark), 0x0800, *self.macs)

    def _modified(self, raw: bytes, segment: Segment) -> bytes:
        """Write into a segment what no library would, with the checksum that belongs to it, or with a bad one."""
        body = bytearray(raw)
        if segment.urgent:
            body[18:20] = segment.urgent.to_bytes(2, "big")
        if "offset" in segment.modifiers:
            body[12] = int(segment.modifiers["offset"]) << 4
        if "cut" in segment.modifiers:
            del body[-int(segment.modifiers["cut"]) :]
        if segment.urgent or "offset" in segment.modifiers:
            body[16:18] = b"\0\0"
            whole = pseudo_header(self.own[0], self.engine[0], 6, len(body)) + bytes(body)
            body[16:18] = internet_checksum(whole).to_bytes(2, "big")
        if "checksum" in segment.modifiers:
            body[16] ^= 0x55
        return bytes(body)
