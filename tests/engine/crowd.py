"""Many proxied streams at once over bad wires, through engines with small pools of frames, in simulated time."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field

from ncore_ray.engine.connection import Role
from ncore_ray.lab.dry.engine import NIC_MACS, EngineLab
from ncore_ray.lab.dry.packets import ethernet, ipv4, tcp
from tests.support.reference_tcp import ReferenceTcp, Wire
from tests.support.tcp_script import (
    CLIENT,
    CLIENT_MAC,
    FLAGS,
    PORT,
    SERVICE,
    SERVICE_MAC,
    SNIP,
    VIP,
    WRAP,
    configuration_text,
    read_segment,
)

TICK = 10_000
PATIENT = "client_idle: 240s, connect: 240s"
"""Timeouts."""
_FIRST_PORT = 40_000


@dataclass(frozen=True)
class Wires:
    """What the wires do, in parts of 1, and how long they take."""

    loss: float = 0.0
    double: float = 0.0
    delay_us: int = 1_000
    jitter_us: int = 0


@dataclass
class Stream:
    """One end of one connection, and the numbers on its wire."""

    nic: int
    own: tuple[str, int]
    engine: tuple[str, int]
    peer: ReferenceTcp
    first: int
    engine_first: int = 0
    scale: int = 0
    reset: bool = False
    progress_at: int = 0
    longest_stall_us: int = 0
    position: tuple[int, int] = field(default=(0, 0))

    @property
    def is_over(self) -> bool:
        """Return whether both directions have ended: what comes late is rightly answered with a reset."""
        return self.peer.una == self.peer.fin + 1 and self.peer.ended

    def frame(self, wire: Wire) -> bytes:
        """Return the frame of a segment."""
        ack = (wire.acknowledged + 1 + self.engine_first) % WRAP if "A" in wire.flags else 0
        body = tcp(
            *self.own,
            *self.engine,
            sum(FLAGS[letter] for letter in wire.flags),
            wire.payload,
            sequence=(wire.position + 1 + self.first) % WRAP,
            acknowledgment=ack,
            window=min(wire.window, 65535),
            options=b"\2\4\5\xb4\1\3\3\0" if "S" in wire.flags else b"",
        )
        return ethernet(ipv4(self.own[0], self.engine[0], 6, body), 0x0800, NIC_MACS[self.nic], CLIENT_MAC)

    def watch(self, now: int) -> None:
        """Note how long nothing moved while something was left to do."""
        position = (self.peer.una, self.peer.peer_position)
        if position != self.position or self.peer.is_done:
            self.position, self.progress_at = position, now
        self.longest_stall_us = max(self.longest_stall_us, now - self.progress_at)


def _unwrapped(number: int, near: int) -> int:
    return near + (number - near + WRAP // 2) % WRAP - WRAP // 2


class Crowd:
    """An engine, or the engines of a lab, between clients and services."""

    stream_type: type[Stream] = Stream
    says_blocks = False

    def __init__(
        self,
        seed: int,
        wires: Wires,
        *,
        clients: int,
        sizes: tuple[int, int],
        pace: int = 1 << 20,
        frames: int = 512,
        tcp: str = "",
        capacity: int = 20_000,
        lab: EngineLab | None = None,
    ) -> None:
        self.choice = random.Random(seed)
        self.wires = wires
        self.sizes, self.pace, self.capacity = sizes, pace, capacity
        text = configuration_text(tcp=tcp, timeouts=PATIENT)
        self.lab = lab or EngineLab(text, connections=max(4 * clients, 16), frames=frames)
        self.lab.engine().half_open_limit = 10 * clients
        self.lab.learn(1, SERVICE, SERVICE_MAC)
        self.events: list[tuple[int, int, Stream, bytes | Wire]] = []
        self.count = 0
        self.work = 0
        self.packets = 0
        self.breaths = 0
        self.streams: dict[tuple[int, int], Stream] = {}
        self.response = self.choice.randbytes(sizes[1])
        for i in range(clients):
            self._client(i)

    def _client(self, i: int) -> None:
        data = i.to_bytes(4, "big") + self.choice.randbytes(self.sizes[0])
        peer = ReferenceTcp(data, self.capacity, self.pace, is_active=True, says_blocks=self.says_blocks)
        stream = self.stream_type(0, (CLIENT, _FIRST_PORT + i), (VIP, PORT), peer, self.choice.randrange(WRAP))
        stream.progress_at = self.lab.now
        self.streams[0, _FIRST_PORT + i] = stream
        self._transmit(stream, peer.send(self.lab.now))

    def _service(self, port: int) -> Stream:
        peer = ReferenceTcp(self.response, self.capacity, self.pace, is_active=False, says_blocks=self.says_blocks)
        stream = self.stream_type(1, (SERVICE, PORT), (SNIP, port), peer, self.choice.randrange(WRAP))
        stream.progress_at = self.lab.now
        self.streams[1, port] = stream
        return stream

    def run(self, limit_s: float) -> None:
        """Go on until all is done, or the time is over."""
        end = self.lab.now + int(limit_s * 1_000_000)
        next_tick = self.lab.now
        while self.lab.now < end and not all(s.peer.is_done or s.reset for s in self.streams.values()):
            due = (self._next_deadline() >> 10) + 1 << 10
            self.lab.now = max(min(due, next_tick, self.events[0][0] if self.events else end), self.lab.now + 1)
            self._deliver()
            self.work += self.lab.breathe()
            self.breaths += 1
            self._collect()
            if self.lab.now >= next_tick:
                next_tick += TICK
                self._tick()

    def _tick(self) -> None:
        for stream in list(self.streams.values()):
            if not stream.reset:
                self._transmit(stream, stream.peer.tick(self.lab.now))
                stream.watch(self.lab.now)

    def _next_deadline(self) -> int:
        instants = [1 << 60]
        for tcb in self.lab.connections():
            instants += [tcb.retransmit_at, tcb.ack_at, tcb.keepalive_at, tcb.application_at, tcb.close_at]
        return min(instant for instant in instants if instant)

    def _push(self, stream: Stream, what: bytes | Wire) -> None:
        lost = self.choice.random() < self.wires.loss
        copies = 0 if lost else 1 + (self.choice.random() < self.wires.double)
        for _ in range(copies):
            self.count += 1
            at = self.lab.now + self.wires.delay_us + self.choice.randrange(self.wires.jitter_us + 1)
            heapq.heappush(self.events, (at, self.count, stream, what))

    def _transmit(self, stream: Stream, segments: list[Wire]) -> None:
        for wire in segments:
            self._push(stream, stream.frame(wire))

    def _deliver(self) -> None:
        while self.events and self.events[0][0] <= self.lab.now:
            _, _, stream, what = heapq.heappop(self.events)
            if isinstance(what, bytes):
                self.packets += 1
                self.lab.receive(stream.nic, what)
            elif "R" in what.flags:
                stream.reset = stream.reset or not stream.is_over
            elif not stream.reset:
                self._transmit(stream, stream.peer.take(what, self.lab.now))

    def _collect(self) -> None:
        for nic, frame in self.lab.sent():
            self.packets += 1
            if frame[12:14] == b"\x08\x06":
                continue
            segment = read_segment(nic, frame)
            key = (0, segment.destination[1]) if nic == 0 else (1, segment.source[1])
            stream = self.streams.get(key) or self._service(segment.source[1])
            self._push(stream, self._wire(stream, frame))

    def _wire(self, stream: Stream, frame: bytes) -> Wire:
        segment = read_segment(stream.nic, frame)
        flags = "".join(letter for letter in "SFRA" if segment.flags & FLAGS[letter])
        if "S" in flags:
            stream.engine_first = segment.sequence
            stream.scale = segment.options[-1] if "A" not in flags or len(segment.options) == 8 else 0
        window = segment.window << (0 if "S" in flags else stream.scale)
        position = _unwrapped(segment.sequence - stream.engine_first, stream.peer.peer_position) - 1
        acknowledged = _unwrapped(segment.acknowledgment - stream.first, stream.peer.una) - 1
        return Wire(position, acknowledged, flags, window, segment.payload)

    def check_bytes(self) -> None:
        """Check that every end got what its peer sent."""
        clients = [stream.peer for (nic, _), stream in self.streams.items() if nic == 0]
        services = [stream.peer for (nic, _), stream in self.streams.items() if nic == 1]
        assert all(bytes(peer.received) == self.response for peer in clients)
        assert sorted(bytes(peer.received) for peer in services) == sorted(peer.data for peer in clients)

    def pool(self) -> str:
        """Return what the pool of frames is taken by (for messages)."""
        live = [tcb for tcb in self.lab.connections() if tcb.role != Role.FREE]
        early = sum(tcb.out_of_order_count for tcb in live)
        return f"free {self.lab.engine().free_frame_count}, early {early}, live {len(live)}"
