"""ICMP errors about spliced segments: their sender hears of them, with the headers that it knows."""

from __future__ import annotations

import struct

import pytest

from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.lab.dry.engine import NIC_MACS
from ncore_ray.lab.dry.packets import icmp, icmpv6, internet_checksum, ip_bytes, ip_frame
from tests.engine.ip.dual import CLIENTS, SERVERS, SNIPS, TEXT, VIPS, Dual
from tests.support.tcp_peer import Peer

SPLICED = TEXT.replace(
    "services: [six]}\n  - {name: v6to4", "services: [four], mode: splice}\n  - {name: v6to4"
).replace('81", protocol: PROTOCOL, services: [six]', '81", protocol: PROTOCOL, services: [six], mode: splice')


class Spliced:
    """A spliced pair of a family, and what its hosts hear of ICMP."""

    def __init__(self, family: int) -> None:
        self.family = family
        self.lab = Dual("TCP", text=SPLICED)
        self.client: Peer = self.lab.connect(VIPS[family], 80 if family == 4 else 81)
        self.server: Peer = self.lab.accept()
        self.lab.settle()
        tcbs = self.lab.engine.connections()
        assert {tcb.state for tcb in tcbs} == {TcpState.SPLICED}
        self.tcbs = sorted(tcbs, key=lambda tcb: tcb.role)
        self.lab.raw = []

    def send_data(self, side: int) -> bytes:
        """Let one side send three bytes, and return the packet, with its IP header, that went to the other."""
        (self.client, self.server)[side].send(b"abc")
        self.lab.settle()
        assert self.lab.raw is not None
        (_, frame), *_ = self.lab.raw
        self.lab.raw.clear()
        return frame[14:]

    def router_says(self, nic: int, kind: int, code: int, rest: bytes, packet: bytes) -> list[bytes]:
        """Let a router on a NIC's network tell of a packet; return the ICMP messages that went out."""
        router = {4: f"10.{nic + 1}.0.77", 6: f"2001:db8:{nic + 1}::77"}[self.family]
        own = {4: (VIPS[4], SNIPS[4]), 6: (VIPS[6], SNIPS[6])}[self.family][nic]
        if self.family == 4:
            frame = ip_frame(router, own, 1, icmp(kind, code, rest + packet[:28]), NIC_MACS[nic])
        else:
            frame = ip_frame(router, own, 58, icmpv6(router, own, kind, code, rest + packet[:600]), NIC_MACS[nic])
        self.lab.engine.receive(nic, frame)
        self.lab.settle()
        found = [frame[14:] for at, frame in self.lab.raw or [] if at == 1 - nic]
        assert len(found) == len(self.lab.raw or [])
        return found


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("side", [0, 1], ids=["client sends", "server sends"])
def test_sender_hears_of_a_smaller_mtu(family: int, side: int) -> None:
    pair = Spliced(family)
    tcb = pair.tcbs[1 - side]
    tcb.mss = 1_460
    packet = pair.send_data(side)
    kind, code = (3, 4) if family == 4 else (2, 0)
    rest = struct.pack(">HH", 0, 1_300) if family == 4 else struct.pack(">I", 1_300)
    (message,) = pair.router_says(1 - side, kind, code, rest, packet)
    header = 20 if family == 4 else 40
    host = (CLIENTS, SERVERS)[side][family]
    own = (VIPS, SNIPS)[side][family]
    assert message[12 if family == 4 else 8 : header] == ip_bytes(own) + ip_bytes(host)
    body = message[header:]
    assert (body[0], body[1], body[4:8]) == (kind, code, rest)
    if family == 4:
        assert internet_checksum(body) == 0
        assert internet_checksum(body[8:28]) == 0
    quoted = body[8:]
    assert quoted[12 if family == 4 else 8 : header] == ip_bytes(host) + ip_bytes(own)
    ports, sequence = struct.unpack(">II", quoted[header : header + 8])
    peer = (pair.client, pair.server)[side]
    assert ports == peer.own[1] << 16 | peer.other[1]
    assert sequence == peer._una
    assert tcb.mss == 1_300 - header - 20
    assert pair.lab.engine.counters().spliced_icmp_errors == 1


@pytest.mark.parametrize("family", [4, 6])
def test_forged_error_goes_nowhere(family: int) -> None:
    """RFC 5927 §4: what was never sent, or is acknowledged, cannot have been lost."""
    pair = Spliced(family)
    packet = bytearray(pair.send_data(0))
    at = (20 if family == 4 else 40) + 4
    packet[at : at + 4] = struct.pack(">I", (pair.tcbs[1].snd_max + 9) & 0xFFFF_FFFF)
    kind, code = (3, 4) if family == 4 else (2, 0)
    assert pair.router_says(1, kind, code, struct.pack(">HH", 0, 1_300), bytes(packet)) == []
    assert pair.lab.engine.counters().spliced_icmp_errors == 0


@pytest.mark.parametrize(("family", "kind"), [(4, 3), (4, 11), (6, 1), (6, 3)])
def test_other_errors_are_told_too_and_end_nothing(family: int, kind: int) -> None:
    pair = Spliced(family)
    packet = pair.send_data(0)
    (message,) = pair.router_says(1, kind, 1, bytes(4), packet)
    assert message[20 if family == 4 else 40] == kind
    assert {tcb.state for tcb in pair.lab.engine.connections()} == {TcpState.SPLICED}


def test_errors_have_a_limit() -> None:
    pair = Spliced(4)
    packet = pair.send_data(0)
    told = 0
    for _ in range(80):
        told += len(pair.router_says(1, 3, 1, bytes(4), packet))
        assert pair.lab.raw is not None
        pair.lab.raw.clear()
    assert told == 50
    assert pair.lab.engine.counters().icmp_errors_suppressed == 30


@pytest.mark.parametrize("family", [4, 6])
def test_streams_of_both_families(family: int) -> None:
    pair = Spliced(family)
    pair.lab.raw = None
    data = bytes(range(256)) * 100
    pair.client.send(data)
    pair.server.expect(data)
    pair.server.send(data[::-1]).close()
    pair.client.expect(data[::-1]).expect_eof()
