"""Timed send/expect scripts for TCP, in the manner of packetdrill, on an engine that is breathed by hand.

with established("client") as s:            # a proxied pair; `s.end` is the client's end, `s.other` the service's
    s.end.sends("PA", data=3)               # three bytes of a known pattern
    s.other.gets("PA 1+3 ack 1")            # everything that this end got since the last look, and nothing else
    s.wait(41)                              # ms
    s.end.gets("A 1 ack 4")
    s.counted(delayed_acks=1)               # all other counters follow from the packets, or did not change

Sequence numbers are relative to the initial ones, which stand right before the wrap to 0. When a script ends, all
packets must have been looked at, the counters must be as said, and nothing may have leaked.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv4Address
from types import TracebackType
from typing import Final

from ncore_ray.arena.frame import FRAME_SIZE, Checksum
from ncore_ray.engine.connection import Role, Tcb
from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.lab.dry.engine import NIC_MACS, START, EngineLab, Totals
from ncore_ray.lab.dry.packets import arp, ethernet, ip_bytes, ipv4, tcp

VIP: Final = "10.1.0.100"
SNIP: Final = "10.2.0.10"
CLIENT: Final = "10.1.0.2"
SERVICE: Final = "10.2.0.2"
PORT: Final = 9000
SERVICE_MAC: Final = 0x0200_0000_0A02
CLIENT_MAC: Final = 0x0200_0000_0901
WRAP: Final = 1 << 32
BEFORE_WRAP: Final = WRAP - 3
NUMBERS_PER_US: Final = 16
"""By how much initial sequence numbers go on (RFC 6528)."""
WINDOW: Final = 128 << 10
FLAGS: Final = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, "U": 32, "E": 64, "C": 128}
_TEXT: Final = """
appliance: {{name: script, engines: {engines}}}
distribution: {{{distribution}}}
nics:
  - {{name: nc0, driver: memory, addresses: [10.1.0.10/24]}}
  - {{name: nc1, driver: memory, addresses: [10.2.0.10/24]}}
services:
  - {{name: one, address: "10.2.0.2:9000", monitor: none}}
  - {{name: web, address: "10.2.0.2:80", monitor: none}}
  - {{name: dns, address: "10.2.0.2:53", monitor: none}}
vservers:
  - {{name: raw, address: "10.1.0.100:9000", protocol: TCP, services: [one]{vserver}}}
  - {{name: www, address: "10.1.0.100:80", protocol: HTTP, services: [web]}}
  - {{name: dns, address: "10.1.0.100:53", protocol: UDP, services: [dns]}}
