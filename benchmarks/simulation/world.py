"""Streams from a server through one packet engine and over a path to their clients, in virtual time.

The wire between server and engine is perfect and takes no time. What is measured is what the engine's TCP makes of the
path to the clients: the same kernels that an appliance runs.
"""

from __future__ import annotations

import heapq
import struct
from dataclasses import dataclass
from typing import Final

from benchmarks.simulation.ends import SYN, Sink, Source, read
from benchmarks.simulation.kernels import time_to_timer
from benchmarks.simulation.path import Link, Path
from ncore_ray.arena.frame import Checksum
from ncore_ray.lab.dry.engine import NIC_MACS, EngineLab
from ncore_ray.lab.dry.packets import ethernet, icmp, ipv4

_VIP: Final = ("10.1.0.100", 9000)
_CLIENT: Final = "10.1.0.2"
_ROUTER: Final = "10.1.0.1"
_SERVER: Final = ("10.2.0.2", 9000)
_SNIP: Final = "10.2.0.10"
_CLIENT_MAC: Final = 0x0200_0000_0901
_SERVER_MAC: Final = 0x0200_0000_0A02
_FIRST_PORT: Final = 20_000
_AT_ONCE: Final = 8
"""Packets handed over for one breath at the most, of many frames each."""
_QUEUE: Final = -2
_TEXT: Final = """
appliance: {{name: simulation, engines: 1}}
nics:
  - {{name: nc0, driver: memory, addresses: [10.1.0.10/24]}}
  - {{name: nc1, driver: memory, addresses: [10.2.0.10/24]}}
services:
  - {{name: one, address: "10.2.0.2:9000", monitor: none}}
vservers:
  - {{name: raw, address: "10.1.0.100:9000", protocol: TCP, services: [one]}}
tcp: {{receive_window: {buffer}MiB, send_buffer: {buffer}MiB{tcp}}}
timeouts: {{client_idle: 290s}}
"""


@dataclass(frozen=True)
class Plan:
    """What one simulation does. Times are µs."""

    path: Path
    size: int
    """Bytes of each stream."""
    tcp: str = ""
    """Keys of the configuration's `tcp`."""
    sack: bool = True
    """Whether the clients understand SACK."""
    flows: int = 1
    apart_us: int = 0
    """From the beginning of one stream to that of the next."""
    seed: int = 1
    limit_us: int = 600_000_000
    """When it ends, finished or not."""
    buffer_mib: int = 4
    """What waits to be sent or acknowledged, per stream."""


