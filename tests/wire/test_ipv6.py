"""IPv6 headers and the walk along extension headers, against packets that plain Python wrote."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncore_ray.lab.dry.arena import GuardedBytes
from ncore_ray.lab.dry.packets import ethernet, fragment6, ipv6
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.machine.record import new
from ncore_ray.wire.address import words_of
from ncore_ray.wire.ethernet import read_ethernet
from ncore_ray.wire.ipv6 import MOST_EXTENSIONS, is_link_local, is_multicast6, read_ipv6, write_ipv6
from ncore_ray.wire.packet import Packet, Verdict, packet_at

A, B = "2001:db8::1", "2001:db8:ffff::2"
GUARDED = GuardedBytes()
_MEMORY, PACKET, _ADDRESS = new(Packet)


@entry_kernel
def read_door(packet_address: int, frame: int, length: int) -> int:
    packet = packet_at(packet_address)
    packet.frame, packet.length = frame, length
    verdict = read_ethernet(packet)
    return read_ipv6(packet) if verdict == Verdict.GOOD else verdict


@entry_kernel
def write_door(target: int, a: int, b: int, c: int, d: int, protocol: int, length: int) -> int:
    return write_ipv6(target, a, b, c, d, protocol, length)


@entry_kernel
def scope_door(high: int) -> int:
    return is_multicast6(high) << 1 | is_link_local(high)


def read(packet: bytes) -> Verdict:
    """Read a packet that ends where no byte may be read."""
    frame = ethernet(packet, 0x86DD)
    return Verdict(read_door(_ADDRESS, GUARDED.put(frame), len(frame)))


def options(following: int, content: bytes = b"\1\4\0\0\0\0") -> bytes:
    """An extension header with options; 8 bytes with the content that is given, or more."""
    assert len(content) % 8 == 6
    return bytes([following, (len(content) + 2) // 8 - 1]) + content


def test_plain_header() -> None:
    assert read(ipv6(A, B, 6, bytes(30), hop_limit=9) + bytes(5)) == Verdict.GOOD
    ends = PACKET.source_high, PACKET.source_low, PACKET.destination_high, PACKET.destination_low
    assert ends == (*words_of(A), *words_of(B))
    assert (PACKET.protocol, PACKET.hop_limit, PACKET.transport_length, PACKET.network_length) == (6, 9, 30, 70)
    assert PACKET.transport - PACKET.frame == 54


def test_written_header_reads_as_itself() -> None:
    address = GUARDED.put(bytes(40))
    assert write_door(address, *words_of(A), *words_of(B), 17, 8) == 40
    assert GUARDED.get(40) == ipv6(A, B, 17, bytes(8))[:40]


@pytest.mark.parametrize(
    ("first", "body", "protocol", "passed"),
    [
        (0, options(6) + bytes(20), 6, 8),
        (60, options(17, b"\1\14" + bytes(12)) + bytes(20), 17, 16),
        (0, options(60, b"\0" * 6) + options(43) + struct.pack(">BBBBI", 58, 0, 4, 0, 0) + bytes(20), 58, 24),
        (44, fragment6(6, 9, 0, False, bytes(20)), 6, 8),
        (44, fragment6(60, 9, 0, False, options(6) + bytes(20)), 6, 16),
    ],
)
def test_extension_headers(first: int, body: bytes, protocol: int, passed: int) -> None:
    assert read(ipv6(A, B, first, body)) == Verdict.GOOD
    assert PACKET.protocol == protocol
    assert PACKET.transport - PACKET.frame == 54 + passed
    assert PACKET.transport_length == len(body) - passed


def test_fragments() -> None:
    assert read(ipv6(A, B, 60, options(44) + fragment6(17, 0x12345678, 0, True, bytes(16)))) == Verdict.FRAGMENT
    assert (PACKET.identification, PACKET.fragment_offset, PACKET.more_fragments) == (0x12345678, 0, 1)
    assert (PACKET.protocol, PACKET.transport_length) == (17, 16)
    assert read(ipv6(A, B, 44, fragment6(60, 5, 1024, False, bytes(3)))) == Verdict.FRAGMENT
    assert (PACKET.protocol, PACKET.fragment_offset, PACKET.transport_length) == (60, 1024, 3)


@pytest.mark.parametrize(
    ("packet", "verdict"),
    [
        (ipv6(A, B, 6, bytes(20))[:39], Verdict.TRUNCATED),
        (ipv6(A, B, 6, bytes(20))[:59], Verdict.TRUNCATED),
        (b"\x45" + ipv6(A, B, 6, bytes(20))[1:], Verdict.BAD_HEADER),
        (ipv6(A, B, 60, bytes(7)), Verdict.TRUNCATED),
        (ipv6(A, B, 60, b"\6\1" + bytes(13)), Verdict.TRUNCATED),
        (ipv6(A, B, 60, options(0) + options(6)), Verdict.BAD_HEADER),
        (ipv6(A, B, 43, struct.pack(">BBBBI", 6, 0, 0, 1, 0) + bytes(20)), Verdict.BAD_HEADER),
        (ipv6(A, B, 0, options(6, b"\x42\4" + bytes(4)) + bytes(20)), Verdict.BAD_HEADER),
        (ipv6(A, B, 0, options(6, b"\1\5" + bytes(4)) + bytes(20)), Verdict.BAD_HEADER),
        (ipv6(A, B, 44, fragment6(44, 1, 0, True, fragment6(6, 1, 0, True, bytes(8)))), Verdict.BAD_HEADER),
        (ipv6(A, B, 60, options(60) * MOST_EXTENSIONS + options(6) + bytes(20)), Verdict.BAD_HEADER),
        (ipv6("::ffff:10.0.0.1", B, 6, bytes(20)), Verdict.BAD_HEADER),
    ],
)
def test_wrong_headers(packet: bytes, verdict: Verdict) -> None:
    assert read(packet) == verdict


@given(st.lists(st.sampled_from([0, 6, 17, 43, 44, 58, 60]), max_size=12), st.binary(max_size=120))
def test_any_bytes_are_read_within_the_packet(chain: list[int], content: bytes) -> None:
    body = b"".join(bytes([following, 0]) + content[:6].ljust(6, b"\0") for following in chain) + content
    assert read(ipv6(A, B, (chain or [60])[0], body)) in set(Verdict)
    assert PACKET.transport - PACKET.frame + PACKET.transport_length <= 54 + len(body)


@pytest.mark.parametrize(
    ("address", "scope"), [(A, 0), ("ff02::1", 2), ("fe80::1", 1), ("febf::1", 1), ("fec0::1", 0), ("10.0.0.1", 0)]
)
def test_scopes(address: str, scope: int) -> None:
    assert scope_door(words_of(address)[0]) == scope
