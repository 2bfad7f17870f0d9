"""Plays a script: its own end by its lines, the end at the engine's other side by itself, as an application would."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from typing import Final

from ncore_ray.lab.dry.packets import arp, ethernet, icmp, ip_bytes, ipv4, tcp
from tests.conformance.language import Source, Start, Step
from tests.conformance.segment import (
    FLAGS,
    WRAP,
    Option,
    Segment,
    SegmentError,
    decode_options,
    differs,
    encode_options,
    parse_segment,
)
from tests.conformance.world import World, state_name
from tests.support.tcp_peer import Peer
from tests.support.tcp_peer import Segment as PeerSegment
from tests.support.tcp_peer import read_segment as read_peer_segment
from tests.support.tcp_script import BEFORE_WRAP, pattern, read_segment

_SYN: Final = parse_segment("S 0 win 65535 <mss 1460>")
_DEFAULT_MSS, _MOST = 536, 1460
_PATIENCE_US: Final = 3_000_000
_FAR_FIRST: Final = 0x1234_5678


class ConformanceError(AssertionError):
    """The engine did something else than the script says; the message begins with file and line."""


@dataclass
class _Near:
    """The script's own end."""

    nic: int
    own: tuple[str, int]
    engine: tuple[str, int]
    first: int = BEFORE_WRAP
    engine_first: int = -1
    mss: int = _DEFAULT_MSS
    """What it has said to take in one segment; an appliance lets the device cut what is longer."""
    inbox: list[tuple[int, Segment]] = field(default_factory=list)


