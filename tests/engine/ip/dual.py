"""An engine between a client and a server, each with addresses of both families; checksums are checked of all it sends.

lab = Dual()
client = lab.connect("2001:db8:1::100")       # a v6 VIP
server = lab.accept()                         # its service may be an IPv4 one
"""

from __future__ import annotations

import ipaddress
import itertools
import struct
from typing import Final

from ncore_ray.arena.frame import Checksum
from ncore_ray.lab.dry.engine import NIC_MACS, EngineLab
from ncore_ray.lab.dry.packets import (
    advertisement,
    arp,
    ethernet,
    internet_checksum,
    ip_bytes,
    ip_frame,
    pseudo_header,
    tcp,
    udp,
)
from tests.support.tcp_peer import ACK, RST, SYN, Peer, Segment, read_segment

CLIENTS: Final = {4: "10.1.0.2", 6: "2001:db8:1::2"}
SERVERS: Final = {4: "10.2.0.2", 6: "2001:db8:2::2"}
VIPS: Final = {4: "10.1.0.100", 6: "2001:db8:1::100"}
SNIPS: Final = {4: "10.2.0.10", 6: "2001:db8:2::10"}
CLIENT_MAC: Final = 0x0200_0000_0901
SERVER_MAC: Final = 0x0200_0000_0A02
TEXT: Final = """
appliance: {name: dual, engines: 1}
nics:
  - {name: nc0, driver: memory, addresses: [10.1.0.10/24, "2001:db8:1::10/64"]}
  - {name: nc1, driver: memory, addresses: [10.2.0.10/24, "2001:db8:2::10/64"]}
services:
  - {name: four, address: "10.2.0.2:80", monitor: none}
  - {name: six, address: "[2001:db8:2::2]:80", monitor: MONITOR}
  - {name: dns6, address: "[2001:db8:2::2]:53", monitor: none}
  - {name: dns4, address: "10.2.0.2:53", monitor: none}
vservers:
  - {name: v4to6, address: "10.1.0.100:80", protocol: PROTOCOL, services: [six]}
  - {name: v6to4, address: "[2001:db8:1::100]:80", protocol: PROTOCOL, services: [four]}
  - {name: v6to6, address: "[2001:db8:1::100]:81", protocol: PROTOCOL, services: [six]}
  - {name: dns6to4, address: "[2001:db8:1::100]:53", protocol: UDP, services: [dns4]}
  - {name: dns4to6, address: "10.1.0.100:53", protocol: UDP, services: [dns6]}
"""