tcp: {{{tcp}}}
timeouts: {{{timeouts}}}
"""


def configuration_text(
    *, tcp: str = "", timeouts: str = "", vserver: str = "", engines: int = 1, distribution: str = ""
) -> str:
    """Return the configuration of all scripts: one TCP vServer with one service; tests of any packet use the others."""
    vserver = vserver and f", {vserver}"
    if "receive_window" not in tcp:
        tcp = f"receive_window: {WINDOW >> 10}KiB, send_buffer: {WINDOW >> 10}KiB" + (tcp and f", {tcp}")
    return _TEXT.format(tcp=tcp, timeouts=timeouts, vserver=vserver, engines=engines, distribution=distribution)


def pattern(sequence: int, length: int) -> bytes:
    """Return the bytes that stand at a relative sequence number of every stream of a script."""
    return bytes((s * 37 ^ s >> 3) & 0xFF for s in range(sequence, sequence + length))


@dataclass(frozen=True)
class Segment:
    """A TCP segment that the engine sent, with absolute numbers."""

    nic: int
    destination_mac: int
    source: tuple[bytes, int]
    destination: tuple[bytes, int]
    sequence: int
    acknowledgment: int
    flags: int
    window: int
    options: bytes
    payload: bytes
    mark: int = 0
    """The ECN field of the IP header."""


def read_segment(nic: int, frame: bytes) -> Segment:
    """Read a frame, its lengths and its checksums."""
    header, segment = frame[14:34], frame[34:]
    assert header[0] == 0x45
    assert struct.unpack(">H", header[2:4])[0] == len(frame) - 14
    assert _sum(header) == 0xFFFF
    assert _sum(header[12:20] + struct.pack(">HH", 6, len(segment)) + segment) == 0xFFFF, "a wrong TCP checksum"
    source, destination, sequence, acknowledgment, offset, flags, window = struct.unpack(">HHIIBBH", segment[:16])
    end = (offset >> 4) * 4
    return Segment(
        nic,
        int.from_bytes(frame[:6], "big"),
        (header[12:16], source),
        (header[16:20], destination),
        sequence,
        acknowledgment,
        flags,
        window,
        segment[20:end],
        segment[end:],
        header[1],
    )


def _sum(data: bytes) -> int:
    data += bytes(len(data) & 1)
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@dataclass
class End:
    """A host at one end: the client's (the engine is passive) or the service's (the engine is active)."""

    script: Script
    name: str
    nic: int
    mac: int
    own: tuple[str, int]
    engine: tuple[str, int]
    first: int = BEFORE_WRAP
    """Initial sequence number of this end."""
    engine_first: int = -1
    """Initial sequence number of the engine, or −1 while it is not known."""
    next: int = 0
    """Relative sequence number of what this end sends next."""
    received: int = 0
    """What this end acknowledges: the relative sequence number behind all that the engine sent in order."""
    said: dict[int, int] = field(default_factory=dict)
    edge: int = 0
    """Right edge of the window that the engine told, relative."""
    stamp: int = 0
    """Timestamp of the engine's latest segment that had one."""
    scale: int = 0
    """By which the engine's windows are shifted."""
    cookie: bytes = b""
    """Of Fast Open, as the engine told it last."""
    inbox: list[tuple[int, Segment]] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    """When the segments of the last `gets` had been sent, ms since the mark."""
    show_windows: bool = False

    @property
    def peer(self) -> End:
        return self.script.service if self is self.script.client else self.script.client

    def segment(
        self,
        flags: str,
        seq: int,
        ack: int,
        data: bytes = b"",
        window: int = 65535,
        options: bytes = b"",
        mark: int = 0,
    ) -> bytes:
        """Return the frame of a segment with relative numbers."""
        acknowledgment = (ack + max(self.engine_first, 0)) % WRAP if "A" in flags else 0
        body = tcp(
            *self.own,
            *self.engine,
            sum(FLAGS[letter] for letter in flags),
            data,
            sequence=(seq + self.first) % WRAP,
            acknowledgment=acknowledgment,
            window=window,
            options=options,
        )
        return ethernet(ipv4(self.own[0], self.engine[0], 6, body, mark=mark), 0x0800, NIC_MACS[self.nic], self.mac)

    def sends(
        self,
        flags: str,
        seq: int | None = None,
        *,
        ack: int | None = None,
        data: int | bytes = b"",
        window: int = 65535,
        mss: int = 0,
        scale: int = -1,
        sack: bool | Sequence[tuple[int, int]] = False,
        ts: tuple[int, int] | None = None,
        mark: int = 0,
        fast_open: bytes | None = None,
    ) -> None:
        """Hand a segment to the engine; it is taken at the next breath. ``data``: bytes, or a length of the pattern.

        ``sack``: True permits it (in a SYN), or the blocks by relative numbers, each with the number behind its last.
        ``ts``: timestamp, and the one that is echoed. ``mark``: the ECN field of the IP header.
        ``fast_open``: the cookie, of no bytes to ask for one.
        """
        at = self.next if seq is None else seq
        payload = pattern(at, data) if isinstance(data, int) else data
        for i, byte in enumerate(payload):
            self.said.setdefault(at + i + ("S" in flags), byte)
        options = struct.pack(">BBH", 2, 4, mss) if mss else b""
        options += struct.pack(">BBBB", 1, 3, 3, scale) if scale >= 0 else b""
        options += self._sack(sack)
        options += struct.pack(">BBBBII", 1, 1, 8, 10, *ts) if ts else b""
        if fast_open is not None:
            options += bytes([1, 1, 34, 2 + len(fast_open)]) + fast_open
        frame = self.segment(flags, at, self.received if ack is None else ack, payload, window, options, mark)
        self.next = max(self.next, at + len(payload) + ("S" in flags) + ("F" in flags))
        # Nobody sums a packet that lies in several frames: the reader lets only those through that need it not.
        self.script.inject(self.nic, frame, checksum=Checksum.VALID if len(frame) > FRAME_SIZE else Checksum.UNKNOWN)

    def _sack(self, sack: bool | Sequence[tuple[int, int]]) -> bytes:
        if isinstance(sack, bool):
            return struct.pack(">BBBB", 1, 1, 4, 2) if sack else b""
        blocks = [(edge + self.engine_first) % WRAP for block in sack for edge in block]
        return struct.pack(f">BBBB{len(blocks)}I", 1, 1, 5, 2 + 4 * len(blocks), *blocks) if blocks else b""

    def gets(self, *expected: str) -> None:
        """Let the engine take what was sent, and compare all that this end got since the last look."""
        self.script.settle()
        found, self.inbox = self.inbox, []
        self.times = [(at - self.script.marked_at) // 1000 for at, _ in found]
        texts = [self._text(segment) for _, segment in found]
        assert texts == list(expected), f"{self.name} got {texts}"

    def _text(self, segment: Segment) -> str:
        flags = "".join(letter for letter in "SFRPAUEC" if segment.flags & FLAGS[letter])
        if "S" in flags:
            self.engine_first = segment.sequence
        relative = (segment.sequence - max(self.engine_first, 0) + WRAP // 2) % WRAP - WRAP // 2
        text = f"{flags} {relative if segment.sequence or 'A' in flags else 0}"
        if segment.payload:
            text += f"+{len(segment.payload)}"
            said = bytes(self.peer.said[relative + i] for i in range(len(segment.payload)))
            assert segment.payload == said, "other bytes than those that were sent"
        if "A" in flags:
            text += f" ack {(segment.acknowledgment - self.first + WRAP // 2) % WRAP - WRAP // 2}"
        if "R" not in flags:
            text += self._window_text(segment, flags)
            length = len(segment.payload) + ("S" in flags) + ("F" in flags)
            if relative <= self.received:
                self.received = max(self.received, relative + length)
        if segment.mark:
            text += f" ecn {segment.mark}"
        return text + self._options_text(segment.options, flags)

    def _window_text(self, segment: Segment, flags: str) -> str:
        """The right edge of the window never moves back by more than the rounding of its scale."""
        window = segment.window << (0 if "S" in flags else self.scale)
        if "A" in flags:
            edge = (segment.acknowledgment - self.first + WRAP // 2) % WRAP - WRAP // 2 + window
            assert edge > self.edge - (1 << self.scale), "the window's right edge moved back"
            assert window <= max(WINDOW, self.script.receive_limit)
            self.edge = max(self.edge, edge)
        return f" win {window}" if "S" in flags or self.show_windows else ""

    def _options_text(self, options: bytes, flags: str) -> str:
        text = ""
        while options:
            if options[0] == 1:
                options = options[1:]
                continue
            kind, length = options[:2]
            assert kind in (8, 34) or (kind == 5) != ("S" in flags)
            if kind == 2:
                text += f" mss {int.from_bytes(options[2:length], 'big')}"
            elif kind == 3:
                self.scale = options[2]
                text += f" scale {options[2]}"
            elif kind == 4:
                text += " sackok"
            elif kind == 8:
                self.stamp, echo = struct.unpack(">II", options[2:length])
                text += f" echo {echo}"
            elif kind == 34:
                self.cookie = options[2:length]
                text += " cookie"
            else:
                text += f" sack {self._blocks_text(options[2:length])}"
            options = options[length:]
        return text

    def _blocks_text(self, blocks: bytes) -> str:
        edges = [(edge - self.first + WRAP // 2) % WRAP - WRAP // 2 for (edge,) in struct.iter_unpack(">I", blocks)]
        return " ".join(f"{start}-{end}" for start, end in zip(edges[::2], edges[1::2], strict=True))

    def opens(self, *, mss: int = 1460, scale: int = 7, window: int = 65535, sack: bool = False) -> None:
        """Client: send a SYN. Service: answer the engine's."""
        is_client = self is self.script.client
        flags = ("S" if is_client else "SA") + (("EC" if is_client else "E") if self.script.ecn else "")
        self.sends(flags, mss=mss, scale=scale, window=window, sack=sack)
        if scale < 0:
            self.scale = 0

    def tcb(self) -> Tcb | None:
        """Return the engine's connection to this end, or None."""
        ports = self.own[1] << 24 | self.engine[1] << 8 | 6
        for tcb in self.script.lab.connections():
            if tcb.ports == ports and tcb.remote_low & 0xFFFF_FFFF == int.from_bytes(ip_bytes(self.own[0]), "big"):
                return tcb
        return None

    @property
    def state(self) -> int:
        """State of the engine's connection to this end; CLOSED when there is none."""
        tcb = self.tcb()
        return TcpState(tcb.state) if tcb else TcpState.CLOSED

    def live(self) -> Tcb:
        """Return the engine's connection to this end, which there is."""
        tcb = self.tcb()
        assert tcb is not None
        return tcb


class Script:
    """An engine, a client and a service, and what went between them since the mark."""

    def __init__(
        self,
        side: str = "client",
        *,
        tcp: str = "",
        timeouts: str = "",
        connections: int = 64,
        frames: int = 512,
        rtt_ms: int = 0,
        wrap: bool = True,
        learn: bool = True,
        sack: bool = False,
        ecn: bool = False,
        vserver: str = "",
    ) -> None:
        """``sack``: both ends permit selective acknowledgments; ``ecn``: both agree on ECN, where the engine does."""
        self.sack = sack
        self.ecn = ecn
        text = configuration_text(tcp=tcp, timeouts=timeouts, vserver=vserver)
        self.lab = EngineLab(text, connections=connections, frames=frames)
        self.receive_limit = self.lab.engine().receive_limit
        self.offers_sack = bool(self.lab.engine().sack)
        self.rtt_us = 1000 * rtt_ms
        self.client = End(self, "client", 0, CLIENT_MAC, (CLIENT, 40000), (VIP, PORT))
        self.service = End(self, "service", 1, SERVICE_MAC, (SERVICE, PORT), (SNIP, 0))
        self.end = self.client if side == "client" else self.service
        self.other = self.end.peer
        self.strays: list[Segment] = []
        self.arp_answers = learn
        if wrap:
            self.lab.now = START + until_wrap_us(side) - (self.rtt_us if side == "service" else 0)
        if learn:
            self.lab.learn(1, SERVICE, SERVICE_MAC)
        self._waiting = False
        self.mark()

    def mark(self) -> None:
        """Count from here on."""
        self.marked_at = self.lab.now
        self._before = self.lab.totals()
        self._in = [0, 0]
        self._out = [0, 0]
        self._arps = [0, 0]
        self._counted = False

    def __enter__(self) -> Script:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.settle()
            for end in (self.client, self.service):
                assert not end.inbox, f"{end.name}: {[end._text(segment) for _, segment in end.inbox]} was not expected"
            assert not self.strays
            if not self._counted:
                self.counted()
            self.end_all()

    def inject(self, nic: int, frame: bytes, *, checksum: int = 0) -> None:
        """Hand a frame to the engine; it is taken at the next breath."""
        self.lab.receive(nic, frame, checksum=checksum)
        self._in[0] += 1
        self._in[1] += len(frame)
        self._waiting = True

    def settle(self) -> None:
        """Breathe now if anything waits to be taken."""
        while self._waiting:
            self.breathe()

    def breathe(self) -> None:
        """Breathe once, at the present time."""
        self._waiting = False
        self.lab.breathe()
        self._collect()

    def _collect(self) -> None:
        for nic, frame in self.lab.sent():
            self._out[0] += 1
            self._out[1] += len(frame)
            if frame[12:14] == b"\x08\x06":
                self._answer_arp(nic, frame)
                continue
            segment = read_segment(nic, frame)
            end = self.client if nic == 0 else self.service
            if end is self.service and segment.flags & 2:
                end.engine = (SNIP, segment.source[1])
            if segment.destination == (ip_bytes(end.own[0]), end.own[1]):
                assert segment.destination_mac == end.mac
                end.inbox.append((self.lab.now, segment))
            else:
                self.strays.append(segment)

    def _answer_arp(self, nic: int, frame: bytes) -> None:
        assert nic == 1
        assert frame[20:22] == b"\0\1"
        self._arps[0] += 1
        if self.arp_answers:
            self.answer_arp()

    def answer_arp(self) -> None:
        """Answer the engine's question for the service's link-layer address."""
        body = arp(2, SERVICE_MAC, SERVICE, NIC_MACS[1], SNIP)
        self.inject(1, ethernet(body, 0x0806, NIC_MACS[1], SERVICE_MAC))
        self._arps[1] += 1

    def wait(self, ms: float) -> None:
        """Let time go by; the engine breathes whenever a timer of a connection may be due."""
        self.settle()
        end = self.lab.now + round(1000 * ms)
        while self.lab.now < end:
            due = (self._next_deadline() >> 10) + 1 << 10
            self.lab.now = min(max(due, self.lab.now + 1024), end)
            self.breathe()
            self.settle()

    def _next_deadline(self) -> int:
        """Return the first instant at which a connection has something to do, or one far away."""
        instants = [1 << 60]
        for tcb in self.lab.connections():
            instants += [
                tcb.retransmit_at,
                tcb.recheck_at,
                tcb.ack_at,
                tcb.keepalive_at,
                tcb.application_at,
                tcb.close_at,
                tcb.pace_at if tcb.pace_waits > 0 else 0,
            ]
        return min(instant for instant in instants if instant)

    def counted(self, **causes: int) -> None:
        """Compare the whole difference of the counters since the mark with what the packets and the causes say."""
        self.settle()
        self._counted = True
        drops = sum(n for name, n in causes.items() if name.startswith("drop_") and not name.startswith("drop_send"))
        unsent = sum(n for name, n in causes.items() if name.startswith("drop_send"))
        expected = {
            "received_packets": self._in[0],
            "received_bytes": self._in[1],
            "used_tcp_packets": self._in[0] - drops - self._arps[1],
            "used_arp_packets": self._arps[1],
            "arp_requests": self._arps[0],
            "made_packets": self._out[0] + unsent,
            "sent_packets": self._out[0],
            "sent_bytes": self._out[1],
        } | causes
        changed = self.lab.totals().minus(self._before)
        expected = {name: n for name, n in expected.items() if n}
        assert changed == expected, f"other counters: {sorted(changed.items() ^ expected.items())}"

    def end_all(self) -> None:
        """Reset whatever is still there, then check that nothing leaked."""
        reset_all(self.lab)
        check_nothing_leaked(self.lab, connections=0)


def reset_all(lab: EngineLab) -> None:
    """Reset all TCP connections, in a way that the engine has to believe, until none is left."""
    for _ in range(8):
        for tcb in lab.connections():
            if tcb.state != TcpState.DATAGRAM:
                lab.receive(tcb.nic, _reset_for(tcb))
        lab.breathe()
        lab.sent()


def _reset_for(tcb: Tcb) -> bytes:
    source, destination = (str(IPv4Address(low & 0xFFFF_FFFF)) for low in (tcb.remote_low, tcb.local_low))
    body = tcp(
        source,
        tcb.ports >> 24,
        destination,
        tcb.ports >> 8 & 0xFFFF,
        FLAGS["R"] | FLAGS["A"],
        sequence=tcb.rcv_nxt,
        acknowledgment=(tcb.iss + (tcb.state == TcpState.SYN_SENT)) % WRAP,
    )
    return ethernet(ipv4(source, destination, 6, body), 0x0800, NIC_MACS[tcb.nic], CLIENT_MAC)


def check_accounts(totals: Totals) -> None:
    """Check that each packet that came in, and each that was made, is counted under exactly one cause."""
    values = totals.values
    used = sum(n for name, n in values.items() if name.startswith("used_"))
    dropped = sum(n for name, n in values.items() if name.startswith("drop_") and not name.startswith("drop_send_"))
    unsent = sum(n for name, n in values.items() if name.startswith("drop_send_"))
    assert values["received_packets"] == used + dropped
    assert values["made_packets"] == values["sent_packets"] + unsent
    assert min(values.values()) >= 0


def check_nothing_leaked(lab: EngineLab, *, connections: int | None = None) -> None:
    """Check that every frame is free, in a list of a connection or on its way home, and that the counts agree."""
    engine = lab.engine()
    live = lab.connections()
    assert len(live) == engine.live_connections
    if connections is not None:
        assert len(live) == connections
    places = [lab._ring(lab.arena.transmit_return_rings, nic) for nic in range(lab.arena.nic_count)]
    home = sum(ring.tail - ring.taken for ring in places)
    assert engine.free_frame_count + home + sum(map(len, held_frames(lab))) == engine.frame_count
    assert engine.freed_late == 0
    assert engine.slots_used == 0
    states = [tcb.state for tcb in live]
    opening = (TcpState.SPLICE_OPENING, TcpState.SPLICE_ANSWERED)
    spliced = sum(tcb.state in opening and tcb.role == Role.CLIENT for tcb in live)
    assert engine.half_open == states.count(TcpState.SYN_RECEIVED) + spliced
    assert (engine.time_wait_first == 0) == (not {TcpState.TIME_WAIT, TcpState.SPLICE_ENDED} & set(states))
    assert (engine.orphan_first == 0) == (not any(map(is_orphan, live)))
    check_accounts(lab.totals())


def is_orphan(tcb: Tcb) -> bool:
    """Return whether nobody owns a connection any more that is not in TIME-WAIT."""
    ended = tcb.state in (TcpState.CLOSING, TcpState.LAST_ACK)
    return ended or bool(tcb.discard and TcpState.ESTABLISHED <= tcb.state <= TcpState.FIN_WAIT_2)


def held_frames(lab: EngineLab) -> list[list[int]]:
    """Return the frames of every chain and queue of every connection."""
    metas = lab._metas()
    found = []
    for tcb in lab.connections():
        for first in (tcb.send_chain & 0xFFFF_FFFF, tcb.hold_chain & 0xFFFF_FFFF, tcb.out_of_order & 0xFFFF_FFFF):
            chain = []
            while first != 0xFFFF_FFFF:
                chain.append(first)
                first = int(metas["next"][first]) & 0xFFFF_FFFF
            found.append(chain)
    flat = [frame for chain in found for frame in chain]
    assert len(flat) == len(set(flat)), "a frame stands in two lists"
    return found


@cache
def initial_numbers() -> dict[str, int]:
    """Return the initial sequence numbers that an engine chooses at START for the ends of every script."""
    script = Script(wrap=False)
    open_pair(script)
    return {"client": script.client.engine_first, "service": script.service.engine_first}


def until_wrap_us(side: str) -> int:
    """Return by how many µs the clock has to be ahead for initial sequence numbers right before the wrap to 0."""
    return ((BEFORE_WRAP - initial_numbers()[side]) % WRAP) // NUMBERS_PER_US


SYN_ACK: Final = "SA 0 ack 1 win 65535 mss 1460 scale 2"
SYN: Final = "S 0 win 65535 mss 1460 sackok scale 2"


def _options_of(script: Script, sack: bool) -> str:
    """Return what the engine's SYN says with a receive window other than the usual one."""
    scale = next(n for n in range(15) if 65535 << n >= script.receive_limit)
    return f"win {min(script.receive_limit, 65535)} mss 1460{' sackok' if sack else ''} scale {scale}"


def open_client(script: Script) -> None:
    """Let the client connect; the engine connects to the service."""
    script.client.opens(sack=script.sack)
    use = script.lab.blueprint.configuration.tcp.ecn
    agrees = "E" if script.ecn and use != "never" else ""
    script.client.gets(f"SA{agrees} 0 ack 1 {_options_of(script, script.sack and script.offers_sack)}")
    script.lab.now += script.rtt_us
    script.client.sends("A")
    script.client.gets()
    script.service.gets(f"S{'EC' if use == 'offer' else ''} 0 {_options_of(script, script.offers_sack)}")


def open_pair(script: Script) -> None:
    """Let the client connect, and the service accept."""
    open_client(script)
    script.lab.now += script.rtt_us
    script.service.opens(sack=script.sack)
    script.service.gets("A 1 ack 1")


def syn_received(**options: object) -> Script:
    """The engine has answered a client's SYN."""
    script = Script("client", **options)  # type: ignore[arg-type]
    script.client.opens()
    script.client.gets(SYN_ACK)
    script.mark()
    return script


def syn_sent(**options: object) -> Script:
    """The client has connected, the engine has sent a SYN to the service."""
    script = Script("service", **options)  # type: ignore[arg-type]
    open_client(script)
    script.mark()
    return script


def established(side: str = "client", **options: object) -> Script:
    """Both connections of the pair are open."""
    script = Script(side, **options)  # type: ignore[arg-type]
    open_pair(script)
    script.mark()
    return script


def close_wait(side: str, **options: object) -> Script:
    """This end has closed; the engine has passed that on, and the other end has acknowledged it."""
    script = established(side, **options)
    script.end.sends("FA")
    script.end.gets("A 1 ack 2")
    script.other.gets("FA 1 ack 1")
    script.other.sends("A")
    script.other.gets()
    script.mark()
    return script


def fin_wait_1(side: str, **options: object) -> Script:
    """The other end has closed; the engine's FIN is on its way to this end."""
    script = established(side, **options)
    script.other.sends("FA")
    script.other.gets("A 1 ack 2")
    script.end.gets("FA 1 ack 1")
    script.mark()
    return script


def fin_wait_2(side: str, **options: object) -> Script:
    """As `fin_wait_1`, and this end has acknowledged the FIN."""
    script = fin_wait_1(side, **options)
    script.end.sends("A")
    script.end.gets()
    script.mark()
    return script


def closing(side: str, **options: object) -> Script:
    """Both ends have closed at once; the FIN to this end is not acknowledged."""
    script = fin_wait_1(side, **options)
    script.end.sends("FA", ack=1)
    script.end.gets("A 2 ack 2")
    script.other.gets("FA 1 ack 2")
    script.other.sends("A")
    script.other.gets()
    script.mark()
    return script


def last_ack(side: str, **options: object) -> Script:
    """This end has closed, then the other; the engine's FIN is on its way to this end."""
    script = close_wait(side, **options)
    script.other.sends("FA")
    script.other.gets("A 2 ack 2")
    script.end.gets("FA 1 ack 2")
    script.mark()
    return script


def time_wait(side: str, **options: object) -> Script:
    """The other end has closed first, then this one; only this end's connection is left."""
    script = fin_wait_2(side, **options)
    script.end.sends("FA")
    script.end.gets("A 2 ack 2")
    script.other.gets("FA 1 ack 2")
    script.other.sends("A")
    script.other.gets()
    script.mark()
    return script