class Player:
    """One play of one script in a world."""

    def __init__(self, source: Source, world: World) -> None:
        self.source, self.world = source, world
        place = world.place
        is_client = source.end == "client"
        self.near = _Near(0, place.client, place.vip) if is_client else _Near(1, place.service, (place.snip, 0))
        self.far: Peer | None = None
        self.far_nic = 1 - self.near.nic
        self.at_us = 0
        self.marked_us = 0
        self.trace: list[str] = []
        self._counters: dict[str, int] = {}
        self._paused = False

    def play(self) -> None:
        """Play the script. Raises ConformanceError."""
        if self.source.start is Start.ESTABLISHED:
            self._establish()
        self.marked_us = self.world.now_us()
        names = [step.words[1] for step in self.source.steps if step.kind == "~" and step.words[0] == "counter"]
        self._counters = {name: self.world.counter(name) or 0 for name in names}
        for step in self.source.steps:
            self._do(step)
        self._advance(self.world.now_us())
        last = self.source.steps[-1]
        self._check_quiet(last, "the script has ended")
        self.world.end()

    # Steps.

    def _do(self, step: Step) -> None:
        base = self.at_us if step.relative else 0
        earliest, latest = base + step.earliest_us, base + (step.latest_us or step.earliest_us)
        if step.kind == ">":
            self._expect(step, earliest, latest)
            return
        if step.kind != "~":
            self.at_us = earliest
            self._advance(self.marked_us + earliest, stop_at_packet=True)
            self._check_quiet(step, f"before {step.text!r}")
        try:
            self._act(step)
        except AssertionError as error:
            if isinstance(error, ConformanceError):
                raise
            raise self._error(step, str(error)) from error

    def _act(self, step: Step) -> None:
        kind, value = step.kind, int(step.words[0]) if step.words and step.words[0].isdecimal() else 0
        if kind == "<":
            assert step.segment is not None
            self._note("<", step.segment)
            self.world.send(self.near.nic, self._frame(step.segment))
        elif kind == "icmp":
            self._send_icmp(step.words)
        elif kind == "~":
            self._look(step)
        elif kind == "state":
            self._advance(self.world.now_us())
            if self.world.sees_inside():
                found = state_name(self.world.tcb(self.near.nic))
                assert found == step.words[0], f"the connection is in state {found}"
        elif kind == "connect":
            self._connect()
        elif kind != "quiet":
            self._advance(self.world.now_us())
            self._application(kind, value)
        self._advance(self.world.now_us())

    def _application(self, kind: str, value: int) -> None:
        far = self.far
        assert far is not None, "there is no connection at the engine's other side"
        if kind == "write":
            far.send(pattern(1 + far.total_sent, value))
        elif kind == "close":
            far.close()
        elif kind == "abort":
            far.reset()
        elif kind == "pause":
            far.paused = True
        elif kind == "resume":
            far.read()
            far.paused = False
        elif kind == "send-buffer-full":
            assert far.unacknowledged, "the engine takes all that is written"
        else:
            self._await(lambda: self._is_so(far, kind, value))
            assert self._is_so(far, kind, value), (
                f"{far.total_received} bytes were received{', then the end' if far.eof else ''}"
                f"{', then a reset' if far.was_reset else ''}"
            )

    def _is_so(self, far: Peer, kind: str, value: int) -> bool:
        if kind == "received":
            return far.total_received == value
        return {"eof": far.eof, "aborted": far.was_reset, "open": not (far.eof or far.was_reset)}[kind]

    def _look(self, step: Step) -> None:
        kind, name, wanted = step.words
        self._advance(self.world.now_us())
        if not self.world.sees_inside():
            return
        if kind == "counter":
            value = self.world.counter(name)
            assert value is not None, f"there is no counter {name}"
            found = value - self._counters[name]
        else:
            tcb = self.world.tcb(self.near.nic)
            assert tcb is not None, "there is no connection"
            found = int(getattr(tcb, name))
        assert found == int(wanted), f"{name} is {found}"

    def _expect(self, step: Step, earliest: int, latest: int) -> None:
        assert step.segment is not None
        tolerance = self.world.tolerance_us
        self._advance(self.marked_us + latest + tolerance, stop_at_packet=True)
        if not self.near.inbox:
            raise self._error(step, f"nothing came until {(latest + tolerance) / 1e6:.3f}")
        at, found = self.near.inbox.pop(0)
        at -= self.marked_us
        self.at_us = at
        if differs(step.segment, found, pushes=self.world.sees_inside()):
            raise self._error(step, f"{found} came at {at / 1e6:.3f}")
        if not earliest - tolerance <= at <= latest + tolerance:
            raise self._error(step, f"it came at {at / 1e6:.3f}, which is not {_span(earliest, latest)}")

    def _check_quiet(self, step: Step, when: str) -> None:
        if self.near.inbox:
            at, found = self.near.inbox[0]
            raise self._error(step, f"{found} came at {(at - self.marked_us) / 1e6:.3f}, {when}")

    def _error(self, step: Step, text: str) -> ConformanceError:
        trace = "\n    ".join(self.trace[-30:])
        where = f"{self.source.path}:{step.line}: {step.text}"
        return ConformanceError(f"{where}\n  {text}\n  {self.source.heading}\n    {trace}")

    def _note(self, arrow: str, segment: Segment) -> None:
        self.trace.append(f"{(self.world.now_us() - self.marked_us) / 1e6:.3f} {arrow} {segment}")

    # Time and packets.

    def _advance(self, until_us: int, *, stop_at_packet: bool = False) -> None:
        self.world.advance(until_us, self._take, lambda: stop_at_packet and bool(self.near.inbox))
        if stop_at_packet and self.near.inbox:
            return
        self.world.advance(self.world.now_us(), self._take, lambda: False)

    def _await(self, ready: object) -> None:
        """In a world with a clock of its own, wait a little for what is on its way."""
        assert callable(ready)
        grace = self.world.now_us() + (0 if self.world.sees_inside() else self.world.tolerance_us)
        self.world.advance(grace, self._take, lambda: bool(ready()))

    def _take(self, nic: int, frame: bytes, at_us: int) -> None:
        if frame[12:14] == b"\x08\x06":
            self._answer_arp(nic, frame)
        elif nic == self.near.nic:
            self._take_near(frame, at_us)
        else:
            self._take_far(frame)

    def _answer_arp(self, nic: int, frame: bytes) -> None:
        place = self.world.place
        address = (place.client, place.service)[nic][0]
        if frame[20:22] == b"\0\1" and frame[38:42] == ip_bytes(address):
            asker = ".".join(str(byte) for byte in frame[28:32])
            body = arp(2, place.own_macs[nic], address, place.macs[nic], asker)
            self.world.send(nic, ethernet(body, 0x0806, place.macs[nic], place.own_macs[nic]))

    def _take_near(self, frame: bytes, at_us: int) -> None:
        raw, near = read_segment(self.near.nic, frame), self.near
        if raw.destination != (ip_bytes(near.own[0]), near.own[1]):
            return
        if near.nic == 1 and not raw.flags & FLAGS["S"] and near.engine[1] != raw.source[1]:
            return  # of a connection of before
        if raw.flags & FLAGS["S"]:
            near.engine_first = raw.sequence
            near.engine = (near.engine[0], raw.source[1])
        first = max(near.engine_first, 0)
        flags = "".join(letter for letter in "SFRPAUEW" if raw.flags & FLAGS[letter])
        segment = Segment(
            flags,
            (raw.sequence - first) % WRAP if raw.sequence or "A" in flags or near.engine_first >= 0 else 0,
            len(raw.payload),
            (raw.acknowledgment - near.first) % WRAP if "A" in flags else None,
            raw.window,
            0,
            decode_options(raw.options, near.first),
            payload=raw.payload,
        )
        self._note(">", segment)
        if raw.payload != pattern(segment.sequence, len(raw.payload)):
            raise ConformanceError(f"{self.source.path}: other bytes than were written: {segment}")
        most = segment.length if self.world.sees_inside() else near.mss
        near.inbox += [(at_us, piece) for piece in _pieces(segment, most)]

    def _take_far(self, frame: bytes) -> None:
        segment = read_peer_segment(frame[34:])
        place = self.world.place
        if self.far_nic == 1 and segment.flags & FLAGS["S"] and segment.destination_port == place.service[1]:
            self.far = self._peer(place.service, (place.snip, segment.source_port))
            self.far.accept(segment)
        elif self.far is not None and (segment.destination_port, segment.source_port) == (
            self.far.own[1],
            self.far.other[1],
        ):
            self.far.receive(segment, self.world.now_us())
            total = self.far.total_received
            tail = bytes(self.far.received[-64:])
            if tail != pattern(1 + total - len(tail), len(tail)):
                raise ConformanceError(f"{self.source.path}: other bytes came through than were sent")

    def _peer(self, own: tuple[str, int], other: tuple[str, int]) -> Peer:
        return Peer(own, other, self._transmit_far, lambda: None, _FAR_FIRST)

    def _transmit_far(self, segment: PeerSegment) -> None:
        assert self.far is not None
        body = tcp(
            *self.far.own,
            *self.far.other,
            segment.flags,
            segment.payload,
            sequence=segment.sequence,
            acknowledgment=segment.acknowledgment,
            window=segment.window,
            options=segment.options,
        )
        packet = ipv4(self.far.own[0], self.far.other[0], 6, body)
        place = self.world.place
        frame = ethernet(packet, 0x0800, place.macs[self.far_nic], place.own_macs[self.far_nic])
        self.world.send(self.far_nic, frame)

    # What the script's end sends.

    def _frame(self, segment: Segment) -> bytes:
        near, place = self.near, self.world.place
        if "S" in segment.flags:
            offered = [option.values[0] for option in segment.options if option.name == "mss"]
            near.mss = min(offered[0] if offered else _DEFAULT_MSS, _MOST)
        modifiers = segment.modifiers
        destination = int(modifiers.get("port", near.engine[1]))
        raw = tcp(
            *near.own,
            near.engine[0],
            destination,
            sum(FLAGS[letter] for letter in segment.flags),
            pattern(segment.sequence, segment.length),
            sequence=(segment.sequence + near.first) % WRAP,
            acknowledgment=((segment.ack or 0) + max(near.engine_first, 0)) % WRAP if segment.ack is not None else 0,
            window=65535 if segment.window is None else segment.window,
            options=encode_options(segment.options, max(near.engine_first, 0)),
        )
        raw = _modified(raw, segment, near)
        return ethernet(
            ipv4(near.own[0], near.engine[0], 6, raw), 0x0800, place.macs[near.nic], place.own_macs[near.nic]
        )

    def _send_icmp(self, words: tuple[str, ...]) -> None:
        """Send an ICMP error about a segment of the engine with this sequence number."""
        near, place = self.near, self.world.place
        kind, code, sequence = int(words[0]), int(words[1]), int(words[3])
        mtu = int(words[5]) if len(words) > 4 else 0
        quoted = tcp(*near.engine, *near.own, FLAGS["A"], sequence=(sequence + near.engine_first) % WRAP)
        packet = ipv4(near.engine[0], near.own[0], 6, quoted)[:28]
        body = icmp(kind, code, struct.pack(">HH", 0, mtu) + packet)
        self.trace.append(f"{(self.world.now_us() - self.marked_us) / 1e6:.3f} < icmp {' '.join(words)}")
        frame = ethernet(
            ipv4(near.own[0], near.engine[0], 1, body), 0x0800, place.macs[near.nic], place.own_macs[near.nic]
        )
        self.world.send(near.nic, frame)

    # Handshakes.

    def _connect(self) -> None:
        assert self.source.end == "service", "only where the engine connects to the script's end does a client connect"
        place = self.world.place
        self.far = self._peer(place.client, place.vip)
        self.far.connect()

    def _establish(self) -> None:
        """Open both sides of the engine, by the book, before the script's time begins."""
        given = self.source.start_segment
        syn = _SYN if given is None else _with_defaults(given)
        if self.source.end == "client":
            self.world.send(0, self._frame(syn))
            self._obtain("SA")
            self._advance(self.world.now_us() + self.source.rtt_us)
            self.world.send(0, self._frame(Segment("A", 1, ack=1, options=_stamps(syn))))
        else:
            self._connect()
            self._obtain("S")
            self._advance(self.world.now_us() + self.source.rtt_us)
            answer = Segment("SA", 0, ack=1, window=syn.window, options=syn.options)
            self.world.send(1, self._frame(answer))
            self._obtain("A")
        limit = self.world.now_us() + _PATIENCE_US
        self.world.advance(limit if not self.world.sees_inside() else 0, self._take, self._far_is_open)
        assert self._far_is_open(), f"{self.source.path}: no connection at the engine's other side"
        assert not self.near.inbox, f"{self.source.path}: {self.near.inbox} during the handshake"

    def _far_is_open(self) -> bool:
        return self.far is not None and self.far.established

    def _obtain(self, flags: str) -> Segment:
        self._advance(self.world.now_us() + (0 if self.world.sees_inside() else _PATIENCE_US), stop_at_packet=True)
        assert self.near.inbox, f"{self.source.path}: the engine does not answer"
        segment = self.near.inbox.pop(0)[1]
        assert segment.flags == flags, f"{self.source.path}: {segment} during the handshake"
        return segment


