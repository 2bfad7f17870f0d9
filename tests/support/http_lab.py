"""Engines between scripted hosts: clients and servers are Python objects, time passes only when a test says so.

lab = HttpLab(configuration(services=2))
client = lab.client().connect()
client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
server = lab.servers[0].accept()
server.expect(b"GET / HTTP/1.1\r\nHost: a\r\n…")
server.send(b"HTTP/1.1 204 No Content\r\n\r\n")
client.expect(b"HTTP/1.1 204 No Content\r\n…")
lab.end()                                    # everything is given back, all counters add up
"""

from __future__ import annotations

import socket
import struct
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from ncore_ray.arena.core import Core
from ncore_ray.arena.ring import Ring, ring_size
from ncore_ray.engine.connection import Tcb
from ncore_ray.engine.remote.link import LINK_SIZE, Half, Link
from ncore_ray.lab.dry.engine import NIC_MACS, EngineLab
from ncore_ray.machine.record import size_of, table, view
from tests.support.tcp_peer import ACK, FIN, RST, SYN, Peer, Segment, read_segment

VIP: Final = "10.1.0.100"
SNIPS: Final = ("10.1.0.10", "10.2.0.10")
SECOND: Final = 1_000_000
_ROUND_US: Final = 10
_MOST_ROUNDS: Final = 20_000
_WIRE_BATCH: Final = 64
_IP: Final = 0x0800
_ARP: Final = 0x0806


def configuration(
    *,
    protocol: str = "HTTP",
    services: int = 1,
    method: str = "roundrobin",
    weights: tuple[int, ...] = (),
    monitor: str = "none",
    engines: int = 1,
    key: str = "",
    unit: str = "",
    mode: str = "",
    distribution: str = "",
    http: str = "",
    timeouts: str = "",
    tcp: str = "",
    limits: str = "",
    access_log: str = "",
    also: str = "",
) -> str:
    """Return a configuration with one vServer at the VIP's port 80, and one of protocol ``also``.

    The last ones are YAML flow mappings' insides."""
    names = [f"s{k}" for k in range(services)]
    weights = weights or (1,) * services
    lines = [
        f"appliance: {{name: lab, engines: {engines}}}",
        "nics:",
        "  - {name: nc0, driver: memory, addresses: [10.1.0.10/24]}",
        "  - {name: nc1, driver: memory, addresses: [10.2.0.10/24]}",
        "services:",
        *(
            f'  - {{name: {name}, address: "10.2.0.{2 + k}:80", weight: {weights[k]}, monitor: {monitor}}}'
            for k, name in enumerate(names)
        ),
        "vservers:",
        f'  - {{name: v, address: "{VIP}:80", protocol: {protocol}, services: [{", ".join(names)}], method: {method}'
        + (f", http: {{{http}}}" if http else "")
        + (f", key: {{{key}}}" if key else "")
        + (f", unit: {unit}" if unit else "")
        + (f", mode: {mode}" if mode else "")
        + "}",
    ]
    if also:
        lines.append(f'  - {{name: also, address: "{VIP}:80", protocol: {also}, services: [s0]}}')
    lines += [
        f"{name}: {{{value}}}"
        for name, value in (
            ("distribution", distribution),
            ("timeouts", timeouts),
            ("tcp", tcp),
            ("limits", limits),
            ("access_log", access_log),
        )
        if value
    ]
    return "\n".join(lines) + "\n"


def _checksum(data: bytes) -> int:
    """Return the sum that makes the data and itself come out as 0 modulo 65535 (RFC 1071)."""
    return 65535 - int.from_bytes(data + b"\0" * (len(data) % 2), "big") % 65535


def _sums_up(data: bytes) -> bool:
    return int.from_bytes(data + b"\0" * (len(data) % 2), "big") % 65535 == 0