class Dual:
    """The engine and both hosts."""

    def __init__(self, protocol: str = "HTTP", monitor: str = "none", text: str = TEXT) -> None:
        self.engine = EngineLab(text.replace("PROTOCOL", protocol).replace("MONITOR", monitor))
        self.peers: dict[tuple[str, int, str, int], Peer] = {}
        self.waiting: list[Peer] = []
        self.datagrams: list[tuple[str, int, str, int, bytes]] = []
        self.other: list[tuple[int, bytes]] = []
        """Frames that are no TCP, UDP, or question for a link-layer address."""
        self.questions: list[bytes] = []
        self.raw: list[tuple[int, bytes]] | None = None
        """Where frames go instead of to the hosts, if set."""
        self._ports = itertools.count(40_000)
        self._wire: list[tuple[int, bytes]] = []

    def connect(self, vip: str, port: int = 80) -> Peer:
        """Open a client's connection."""
        source = CLIENTS[ipaddress.ip_address(vip).version]
        return self._peer((source, next(self._ports)), (vip, port), 0).connect()

    def accept(self) -> Peer:
        """Return the oldest connection to a server that nobody has taken yet."""
        self.settle()
        if not self.waiting:
            self.wait(10_000)  # what waits for a link-layer address is tried again soon
        return self.waiting.pop(0)

    def _peer(self, own: tuple[str, int], other: tuple[str, int], nic: int) -> Peer:
        peer = Peer(own, other, lambda segment: self._send(own[0], other[0], nic, segment), self.settle, 1_000)
        self.peers[*own, *other] = peer
        return peer

    def _send(self, source: str, destination: str, nic: int, segment: Segment) -> None:
        body = tcp(
            source,
            segment.source_port,
            destination,
            segment.destination_port,
            segment.flags,
            segment.payload,
            sequence=segment.sequence,
            acknowledgment=segment.acknowledgment,
            window=segment.window,
            options=segment.options,
        )
        self.send(nic, source, destination, 6, body)

    def send_datagram(self, source: str, source_port: int, destination: str, port: int, data: bytes, nic: int) -> None:
        """Send a datagram of a host's."""
        self.send(nic, source, destination, 17, udp(source, source_port, destination, port, data))
        self.settle()

    def send(self, nic: int, source: str, destination: str, protocol: int, body: bytes) -> None:
        """Put a packet of a host's on the wire."""
        mac = CLIENT_MAC if nic == 0 else SERVER_MAC
        self._wire.append((nic, ip_frame(source, destination, protocol, body, NIC_MACS[nic], mac)))

    def inject(self, nic: int, frame: bytes) -> list[tuple[int, bytes]]:
        """Put a frame on the wire; return what came back that is neither TCP nor UDP."""
        self._wire.append((nic, frame))
        self.settle()
        found, self.other = self.other, []
        return found

    def settle(self) -> None:
        """Let packets run until there are none."""
        for _ in range(500):
            wire, self._wire = self._wire, []
            for nic, frame in wire:
                self.engine.receive(nic, frame, checksum=Checksum.UNKNOWN)
            self.engine.now += 10
            worked = self.engine.breathe()
            sent = self.engine.sent()
            for nic, frame in sent:
                self._deliver(nic, frame)
            if not worked and not sent and not self._wire:
                return
        raise AssertionError("the packets do not come to rest")

    def wait(self, us: int) -> None:
        """Let time go by."""
        end = self.engine.now + us
        while self.engine.now < end:
            self.engine.now = min(self.engine.now + 1_100, end)
            self.settle()

    def _deliver(self, nic: int, frame: bytes) -> None:
        if self.raw is not None:
            self.raw.append((nic, frame))
            return
        kind = int.from_bytes(frame[12:14], "big")
        if kind == 0x0806:
            self._answer_arp(nic, frame)
            return
        if kind == 0x86DD:
            source, destination = frame[22:38], frame[38:54]
            protocol, payload = frame[20], frame[54:]
            assert len(payload) == int.from_bytes(frame[18:20], "big")
        else:
            assert internet_checksum(frame[14:34]) == 0
            source, destination = frame[26:30], frame[30:34]
            protocol, payload = frame[23], frame[34:]
        ends = str(ipaddress.ip_address(source)), str(ipaddress.ip_address(destination))
        if protocol in (6, 17, 58):
            assert internet_checksum(pseudo_header(*ends, protocol, len(payload)) + payload) == 0
        if protocol == 58 and payload[0] == 135:
            self._answer_solicitation(nic, frame, ends[0])
        elif protocol == 6:
            self._take_segment(nic, *ends, read_segment(payload))
        elif protocol == 17:
            ports = struct.unpack(">HH", payload[:4])
            self.datagrams.append((ends[0], ports[0], ends[1], ports[1], payload[8:]))
        else:
            self.other.append((nic, frame))

    def _answer_arp(self, nic: int, frame: bytes) -> None:
        if frame[20:22] != b"\0\1" or frame[38:42] != ip_bytes(SERVERS[4]):
            self.other.append((nic, frame))
            return
        body = arp(2, SERVER_MAC, SERVERS[4], NIC_MACS[nic], SNIPS[4])
        self._wire.append((nic, ethernet(body, 0x0806, NIC_MACS[nic], SERVER_MAC)))

    def _answer_solicitation(self, nic: int, frame: bytes, asker: str) -> None:
        assert frame[21] == 255
        self.questions.append(frame)
        if frame[62:78] == ip_bytes(SERVERS[6]):
            macs = NIC_MACS[nic], SERVER_MAC
            self._wire.append((nic, advertisement(SERVERS[6], SERVERS[6], SERVER_MAC, asker, 0x60, macs)))

    def _take_segment(self, nic: int, source: str, destination: str, segment: Segment) -> None:
        key = (destination, segment.destination_port, source, segment.source_port)
        peer = self.peers.get(key)
        if segment.flags & (SYN | ACK) == SYN:
            peer = self._peer(key[:2], key[2:], nic)
            peer.accept(segment)
            self.waiting.append(peer)
        elif peer is not None:
            peer.receive(segment, self.engine.now)
        else:
            assert segment.flags & RST
