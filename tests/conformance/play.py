"""Plays a script: its own end by its lines, the end at the engine's other side by itself, as an application would."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ncore_ray.lab.dry.packets import arp, ethernet, ip_bytes, ipv4, tcp
from tests.conformance.language import Source, Start, Step
from tests.conformance.near import Near
from tests.conformance.segment import WRAP, Option, Segment, SegmentError, differs, parse_segment, pieces_of
from tests.conformance.world import World, control_of, state_name
from tests.support.tcp_peer import Peer
from tests.support.tcp_peer import Segment as PeerSegment
from tests.support.tcp_peer import read_segment as read_peer_segment
from tests.support.tcp_script import pattern

_SYN: Final = parse_segment("S 0 win 65535 <mss 1460>")
_SYN_FLAG: Final = 2
_PATIENCE_US: Final = 3_000_000
_FAR_FIRST: Final = 0x1234_5678


class ConformanceError(AssertionError):
    """The engine did something else than the script says; the message begins with file and line."""


class Player:
    """One play of one script in a world."""

    def __init__(self, source: Source, world: World) -> None:
        self.source, self.world = source, world
        place = world.place
        is_client = source.end == "client"
        ends = (place.client, place.vip) if is_client else (place.service, (place.snip, 0))
        nic = 0 if is_client else 1
        self.near = Near(nic, *ends, (place.macs[nic], place.own_macs[nic]))
        self.far: Peer | None = None
        self.far_nic = 1 - self.near.nic
        self.at_us = 0
        self.marked_us = 0
        self.trace: list[str] = []
        self._counters: dict[str, int] = {}
        self._is_run = False
        """The segments that came last were a run of several."""

    def play(self) -> None:
        """Play the script. Raises ConformanceError."""
        if self.source.start is Start.ESTABLISHED:
            self._establish()
        self.marked_us = self.world.now_us()
        self.near.stamps.clear()
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
        if step.kind in (">", ">>"):
            for piece in self.near.run(step):
                self._expect(step, piece, earliest, latest)
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
        if kind in ("<", "<<"):
            self._is_run = kind == "<<"
            for piece in self.near.run(step):
                self._note("<", piece)
                self.world.send(self.near.nic, self.near.frame(piece))
        elif kind in ("anew", "again"):
            self._begin_again(kind)
        elif kind in ("isn-by-clock", "isn-elsewhere"):
            self._judge_numbers(kind)
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
        kind, name, wanted, *slack = step.words
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
            found = int(getattr(control_of(tcb) if kind == "cubic" else tcb, name))
        assert abs(found - int(wanted)) <= int(slack[0] if slack else 0), f"{name} is {found}"

    def _begin_again(self, kind: str) -> None:
        """The script's end opens another connection."""
        assert self.near.nic == 0, "only a client can open another connection"
        self._advance(self.world.now_us())
        self.near.begin_again(1 if kind == "anew" else 0)
        self.world.place = replace(self.world.place, client=self.near.own)

    def _judge_numbers(self, kind: str) -> None:
        """RFC 6528 §3: a clock (of 16 numbers a µs), plus what only the engine knows of the addresses and ports."""
        self._advance(self.world.now_us())
        assert len(self.near.numbers) > 1, "the engine has sent one SYN only"
        (before_us, before), (now_us, now) = self.near.numbers[-2:]
        away = (now - before - (now_us - before_us) * 16 + WRAP // 2) % WRAP - WRAP // 2
        slack = self.world.tolerance_us * 16
        assert (abs(away) <= slack) == (kind == "isn-by-clock"), f"it is {away} away from what the clock says"

    def _expect(self, step: Step, expected: Segment, earliest: int, latest: int) -> None:
        tolerance = self.world.tolerance_us
        until = self.marked_us + latest + tolerance
        self._advance(until, stop_at_packet=True)
        while self._is_of_a_part(expected):
            self.near.inbox.pop(0)
            self._advance(until, stop_at_packet=True)
        if not self.near.inbox:
            raise self._error(step, f"nothing came until {(latest + tolerance) / 1e6:.3f}")
        at, found = self.near.inbox.pop(0)
        at -= self.marked_us
        self.at_us = at
        if differs(expected, found, pushes=self.world.sees_inside()):
            raise self._error(step, f"{found} came at {at / 1e6:.3f}")
        if not earliest - tolerance <= at <= latest + tolerance:
            raise self._error(step, f"it came at {at / 1e6:.3f}, which is not {_span(earliest, latest)}")

    def _is_of_a_part(self, expected: Segment) -> bool:
        """Return whether the next segment acknowledges a part of a run: on a wire all of it is not there at once."""
        if not self._is_run or self.world.sees_inside() or not self.near.inbox:
            return False
        found = self.near.inbox[0][1]
        return found.flags == expected.flags == "A" and found.length == 0 and (found.ack or 0) < (expected.ack or 0)

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
        near = self.near
        segment = near.read(frame, at_us)
        if segment is None:
            return
        self._note(">", segment)
        if segment.payload != pattern(segment.sequence, segment.length):
            raise ConformanceError(f"{self.source.path}: other bytes than were written: {segment}")
        most = segment.length if self.world.sees_inside() else near.mss
        near.inbox += [(at_us, piece) for piece in pieces_of(segment, most)]

    def _take_far(self, frame: bytes) -> None:
        segment = read_peer_segment(frame[34:])
        place = self.world.place
        if self.far_nic == 1 and segment.flags & _SYN_FLAG and segment.destination_port == place.service[1]:
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

    def _send_icmp(self, words: tuple[str, ...]) -> None:
        self.trace.append(f"{(self.world.now_us() - self.marked_us) / 1e6:.3f} < icmp {' '.join(words)}")
        self.world.send(self.near.nic, self.near.icmp_frame(words))

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
        ecn = self.source.ecn
        if self.source.end == "client":
            self.world.send(0, self.near.frame(replace(syn, flags="SEW") if ecn else syn))
            self._obtain("SAE" if ecn else "SA")
            self._advance(self.world.now_us() + self.source.rtt_us)
            self.world.send(0, self.near.frame(Segment("A", 1, ack=1, options=_stamps(syn))))
        else:
            self._connect()
            self._obtain("SEW" if self.source.ecn else "S")
            self._advance(self.world.now_us() + self.source.rtt_us)
            answer = Segment("SAE" if ecn else "SA", 0, ack=1, window=syn.window, options=syn.options)
            self.world.send(1, self.near.frame(answer))
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


def _with_defaults(given: Segment) -> Segment:
    window = 65535 if given.window is None else given.window
    return Segment("S", 0, window=window, options=given.options)


def _stamps(syn: Segment) -> tuple[Option, ...]:
    """A connection with timestamps has them in every segment; the echo of the first acknowledgment is not looked at."""
    stamps = [option for option in syn.options if option.name == "ts"]
    return (Option("nop"), Option("nop"), Option("ts", (stamps[0].values[0], 0))) if stamps else ()


def _span(earliest: int, latest: int) -> str:
    return f"{earliest / 1e6:.3f}" if earliest == latest else f"{earliest / 1e6:.3f}..{latest / 1e6:.3f}"


__all__ = ["ConformanceError", "Player", "SegmentError"]