class Host:
    """A machine on one of the networks: it answers ARP, listens, and holds its connections."""

    def __init__(self, lab: HttpLab, nic: int, address: str) -> None:
        self.lab, self.nic, self.address = lab, nic, address
        self.mac = 0x0200_0000_0000 | int.from_bytes(socket.inet_aton(address), "big")
        self.refuse = False
        """Answer every SYN with a reset."""
        self.silent = False
        """Answer nothing at all."""
        self.options: dict[str, Any] = {}
        """What accepted connections begin with (`Peer` fields)."""
        self.syns = 0
        self.peers: dict[tuple[int, str, int], Peer] = {}
        self.waiting: deque[Peer] = deque()
        self.datagrams: deque[tuple[str, int, int, bytes]] = deque()
        """Received: source address, source port, destination port, payload."""
        self.errors: list[tuple[str, int, int]] = []
        """ICMP messages: source, type, code."""
        self.engines: dict[tuple[int, str, int], int] = {}

    def peer(self, own_port: int, other: tuple[str, int], engine: int = 0, **fields: Any) -> Peer:
        key = (own_port, *other)
        self.engines[key] = engine
        peer = Peer(
            (self.address, own_port),
            other,
            lambda segment: self._transmit(key, segment),
            self.lab.settle,
            self.lab.next_sequence(),
            **fields,
        )
        self.peers[key] = peer
        return peer

    def accept(self) -> Peer:
        """Return the oldest connection that nobody has taken yet."""
        self.lab.settle()
        assert self.waiting, "no connection has come"
        return self.waiting.popleft()

    def expect_no_connection(self) -> None:
        self.lab.settle()
        assert not self.waiting

    def send_datagram(self, own_port: int, other: tuple[str, int], payload: bytes, engine: int = 0) -> None:
        header = struct.pack(">HHH", own_port, other[1], 8 + len(payload))
        pseudo = self._pseudo(other[0], 17, 8 + len(payload))
        total = _checksum(pseudo + header + b"\0\0" + payload)
        self._ip(other[0], 17, header + struct.pack(">H", total) + payload, engine)

    def _pseudo(self, other: str, protocol: int, length: int) -> bytes:
        return socket.inet_aton(self.address) + socket.inet_aton(other) + struct.pack(">BBH", 0, protocol, length)

    def _transmit(self, key: tuple[int, str, int], segment: Segment) -> None:
        offset = 5 + len(segment.options) // 4
        words = (segment.source_port, segment.destination_port, segment.sequence, segment.acknowledgment)
        start = struct.pack(">HHIIBBH", *words, offset << 4, segment.flags, segment.window)
        rest = b"\0\0" + segment.options + segment.payload
        pseudo = self._pseudo(key[1], 6, len(start) + 2 + len(rest))
        total = _checksum(pseudo + start + b"\0\0" + rest)
        self._ip(key[1], 6, start + struct.pack(">H", total) + rest, self.engines[key])

    def _ip(self, other: str, protocol: int, payload: bytes, engine: int) -> None:
        start = struct.pack(">BBHHHBB", 0x45, 0, 20 + len(payload), 0, 0x4000, 64, protocol)
        ends = socket.inet_aton(self.address) + socket.inet_aton(other)
        header = start + struct.pack(">H", _checksum(start + b"\0\0" + ends)) + ends
        self._frame(NIC_MACS[self.nic], _IP, header + payload, engine)

    def _frame(self, target: int, kind: int, payload: bytes, engine: int) -> None:
        frame = target.to_bytes(6, "big") + self.mac.to_bytes(6, "big") + struct.pack(">H", kind) + payload
        self.lab.wire.append((engine, self.nic, frame))

    def arp_request(self, payload: bytes, engine: int) -> None:
        """Answer a question for our address."""
        if self.silent:
            return
        asker, asker_address = payload[8:14], payload[14:18]
        own = self.mac.to_bytes(6, "big") + socket.inet_aton(self.address)
        answer = bytes.fromhex("0001080006040002") + own + asker + asker_address
        self._frame(int.from_bytes(asker, "big"), _ARP, answer, engine)

    def receive(self, source: str, protocol: int, payload: bytes, engine: int) -> None:
        if protocol == 1:
            assert _sums_up(payload)
            self.errors.append((source, payload[0], payload[1]))
            return
        assert _sums_up(
            socket.inet_aton(source)
            + socket.inet_aton(self.address)
            + struct.pack(">BBH", 0, protocol, len(payload))
            + payload
        )
        if self.silent:
            return
        if protocol == 17:
            ports = struct.unpack(">HH", payload[:4])
            self.datagrams.append((source, *ports, payload[8:]))
            return
        self._receive_tcp(source, read_segment(payload), engine)

    def _receive_tcp(self, source: str, segment: Segment, engine: int) -> None:
        key = (segment.destination_port, source, segment.source_port)
        peer = self.peers.get(key)
        if segment.flags & (SYN | ACK) == SYN:
            self.syns += 1
            if peer is not None and peer.lossy and not peer.established and not peer.gone:
                peer.accept(segment)  # a successor cannot know whether its predecessor's SYN went out
                return
            assert peer is None or peer.gone or (peer.eof and peer.closing) or self.refuse
            if self.refuse:
                self.engines[key] = engine
                reset = Segment(key[0], key[2], 0, (segment.sequence + 1) & 0xFFFF_FFFF, RST | ACK, 0)
                self._transmit(key, reset)
                return
            peer = self.peer(key[0], (source, key[2]), engine, **self.options)
            self.waiting.append(peer)
            peer.accept(segment)
            return
        if peer is not None:
            peer.receive(segment, self.lab.now)
            return
        if not segment.flags & RST:
            self.engines[key] = engine
            length = len(segment.payload) + (1 if segment.flags & FIN else 0)
            end = (segment.sequence + length) & 0xFFFF_FFFF
            self._transmit(key, Segment(key[0], key[2], segment.acknowledgment, end, RST | ACK, 0))


