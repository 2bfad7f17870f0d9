"""Large packets are cut into frames that carry the same bytes of the same stream, each a whole packet by itself."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncore_ray.arena.frame import FRAME_SIZE, Checksum
from ncore_ray.lab.dry.arena import GuardedBytes
from ncore_ray.lab.dry.packets import ethernet, internet_checksum, ip_frame, ipv4, ipv6, tcp, udp
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.nic.cutting import LARGEST, begin_cutting, cut, headers_of, is_cutting
from ncore_ray.nic.local import ReaderLocal, reader_local_at
from ncore_ray.nic.thread_memory import ReaderMemory

CLIENT, SERVER = "10.1.0.2", "10.1.0.100"
FIN, PSH, ACK, CWR = 1, 8, 16, 0x80


@entry_kernel
def begin(local: int, length: int, state: int) -> int:
    return begin_cutting(reader_local_at(local), length, state)


@entry_kernel
def cut_next(local: int, frame: int) -> int:
    """Return the length of the next part, or 0 if there is none."""
    record = reader_local_at(local)
    return cut(record, frame) if is_cutting(record) else 0


@entry_kernel
def read_headers(packet: int, length: int) -> int:
    return headers_of(packet, length)


class Cutter:
    """The room for one large packet, and a frame to cut it into."""

    def __init__(self, data: bytes) -> None:
        self.memory = ReaderMemory()
        self.room = np.zeros(LARGEST, np.uint8)
        self.room[: len(data)] = np.frombuffer(data, np.uint8)
        self.memory.local.large = self.room.ctypes.data
        self.length = len(data)

    @property
    def local(self) -> ReaderLocal:
        return self.memory.local

    def parts(self, state: Checksum = Checksum.PARTIAL) -> list[bytes]:
        if not begin(self.memory.address, self.length, int(state)):
            return []
        frame = np.zeros(FRAME_SIZE, np.uint8)
        found = []
        while length := cut_next(self.memory.address, frame.ctypes.data):
            found.append(frame[:length].tobytes())
        return found


def large(payload: bytes, flags: int = ACK, sequence: int = 1, *, ip: bytes = b"", options: bytes = b"") -> bytes:
    segment = tcp(CLIENT, 40_000, SERVER, 80, flags, payload, sequence=sequence, options=options)
    return ethernet(ipv4(CLIENT, SERVER, 6, segment, options=ip))


@settings(max_examples=60)
@given(
    st.integers(2_000, 60_000),
    st.integers(0, 0xFFFF_FFFF),
    st.sampled_from([b"", b"\1\1\1\1", b"\1" * 40]),
    st.sampled_from([b"", b"\1\1\1\0"]),
    st.sampled_from([ACK, ACK | PSH, ACK | PSH | FIN, ACK | CWR | FIN]),
)
def test_parts_carry_the_same_bytes_of_the_same_stream(
    length: int, sequence: int, options: bytes, ip: bytes, flags: int
) -> None:
    payload = np.arange(length, dtype=np.uint32).astype(np.uint8).tobytes()
    whole = large(payload, flags, sequence, ip=ip, options=options)
    headers = 14 + 20 + len(ip) + 20 + len(options)
    parts = Cutter(whole).parts()
    assert b"".join(part[headers:] for part in parts) == payload
    position = 0
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        assert len(part) <= FRAME_SIZE
        network, transport = part[14 : 34 + len(ip)], part[34 + len(ip) :]
        original = whole[34 + len(ip) :]
        assert internet_checksum(network) == 0
        assert struct.unpack(">H", network[2:4])[0] == len(part) - 14
        assert struct.unpack(">I", transport[4:8])[0] == (sequence + position) & 0xFFFF_FFFF
        assert transport[13] == flags & ~(0 if last else FIN | PSH) & ~(0 if number == 0 else CWR)
        assert (transport[:4], transport[8:13]) == (original[:4], original[8:13])
        position += len(part) - headers
    assert len(parts) == -(-length // (FRAME_SIZE - headers))


@pytest.mark.parametrize(
    "data",
    [
        ethernet(ipv4(CLIENT, SERVER, 17, udp(CLIENT, 1, SERVER, 2, bytes(4_000)))),
        ethernet(ipv4(CLIENT, SERVER, 6, tcp(CLIENT, 1, SERVER, 2, ACK, bytes(4_000)), offset=8)),
        ethernet(ipv4(CLIENT, SERVER, 6, tcp(CLIENT, 1, SERVER, 2, ACK, bytes(4_000)), more=True)),
        large(bytes(4_000)) + bytes(6),
        large(bytes(4_000))[:-6],
        ethernet(bytes(4_000), 0x86DD),
        large(b""),
    ],
    ids=["udp", "fragment", "first fragment", "padding", "cut off", "other protocol", "no bytes"],
)
def test_what_cannot_be_cut_is_not(data: bytes) -> None:
    assert Cutter(data).parts() == []


def test_checksum_that_nobody_looked_at_cannot_be_checked_in_parts() -> None:
    assert Cutter(large(bytes(4_000))).parts(Checksum.UNKNOWN) == []


@settings(max_examples=100)
@given(st.binary(max_size=120))
def test_any_bytes_are_read_inside_their_place(tail: bytes) -> None:
    data = (large(b"")[:14] + tail)[:134]
    room = GuardedBytes()
    assert 0 <= read_headers(room.put(data), len(data)) <= len(data)


def test_large_packet_over_ipv6() -> None:
    client, server = "2001:db8::2", "2001:db8::100"
    data = bytes(range(256)) * 20
    packet = ip_frame(client, server, 6, tcp(client, 9, server, 80, ACK | FIN, data, sequence=77, options=bytes(12)))
    parts = Cutter(packet).parts()
    assert len(parts) == 3
    sequence, whole = 77, b""
    for number, part in enumerate(parts):
        segment = part[54:]
        assert part[:54] == ethernet(ipv6(client, server, 6, segment), 0x86DD)[:54]
        assert struct.unpack(">I", segment[4:8]) == (sequence + len(whole),)
        assert segment[13] == (ACK | FIN if number == 2 else ACK)
        whole += segment[32:]
    assert whole == data


@pytest.mark.parametrize("protocol", [17, 60])
def test_no_other_large_packet_over_ipv6(protocol: int) -> None:
    packet = ip_frame(
        "2001:db8::2", "2001:db8::100", protocol, tcp("2001:db8::2", 9, "2001:db8::100", 80, ACK, bytes(5000))
    )
    assert Cutter(packet).parts() == []