class World:
    """One simulation."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        text = _TEXT.format(tcp=f", {plan.tcp}" if plan.tcp else "", buffer=plan.buffer_mib)
        frames = plan.flows * (plan.buffer_mib + 1) * 1024 + 4096
        self.lab = EngineLab(text, connections=max(4 * plan.flows, 64), frames=frames, nic_frames=512)
        self.lab.learn(1, _SERVER[0], _SERVER_MAC)
        self.began_at = self.lab.now
        self.forward = Link(plan.path, 2 * plan.seed, is_forward=True)
        self.back = Link(plan.path, 2 * plan.seed + 1, is_forward=False)
        self.sinks = [self._sink(number) for number in range(plan.flows)]
        self.sources: dict[int, Source] = {}
        self._engine = self.lab.base + self.lab.arena.engines
        self._events: list[tuple[int, int, int, bytes]] = []
        self._count = 0
        for number in range(plan.flows):
            self._push(self.began_at + number * plan.apart_us, number, b"")

    def _sink(self, number: int) -> Sink:
        own = (_CLIENT, _FIRST_PORT + number)
        return Sink(
            _CLIENT_MAC, NIC_MACS[0], own, _VIP, sack=self.plan.sack, timestamps="timestamps: true" in self.plan.tcp
        )

    def _push(self, at: int, where: int, what: bytes) -> None:
        """Note an event: what comes to the sink of a number, to the engine (−1), or to the queue on the way to a sink
        (−2 − its number); nothing: the sink's clock."""
        self._count += 1
        heapq.heappush(self._events, (at, self._count, where, what))

    def run(self) -> None:
        """Go on until all streams have arrived, or the time is over."""
        end = self.began_at + self.plan.limit_us
        self.lab.breathe()
        while not all(sink.finished_at for sink in self.sinks):
            timer_at = self.lab.now + max(time_to_timer(self._engine), 1)
            self.lab.now = min(timer_at, self._events[0][0] if self._events else end, end)
            if self.lab.now >= end:
                return
            self._deliver()
            self._breathe([])

    def _deliver(self) -> None:
        """Let everything arrive that is due."""
        now = self.lab.now
        while self._events and self._events[0][0] <= now:
            _, _, where, what = heapq.heappop(self._events)
            if where <= _QUEUE:
                self._through_queue(_QUEUE - where, what)
                continue
            if where < 0:
                self.lab.receive(0, what, checksum=Checksum.VALID)
                continue
            sink = self.sinks[where]
            if what:
                self._from_sink(where, sink.take(read(what), now))
            elif sink.position == 0 and not sink.engine_first:
                self._from_sink(where, [sink.open(now)])
                self._push(now + 1_000_000, where, b"")  # the SYN may be lost
            else:
                self._from_sink(where, sink.tick(now))

    def _from_sink(self, number: int, frames: list[bytes]) -> None:
        for frame in frames:
            for at in self.back.carry(self.lab.now, len(frame)):
                self._push(at, -1, frame)
        sink = self.sinks[number]
        if sink.acknowledge_at:
            self._push(sink.acknowledge_at, number, b"")

    def _breathe(self, frames: list[bytes]) -> None:
        """Breathe, and let the server answer at once, until it has nothing more to say."""
        while True:
            for frame in frames[:_AT_ONCE]:
                self.lab.receive(1, frame, checksum=Checksum.VALID)
            frames = frames[_AT_ONCE:]
            self.lab.breathe()
            for nic, frame in self.lab.sent():
                if nic == 0:
                    self._to_sink(frame)
                else:
                    frames += self._to_source(frame)
            if not frames:
                return

    def _to_sink(self, frame: bytes) -> None:
        number = int.from_bytes(frame[36:38], "big") - _FIRST_PORT
        at = self.forward.enters_at(self.lab.now, number)
        if at > self.lab.now:
            self._push(at, _QUEUE - number, frame)
        else:
            self._through_queue(number, frame)

    def _through_queue(self, number: int, frame: bytes) -> None:
        for at in self.forward.carry(self.lab.now, len(frame)):
            self._push(at, number, frame)
        if self.plan.path.tells and self.forward.is_too_long(len(frame)):
            self._push(self.lab.now + self.plan.path.delay_us, -1, self._too_long(frame))

    def _too_long(self, frame: bytes) -> bytes:
        """Return what a router says of a packet: its IP header, eight bytes more, and the MTU of the next link."""
        body = icmp(3, 4, struct.pack(">HH", 0, self.plan.path.mtu) + frame[14:42])
        return ethernet(ipv4(_ROUTER, _VIP[0], 1, body), 0x0800, NIC_MACS[0], _CLIENT_MAC)

    def _to_source(self, frame: bytes) -> list[bytes]:
        if frame[12:14] != b"\x08\x00":
            return []
        heard = read(frame)
        port = heard.ports[0]
        if heard.flags & SYN:
            self.sources[port] = Source(_SERVER_MAC, NIC_MACS[1], _SERVER, (_SNIP, port), size=self.plan.size)
        return self.sources[port].take(heard)

    def counters(self) -> dict[str, int]:
        """Return what the engine counted."""
        return self.lab.totals().values

    def seconds(self, number: int = 0) -> float:
        """Return how long a stream took, or the limit if it has not arrived."""
        sink = self.sinks[number]
        began_at = self.began_at + number * self.plan.apart_us
        return ((sink.finished_at or self.lab.now) - began_at) / 1e6

    def rate(self, number: int = 0) -> float:
        """Return the bytes per second of a stream, from its beginning on."""
        return self.sinks[number].position / max(self.seconds(number), 1e-6)


def run(plan: Plan) -> World:
    """Simulate."""
    world = World(plan)
    world.run()
    return world