class HttpLab(EngineLab):
    """The appliance, a host for clients, and a host for every service."""

    def __init__(self, text: str, **dimensions: int) -> None:
        super().__init__(text, **dimensions)
        self.wire: deque[tuple[int, int, bytes]] = deque()
        self.hosts: dict[str, Host] = {}
        self.asleep: frozenset[int] = frozenset()
        """Engines that do not breathe in `step_engines`."""
        self.patience = 7 * SECOND
        """How long the last states may take at the end."""
        self._sequence = 1_000
        self._port = 30_000
        self.all_peers: list[Peer] = []
        self.client_host = self.add_host(0, "10.1.0.2")
        services = self.blueprint.configuration.services
        self.servers = [self.add_host(1, str(service.address.address)) for service in services]
        self.step_engines()

    @property
    def engine_indexes(self) -> range:
        return range(self.arena.engine_count)

    def add_host(self, nic: int, address: str) -> Host:
        """Put a host on a network, and let the appliance know its link-layer address."""
        host = self.hosts[address] = Host(self, nic, address)
        self.learn(nic, address, host.mac)
        return host

    def next_sequence(self) -> int:
        self._sequence = (self._sequence * 1_103_515_245 + 12_345) & 0xFFFF_FFFF
        return self._sequence

    def client(self, *, engine: int = 0, port: int = 80, **fields: Any) -> Peer:
        """Return a connection of a new client, not opened yet."""
        self._port += 1
        return self.client_host.peer(self._port, (VIP, port), engine, **fields)

    def step_engines(self) -> int:
        """Deliver what is on the wire, one breath of every engine, and what they sent to the hosts."""
        moved = min(len(self.wire), _WIRE_BATCH)
        for _ in range(moved):
            engine, nic, frame = self.wire.popleft()
            self.receive(nic, frame, engine=engine)
        for engine in self.engine_indexes:
            if engine in self.asleep:
                continue
            self.breathe(engine=engine)
            for nic, frame in self.sent(engine=engine):
                moved += 1
                self._deliver(engine, nic, frame)
        return moved

    def _deliver(self, engine: int, nic: int, frame: bytes) -> None:
        if frame[12:14] == b"\x08\x06":
            target = self.hosts.get(socket.inet_ntoa(frame[38:42]))
            if frame[20:22] == b"\0\x01" and target is not None and target.nic == nic:
                target.arp_request(frame[14:42], engine)
            return
        assert _sums_up(frame[14:34])
        length = int.from_bytes(frame[16:18], "big")
        assert len(frame) == 14 + length
        source, destination = socket.inet_ntoa(frame[26:30]), socket.inet_ntoa(frame[30:34])
        host = self.hosts[destination]
        assert (host.nic, host.mac) == (nic, int.from_bytes(frame[:6], "big"))
        host.receive(source, frame[23], frame[34:], engine)

    def settle(self) -> None:
        """Let packets run until none moves any more; hardly any time passes."""
        for _ in range(_MOST_ROUNDS):
            self.now += _ROUND_US
            if self.step_engines() == 0 and not self.wire and (self.asleep or not self.waiting_messages()):
                return
        raise AssertionError("the packets never come to rest")

    def waiting_messages(self) -> int:
        """Return how many messages lie in the rings between engines."""
        rings = self.message_rings()
        return sum(ring.tail - ring.head for ring in rings)

    def message_rings(self) -> list[Ring]:
        """Return the rings of messages between engines, by pairs in order; none without virtual connections."""
        if self.blueprint.links is None:
            return []
        plan, spans = self.blueprint.links
        size = ring_size(plan.message_capacity)
        return [view(Ring, self.array, spans.message_rings + k * size) for k in range(plan.pairs)]

    def wait(self, span_us: int, step_us: int = 0) -> None:
        """Let time go by, in steps (by default of a hundredth, 2 ms at least)."""
        end = self.now + span_us
        step_us = step_us or max(span_us // 100, 2_000)
        while self.now < end:
            self.now = min(self.now + step_us, end)
            for host in self.hosts.values():
                for peer in host.peers.values():
                    peer.tick(self.now)
            self.settle()

    def frames_in_use(self, engine: int = 0) -> int:
        """Return the frames of an engine's pool that hold something (not those on their way home from a NIC)."""
        header = self.engine(engine)
        home = 0
        for nic in range(self.arena.nic_count):
            ring = self._ring(self.arena.transmit_return_rings, engine * self.arena.nic_count + nic)
            home += ring.tail - ring.head
        return header.frame_count - header.free_frame_count - home

    def heart(self, engine: int) -> Core:
        """Return the record by which an engine says that it breathes."""
        return view(Core, self.array, self.arena.cores + (1 + engine) * size_of(Core))

    def drain(self) -> None:
        """Tell all engines to take no new connections."""
        for engine in self.engine_indexes:
            self.heart(engine).drain = 1

    def live(self, engine: int = 0) -> list[Tcb]:
        return self.connections(engine)

    def end(self) -> None:
        """Reset what is open, wait until the last states are gone, and see that all is given back and adds up."""
        self.settle()
        for host in self.hosts.values():
            for peer in host.peers.values():
                if peer.established:
                    peer.reset()
        self.settle()
        self.wait(self.patience, 500_000)
        for engine in self.engine_indexes:
            self.check_given_back(engine)
            self.check_counters(engine)
            self.check_links(engine)

    def check_links(self, engine: int) -> None:
        """See that no half of a virtual connection is kept."""
        header = self.engine(engine)
        for other in self.engine_indexes if header.links else ():
            link = view(Link, self.array, header.links + other * LINK_SIZE)
            halves = table(Half, self.array, header.halves, header.half_count * self.arena.engine_count)
            assert not halves["connection"].any()
            free, number = 0, link.free_half
            while number:
                free, number = free + 1, int(halves[number - 1]["next"])
            assert free == (header.half_count // 2 if link.outbound else 0)
            assert (link.waiting, link.waiting_first, link.waiting_last, link.urgent) == (0, 0, 0, 0)

    def check_given_back(self, engine: int = 0) -> None:
        header = self.engine(engine)
        assert self.live(engine) == []
        assert self.frames_in_use(engine) == 0
        assert (header.half_open, header.live_connections, header.time_wait_first) == (0, 0, 0)
        assert (header.orphan_first, header.orphan_last) == (0, 0)
        for number in range(self.arena.vserver_count):
            assert self.vserver(number, engine).connections == 0
        for number in range(self.arena.service_count):
            stats = self.service_stats(number, engine)
            assert (stats.connections, stats.busy, stats.idle_connections, stats.idle_first) == (0, 0, 0, 0)

    def check_counters(self, engine: int = 0) -> None:
        values = self.totals(engine).values
        inbound = sum(v for k, v in values.items() if k.startswith(("used_", "drop_")) and "drop_send" not in k)
        assert values["received_packets"] == inbound
        lost = sum(v for k, v in values.items() if k.startswith("drop_send"))
        assert values["made_packets"] == values["sent_packets"] + lost
        assert all(value >= 0 for value in values.values())
        made = (
            values["connections_accepted"]
            + values["connections_opened"]
            + 2 * (values["udp_sessions"] + values["any_sessions"])
        )
        made += values["virtual_connections_opened"] + values["virtual_connections_accepted"]
        made += values["connections_thawed"] - values["connections_withdrawn"]
        assert values["connections_closed"] == made - len(self.live(engine))


@contextmanager
def running(*, connections: int = 64, frames: int = 512, messages: int = 256, **settings: Any) -> Iterator[HttpLab]:
    """Give a lab of `configuration(**settings)`, and see afterwards that nothing was lost or kept."""
    lab = HttpLab(configuration(**settings), connections=connections, frames=frames, messages=messages)
    yield lab
    lab.end()
