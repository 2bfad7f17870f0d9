"""An engine under attack: clients that behave well, a service, the attackers, and the account at the end."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.attack.ends import End, read
from ncore_ray.lab.dry.engine import NIC_MACS, EngineLab

VIP: Final = ("10.1.0.100", 80)
SERVICE: Final = ("10.2.0.2", 80)
CLIENT: Final = "10.1.0.2"
_MACS: Final = ((NIC_MACS[0], 0x0200_0000_0901), (NIC_MACS[1], 0x0200_0000_0A02))
STEP_US: Final = 1_000
_PATIENCE_US: Final = 3_000_000
_QUIET_US: Final = 200_000_000
"""Long enough for every timer of the configuration."""
_TEXT: Final = """
appliance: {name: siege}
nics:
  - {name: nc0, driver: memory, addresses: [10.1.0.10/24]}
  - {name: nc1, driver: memory, addresses: [10.2.0.10/24]}
services:
  - {name: web, address: "10.2.0.2:80", monitor: none}
vservers:
  - {name: www, address: "10.1.0.100:80", protocol: HTTP, services: [web]}
tcp: {receive_window: 64KiB, send_buffer: 64KiB}
timeouts: {client_idle: 10s, header: 10s}
"""


@dataclass(frozen=True)
class Dimensions:
    """How large a siege is. ``seconds`` and ``rate`` (attacking packets per ms) say how long and how hard."""

    seconds: float = 4.0
    rate: int = 8
    clients: int = 40
    attackers: int = 60
    connections: int = 512
    frames: int = 4096


@dataclass
class Outcome:
    """What came of a siege."""

    name: str
    clients: int = 0
    served: int = 0
    attack_packets: int = 0
    least_free_frames: int = 1 << 30
    most_connections: int = 0
    kept_connections: int = 0
    kept_frames: int = 0
    unaccounted: int = 0
    """Received packets that are counted under no cause, or twice."""
    causes: dict[str, int] = field(default_factory=dict)

    @property
    def success(self) -> float:
        """Share of the well-behaved clients that got their answer in time."""
        return self.served / max(self.clients, 1)


class Attack:
    """What an attacker is given: `siege`, a seeded choice; `step` is called every simulated ms."""

    def __init__(self, siege: Siege) -> None:
        self.siege = siege
        self.choice = siege.choice
        self.begin()

    def begin(self) -> None:
        """Prepare."""

    def step(self, now: int) -> None:
        """Send what is to be sent in this ms."""
        raise NotImplementedError


class Siege:
    """One attack."""

    def __init__(self, attack: type[Attack], dimensions: Dimensions, seed: int) -> None:
        self.choice = random.Random(seed)
        self.dimensions = dimensions
        self.lab = EngineLab(_TEXT, connections=dimensions.connections, frames=dimensions.frames, nic_frames=1024)
        self.lab.learn(1, SERVICE[0], _MACS[1][1])
        self.lab.learn(0, CLIENT, _MACS[0][1])
        self.ends: dict[tuple[int, tuple[str, int], tuple[str, int]], End] = {}
        self.bodies = {b"/small": self.choice.randbytes(3_000), b"/large": self.choice.randbytes(300_000)}
        self.outcome = Outcome(attack.__name__)
        self._wire: list[tuple[int, bytes]] = []
        self._asking: dict[int, tuple[End, int]] = {}
        self._port = 1_024
        self.attack = attack(self)

    # What attackers use.

    def inject(self, frame: bytes, nic: int = 0) -> None:
        """Send an attacking frame."""
        self.outcome.attack_packets += 1
        self._wire.append((nic, frame))

    def open(self, **fields: Any) -> End:
        """Return a new connection of an attacker or a client, whose SYN is sent."""
        self._port = self._port % 60_000 + 1_025
        own = (CLIENT, self._port)
        first = self.choice.randrange(1 << 32)
        end = End(own, VIP, _MACS[0], lambda frame: self._wire.append((0, frame)), first, **fields)
        self.ends[0, own, VIP] = end
        end.connect(self.lab.now)
        return end

    # The play.

    def run(self) -> Outcome:
        """Play it to the end."""
        steps = round(self.dimensions.seconds * 1e6) // STEP_US
        arrivals = {round(i * steps * 0.8 / self.dimensions.clients) for i in range(self.dimensions.clients)}
        for step in range(steps):
            if step in arrivals:
                self._ask()
            self.attack.step(self.lab.now)
            self._turn()
        limit = self.lab.now + _PATIENCE_US
        while self._asking and self.lab.now < limit:
            self._turn()
        self._end()
        return self.outcome

    def _ask(self) -> None:
        end = self.open()
        self.outcome.clients += 1
        end.send(b"GET /small HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        self._asking[self.outcome.clients] = end, self.lab.now

    def _turn(self) -> None:
        """Let a ms go by."""
        self._deliver()
        self.lab.breathe(self.lab.now + STEP_US)
        while self._waiting():
            self.lab.breathe()
            self._collect()
        self._collect()
        for end in list(self.ends.values()):
            end.tick(self.lab.now)
        self._look()
        engine = self.lab.engine()
        outcome = self.outcome
        outcome.least_free_frames = min(outcome.least_free_frames, engine.free_frame_count)
        outcome.most_connections = max(outcome.most_connections, engine.live_connections)

    def _waiting(self) -> int:
        ring = self.lab._ring(self.lab.arena.engine_rings, 0)
        return ring.tail - ring.head

    def _deliver(self) -> None:
        wire, self._wire = self._wire, []
        for place, (nic, frame) in enumerate(wire):
            self.lab.receive(nic, frame)
            if place % 200 == 199:
                self.lab.breathe()
                self._collect()

    def _collect(self) -> None:
        for nic, frame in self.lab.sent():
            if frame[12:14] != b"\x08\0" or frame[23] != 6:
                continue
            segment = read(frame)
            end = self.ends.get((nic, segment.destination, segment.source))
            if end is None and nic == 1 and segment.flags == 2:
                end = self._accept(segment.source)
            if end is not None:
                end.take(segment, self.lab.now)
                if nic == 1:
                    self._serve(end)

    def _accept(self, other: tuple[str, int]) -> End:
        first = self.choice.randrange(1 << 32)
        end = End(SERVICE, other, _MACS[1], lambda frame: self._wire.append((1, frame)), first)
        self.ends[1, SERVICE, other] = end
        return end

    def _serve(self, end: End) -> None:
        head, found, rest = bytes(end.received).partition(b"\r\n\r\n")
        if found:
            end.received[:] = rest
            body = self.bodies.get(head.split(b" ", 2)[1], b"")
            end.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        if end.ended and not end.closing:
            end.close()

    def _look(self) -> None:
        """Take note of the clients that have their answer, or lost patience."""
        for number, (end, asked_at) in list(self._asking.items()):
            got = bytes(end.received).partition(b"\r\n\r\n")[2]
            if got == self.bodies[b"/small"]:
                self.outcome.served += 1
                end.close()
            elif not end.was_reset and self.lab.now - asked_at < _PATIENCE_US:
                continue
            del self._asking[number]

    def _end(self) -> None:
        """All attackers vanish; when every timer has fired nothing may be left."""
        self.ends = {key: end for key, end in self.ends.items() if key[0] == 1}
        end = self.lab.now + _QUIET_US
        while self.lab.now < end and self.lab.engine().live_connections:
            self._deliver()
            self.lab.now += 200_000
            self.lab.breathe()
            self._collect()
            for each in list(self.ends.values()):
                each.tick(self.lab.now)
        self._account()

    def _account(self) -> None:
        self.lab.breathe()
        self.lab.sent()
        engine, values = self.lab.engine(), self.lab.totals().values
        rings = [self.lab._ring(self.lab.arena.transmit_return_rings, nic) for nic in range(2)]
        home = sum(ring.tail - ring.taken for ring in rings)
        self.outcome.kept_connections = engine.live_connections
        self.outcome.kept_frames = engine.frame_count - engine.free_frame_count - home
        counted = sum(
            n for name, n in values.items() if name.startswith(("used_", "drop_")) and "drop_send" not in name
        )
        self.outcome.unaccounted = values["received_packets"] - counted
        self.outcome.causes = {name: n for name, n in values.items() if n and _is_cause(name)}


def _is_cause(name: str) -> bool:
    return name.startswith("drop_") or name in (
        "challenge_acks",
        "challenge_acks_suppressed",
        "connections_timed_out",
        "orphans_evicted",
        "resets_suppressed",
        "echo_replies_suppressed",
        "connections_reset",
        "resets_sent",
        "echo_replies",
        "bad_sack_blocks",
        "out_of_order_segments",
        "duplicate_segments",
        "zero_window_probes",
        "http_refused_requests",
        "retransmission_timeouts",
    )


def besiege(attacks: dict[str, type[Attack]], dimensions: Dimensions, seed: int) -> Iterator[Outcome]:
    """Yield the outcome of each attack."""
    for attack in attacks.values():
        yield Siege(attack, dimensions, seed).run()