def _pieces(segment: Segment, mss: int) -> list[Segment]:
    """Cut a segment that is longer than the other end's MSS as the device would; PSH and FIN go with the last piece."""
    if segment.length <= mss or segment.length == 0:
        return [segment]
    pieces = []
    for start in range(0, segment.length, mss):
        end = min(start + mss, segment.length)
        flags = segment.flags if end == segment.length else segment.flags.replace("P", "").replace("F", "")
        pieces.append(replace(segment, flags=flags, sequence=segment.sequence + start, length=end - start))
    return pieces


def _with_defaults(given: Segment) -> Segment:
    window = 65535 if given.window is None else given.window
    return Segment("S", 0, window=window, options=given.options)


def _stamps(syn: Segment) -> tuple[Option, ...]:
    """A connection with timestamps has them in every segment; the echo of the first acknowledgment is not looked at."""
    stamps = [option for option in syn.options if option.name == "ts"]
    return (Option("nop"), Option("nop"), Option("ts", (stamps[0].values[0], 0))) if stamps else ()


def _modified(raw: bytes, segment: Segment, near: _Near) -> bytes:
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
        pseudo = ip_bytes(near.own[0]) + ip_bytes(near.engine[0]) + struct.pack(">HH", 6, len(body))
        from ncore_ray.lab.dry.packets import internet_checksum

        body[16:18] = internet_checksum(pseudo + bytes(body)).to_bytes(2, "big")
    if "checksum" in segment.modifiers:
        body[16] ^= 0x55
    return bytes(body)


def _span(earliest: int, latest: int) -> str:
    return f"{earliest / 1e6:.3f}" if earliest == latest else f"{earliest / 1e6:.3f}..{latest / 1e6:.3f}"


__all__ = ["ConformanceError", "Player", "SegmentError"]
