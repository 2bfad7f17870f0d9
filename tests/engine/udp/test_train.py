"""Bursts of datagrams that leave as one packet, which the kernel cuts: what comes out is what came in."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncore_ray.engine.udp.train import MOST_DATAGRAMS
from ncore_ray.machine.record import new, size_of, view
from ncore_ray.nic.burst import SendCounters
from ncore_ray.nic.direct import SenderMemory, what_is_cut
from ncore_ray.tables.nic import Cutting, Nic, Transmit
from tests.support.http_lab import VIP, HttpLab, running
from tests.support.tcp_script import _sum, check_accounts

_PORT = 80
_UDP_GSO = 5


@dataclass
class Datagram:
    """What a server's host gets, after the kernel has cut and summed."""

    source_port: int
    payload: bytes
    packet: int
    """Number of the packet that it was cut from."""


class Wire:
    """NIC 1 of a lab as a socket with virtio headers."""

    def __init__(self, lab: HttpLab, cutting: Cutting = Cutting.DATAGRAMS) -> None:
        self.lab, self.packets = lab, 0
        self.ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for end in self.ends:
            end.setblocking(False)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        row = view(Nic, lab.array, lab.arena.nics + size_of(Nic))
        row.transmit, row.offload = Transmit.DIRECT, cutting
        self._memory, _, counters = new(SendCounters)
        lab._sender = SenderMemory([-1, self.ends[0].fileno()], counters)

    def take(self) -> list[Datagram]:
        """Return what was sent since the last call."""
        found: list[Datagram] = []
        while True:
            try:
                data = self.ends[1].recv(1 << 16)
            except BlockingIOError:
                return found
            if data[10 + 12 : 10 + 14] == b"\x08\0":
                found += self._cut(data[:10], data[10:])
                self.packets += 1

    def _cut(self, virtio: bytes, packet: bytes) -> list[Datagram]:
        """Do what Linux does (`__udp_gso_segment`), after looking at what it looks at."""
        flags, kind, headers, step, start, offset = struct.unpack("<BBHHHH", virtio)
        assert (flags, headers, start, offset) == (1, 42, 34, 6)
        assert _sum(packet[14:34]) == 0xFFFF
        length = struct.unpack(">H", packet[38:40])[0]
        assert struct.unpack(">H", packet[16:18])[0] == 20 + length == len(packet) - 14
        pseudo = packet[26:34] + struct.pack(">HH", 17, length)
        assert struct.unpack(">H", packet[40:42])[0] == _sum(pseudo)
        body = packet[42:]
        assert (kind == _UDP_GSO) == (step > 0)
        assert step == 0 or len(body) > step
        parts = [body[at : at + step] for at in range(0, len(body), step)] if step else [body]
        assert len(parts) <= MOST_DATAGRAMS
        return [Datagram(int.from_bytes(packet[34:36], "big"), part, self.packets) for part in parts]

    def burst(self, datagrams: list[tuple[int, bytes]]) -> list[Datagram]:
        """Let clients (by port) send datagrams that arrive together; return what the server gets."""
        for port, payload in datagrams:
            self.lab.client_host.send_datagram(port, (VIP, _PORT), payload)
        self.lab.settle()
        check_accounts(self.lab.totals())
        return self.take()


@pytest.fixture
def wire() -> Iterator[Wire]:
    with running(protocol="UDP") as lab:
        made = Wire(lab)
        made.burst([(4_000, b"first"), (4_001, b"first")])  # sessions and neighbours are known from here on
        yield made
        lab.wait(31_000_000)
        for end in made.ends:
            end.close()


def test_a_burst_of_one_session_is_one_packet(wire: Wire) -> None:
    burst = [(4_000, bytes([number]) * 64) for number in range(16)]
    got = wire.burst(burst)
    assert [one.payload for one in got] == [payload for _, payload in burst]
    assert len({one.packet for one in got}) == 1


def test_a_shorter_datagram_is_the_last_of_its_packet_and_a_longer_one_begins_another(wire: Wire) -> None:
    sizes = [64, 64, 10, 64, 65, 65]
    got = wire.burst([(4_000, bytes([size]) * size) for size in sizes])
    assert [len(one.payload) for one in got] == sizes
    assert [one.packet - got[0].packet for one in got] == [0, 0, 0, 1, 2, 2]


def test_sessions_do_not_mix_and_empty_datagrams_stay_alone(wire: Wire) -> None:
    burst = [(4_000, b"a"), (4_001, b"b"), (4_001, b"c"), (4_001, b""), (4_001, b"d"), (4_000, b"e")]
    got = wire.burst(burst)
    assert [one.payload for one in got] == [payload for _, payload in burst]
    assert [one.packet - got[0].packet for one in got] == [0, 1, 1, 2, 3, 4]
    assert len({one.source_port for one in got}) == 2


def test_a_kernel_that_cuts_no_datagrams_gets_single_ones() -> None:
    with running(protocol="UDP") as lab:
        wire = Wire(lab, Cutting.SEGMENTS)
        wire.burst([(4_000, b"first")])
        got = wire.burst([(4_000, b"x" * 64)] * 3)
        assert [one.packet for one in got] == [got[0].packet, got[0].packet + 1, got[0].packet + 2]
        lab.wait(31_000_000)


bursts = st.lists(st.tuples(st.sampled_from([4_000, 4_001]), st.sampled_from([0, 1, 7, 64, 700, 1_472])), max_size=90)


@settings(max_examples=25)
@given(st.lists(bursts, min_size=1, max_size=3))
def test_any_bursts_come_out_as_they_came_in(many: list[list[tuple[int, int]]]) -> None:
    with running(protocol="UDP") as lab:
        wire = Wire(lab)
        wire.burst([(4_000, b"first"), (4_001, b"first")])
        for number, burst in enumerate(many):
            sent = [(port, bytes([number + place & 0xFF]) * size) for place, (port, size) in enumerate(burst)]
            got = wire.burst(sent)
            assert [one.payload for one in got] == [payload for _, payload in sent]
            for port in (4_000, 4_001):
                assert len({one.source_port for (own, _), one in zip(sent, got, strict=True) if own == port}) <= 1
        lab.wait(31_000_000)
        for end in wire.ends:
            end.close()


def test_versions_of_linux() -> None:
    assert what_is_cut("6.2.0") == what_is_cut("6.18.44-fc") == what_is_cut("7.0") == Cutting.DATAGRAMS
    assert what_is_cut("6.1.0-18-amd64") == what_is_cut("5.15.0") == what_is_cut("odd") == Cutting.SEGMENTS
