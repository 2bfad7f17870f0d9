"""Readers against packets of plain Python, writers against readers of plain Python, and every cut of every packet."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ncore_ray.arena.frame import Checksum
from ncore_ray.lab.dry import packets as build
from ncore_ray.lab.dry.arena import GuardedBytes
from ncore_ray.wire.address import words_of
from ncore_ray.wire.packet import Verdict
from tests.wire.kernels import (
    Reader,
    arp_fields,
    finish_tcp,
    icmp_fields,
    write_arp,
    write_echo,
    write_ethernet,
    write_ipv4,
    write_options,
    write_tcp,
    write_timestamps,
    write_udp,
)

READER = Reader()
GUARDED = GuardedBytes()
A, B = "10.1.0.7", "10.1.0.100"
ipv4s = st.integers(0, 2**32 - 1).map(lambda number: str(ipaddress.IPv4Address(number)))
ports = st.integers(0, 65535)
words32 = st.integers(0, 2**32 - 1)
macs = st.integers(0, 2**48 - 1)
payloads = st.binary(max_size=200)


def option_bytes(length: int) -> bytes:
    return b"\x94\4\0\0" * (length // 4)


@given(ipv4s, ipv4s, ports, ports, words32, words32, st.integers(0, 63), ports, payloads, st.integers(0, 10))
def test_tcp_is_read(
    source: str, destination: str, sport: int, dport: int, sequence: int, acknowledgment: int, flags: int,
    window: int, payload: bytes, ip_options: int,
) -> None:  # fmt: skip
    segment = build.tcp(source, sport, destination, dport, flags, payload, sequence=sequence,
                        acknowledgment=acknowledgment, window=window)  # fmt: skip
    packet = build.ipv4(source, destination, 6, segment, options=option_bytes(4 * ip_options))
    assert READER.read(build.ethernet(packet) + bytes(max(0, 46 - len(packet)))) == Verdict.GOOD
    seen = READER.packet
    assert (seen.source_high, seen.source_low) == words_of(source)
    assert (seen.destination_high, seen.destination_low) == words_of(destination)
    assert (seen.source_port, seen.destination_port, seen.flags, seen.window) == (sport, dport, flags, window)
    assert (seen.sequence, seen.acknowledgment, seen.hop_limit, seen.protocol) == (sequence, acknowledgment, 64, 6)
    assert (seen.ethernet_source, seen.ethernet_destination) == (build.MAC_A, build.MAC_B)
    assert READER.part("network") == packet
    assert READER.part("transport") == segment
    assert READER.part("payload") == payload


@given(ipv4s, ipv4s, ports, ports, payloads)
def test_udp_is_read(source: str, destination: str, sport: int, dport: int, payload: bytes) -> None:
    datagram = build.udp(source, sport, destination, dport, payload)
    assert READER.read(build.ethernet(build.ipv4(source, destination, 17, datagram + b"rest"))) == Verdict.GOOD
    assert (READER.packet.source_port, READER.packet.destination_port) == (sport, dport)
    assert READER.part("payload") == payload


@pytest.mark.parametrize(
    ("options", "mss", "scale"),
    [
        (b"", 0, -1),
        (b"\2\4\5\xb4", 1460, -1),
        (b"\2\4\5\xb4\1\3\3\7", 1460, 7),
        (b"\1\1\1\3\3\xff\2\4\0\1\0\0", 1, 14),
        (b"\4\2\x08\x0a" + bytes(8) + b"\2\4\1\0", 256, -1),
        (b"\0\2\4\5\xb4\0\0\0", 0, -1),
        (b"\3\3\0\0", 0, 0),
        (b"\2\3\5\1", 0, -1),
    ],
)
def test_syn_options(options: bytes, mss: int, scale: int) -> None:
    segment = build.tcp(A, 1, B, 80, 2, options=options)
    assert READER.read(build.ethernet(build.ipv4(A, B, 6, segment))) == Verdict.GOOD
    assert (READER.packet.option_mss, READER.packet.option_window_scale) == (mss, scale)
    assert READER.packet.option_sack_permitted == (options[:1] == b"\4")
    assert READER.packet.sack_count == 0


@pytest.mark.parametrize(
    ("options", "blocks"),
    [
        (b"\1\1\5\x0a" + bytes(range(8)), 1),
        (b"\5\x22" + bytes(32) + b"\0\0", 4),
        (b"\x08\x0a" + bytes(8) + b"\5\x12" + bytes(16), 2),
        (b"\0\1\5\x0a" + bytes(8), 0),
        (b"\1\1\5\x0b" + bytes(9) + b"\0\0\0", 0),
        (b"\1\1\5\2" + bytes(8), 0),
        (b"\1\1\5\x12" + bytes(8), 0),
        (b"\1\1\1\1\1\1\1\1\1\1\1\5", 0),
        (b"\2\0\1\1\5\x0a" + bytes(10), 0),
    ],
)
def test_selective_acknowledgments_are_read(options: bytes, blocks: int) -> None:
    segment = build.tcp(A, 1, B, 80, 16, b"payload", options=options)
    assert READER.read(build.ethernet(build.ipv4(A, B, 6, segment))) == Verdict.GOOD
    assert READER.packet.sack_count == blocks
    assert READER.part("payload") == b"payload"


@pytest.mark.parametrize("options", [b"\2\0\0\0", b"\2\1\0\0", b"\1\1\1\2", b"\1\1\2\4", b"\5\5\0\0", b"\xff\xff\0\0"])
def test_wrong_syn_options(options: bytes) -> None:
    segment = build.tcp(A, 1, B, 80, 2, options=options)
    assert READER.read(build.ethernet(build.ipv4(A, B, 6, segment))) == Verdict.BAD_HEADER


@given(st.binary(max_size=40), st.integers(0, 63))
def test_any_options(options: bytes, flags: int) -> None:
    segment = build.tcp(A, 1, B, 80, flags, options=options[: len(options) // 4 * 4])
    verdict = READER.read(build.ethernet(build.ipv4(A, B, 6, segment)))
    assert verdict in (Verdict.GOOD, Verdict.BAD_HEADER)
    assert READER.packet.option_window_scale <= 14


@pytest.mark.parametrize(("offset", "more"), [(0, True), (8, True), (8, False), (65528, False)])
def test_fragments(offset: int, more: bool) -> None:
    packet = build.ipv4(A, B, 17, bytes(16), identification=0xABCD, offset=offset, more=more)
    assert READER.read(build.ethernet(packet)) == Verdict.FRAGMENT
    seen = READER.packet
    assert (seen.identification, seen.fragment_offset, seen.more_fragments) == (0xABCD, offset, more)


PACKETS = {
    "tcp": build.ethernet(build.ipv4(A, B, 6, build.tcp(A, 1, B, 80, 2, b"xyz", options=b"\2\4\5\xb4"))),
    "udp": build.ethernet(build.ipv4(A, B, 17, build.udp(A, 1, B, 53, b"question"))),
    "icmp": build.ethernet(build.ipv4(A, B, 1, build.icmp(8, 0, bytes(9)))),
    "arp": build.ethernet(build.arp(1, build.MAC_A, A, 0, B), 0x0806),
    "ip options": build.ethernet(build.ipv4(A, B, 6, build.tcp(A, 1, B, 80, 16), options=option_bytes(40))),
}


@pytest.mark.parametrize("name", list(PACKETS))
def test_cut_at_every_length(name: str) -> None:
    for length in range(len(PACKETS[name])):
        assert READER.read(PACKETS[name][:length]) == Verdict.TRUNCATED
    assert READER.read(PACKETS[name]) == Verdict.GOOD


@pytest.mark.parametrize("name", ["tcp", "udp", "icmp", "ip options"])
def test_every_changed_bit_behind_the_macs_is_noticed_or_harmless(name: str) -> None:
    """Ones' complement sums find every single bit; the type of Ethernet and a UDP checksum of 0 have none."""
    packet = PACKETS[name]
    for bit in range(8 * 14, 8 * len(packet)):
        data = bytearray(packet)
        data[bit // 8] ^= 0x80 >> bit % 8
        assert READER.read(bytes(data)) not in (Verdict.GOOD, Verdict.FRAGMENT)


@given(st.sampled_from(list(PACKETS)), st.lists(st.tuples(st.integers(0, 90), st.integers(0, 255))), st.integers(0, 90))
def test_any_bytes(name: str, changes: list[tuple[int, int]], length: int) -> None:
    data = bytearray(PACKETS[name])
    for at, value in changes:
        data[at % len(data)] = value
    for state in Checksum:
        READER.read(bytes(data[:length]), state)


@pytest.mark.parametrize("state", [Checksum.VALID, Checksum.PARTIAL])
@pytest.mark.parametrize("name", ["tcp", "udp"])
def test_checksum_that_the_nic_vouches_for_is_not_looked_at(name: str, state: Checksum) -> None:
    data = PACKETS[name][:-1] + b"!"
    assert READER.read(data) == Verdict.BAD_CHECKSUM
    assert READER.read(data, state) == Verdict.GOOD


def test_udp_without_a_checksum_is_taken() -> None:
    datagram = build.udp(A, 1, B, 53, b"question")
    assert READER.read(build.ethernet(build.ipv4(A, B, 17, datagram[:6] + b"\0\0" + datagram[8:]))) == Verdict.GOOD


@pytest.mark.parametrize(
    ("payload", "verdict"),
    [
        (b"\0\6", Verdict.BAD_HEADER),
        (b"\0\1\x08\0\6\5", Verdict.BAD_HEADER),
        (b"\0\1\x86\xdd\6\4\0\1", Verdict.BAD_HEADER),
        (b"\0\1\x08\0\6\4\0\3", Verdict.OTHER_PROTOCOL),
    ],
)
def test_arp_that_is_not_ours(payload: bytes, verdict: Verdict) -> None:
    whole = payload + build.arp(1, build.MAC_A, A, 0, B)[len(payload) :]
    assert READER.read(build.ethernet(whole, 0x0806)) == verdict


@given(st.sampled_from([1, 2]), macs, ipv4s, macs, ipv4s)
def test_arp_there_and_back(operation: int, mac: int, address: str, other_mac: int, other: str) -> None:
    numbers = [int(ipaddress.IPv4Address(text)) for text in (address, other)]
    at = GUARDED.put(bytes(42))
    assert write_arp(at, operation, mac, numbers[0], other_mac, numbers[1]) == 42
    written = GUARDED.get(42)
    payload = build.arp(operation, mac, address, other_mac, other)
    assert written == build.ethernet(payload, 0x0806, other_mac or 2**48 - 1, mac)
    assert READER.read(written) == Verdict.GOOD
    assert [arp_fields(READER.address, which) for which in range(4)] == [operation, mac, *numbers]


@given(macs, macs, ports)
def test_ethernet_is_written(destination: int, source: int, ether_type: int) -> None:
    assert write_ethernet(GUARDED.put(bytes(14)), destination, source, ether_type) == 14
    assert GUARDED.get(14) == build.ethernet(b"", ether_type, destination, source)


@given(ipv4s, ipv4s, st.integers(0, 255), st.integers(0, 1980))
def test_ipv4_is_written(source: str, destination: str, protocol: int, length: int) -> None:
    assert write_ipv4(GUARDED.put(bytes(20)), words_of(source)[1], words_of(destination)[1], protocol, length) == 20
    header = bytearray(build.ipv4(source, destination, protocol, bytes(length))[:20])
    header[6:8], header[10:12] = b"\x40\0", b"\0\0"
    header[10:12] = build.internet_checksum(bytes(header)).to_bytes(2, "big")
    assert GUARDED.get(20) == bytes(header)


@given(ipv4s, ipv4s, ports, ports, words32, words32, st.integers(0, 63), ports, payloads)
def test_tcp_is_written(
    source: str, destination: str, sport: int, dport: int, sequence: int, acknowledgment: int, flags: int,
    window: int, payload: bytes,
) -> None:  # fmt: skip
    options = b"\2\4\5\xb4\1\1\4\2\1\3\3\7" if flags & 2 else b""
    at = GUARDED.put(bytes(20 + len(options)) + payload)
    header = write_tcp(at, sport, dport, sequence, acknowledgment, flags, window)
    finish_tcp(at, header, words_of(source)[1], words_of(destination)[1], len(payload))
    expected = build.tcp(source, sport, destination, dport, flags, payload, sequence=sequence,
                         acknowledgment=acknowledgment, window=window, options=options)  # fmt: skip
    assert GUARDED.get(header + len(payload)) == expected


@pytest.mark.parametrize(
    ("scale", "sack", "expected"),
    [
        (-1, 0, b"\2\4\5\xb4"),
        (0, 0, b"\2\4\5\xb4\1\3\3\0"),
        (-1, 1, b"\2\4\5\xb4\1\1\4\2"),
        (14, 1, b"\2\4\5\xb4\1\1\4\2\1\3\3\x0e"),
    ],
)
def test_syn_options_are_written(scale: int, sack: int, expected: bytes) -> None:
    assert write_options(GUARDED.put(bytes(len(expected))), 1460, scale, sack) == len(expected)
    assert GUARDED.get(len(expected)) == expected


@given(words32, words32)
def test_timestamps_are_written_and_read(value: int, echo: int) -> None:
    expected = b"\1\1\x08\x0a" + value.to_bytes(4, "big") + echo.to_bytes(4, "big")
    assert write_timestamps(GUARDED.put(bytes(12)), value, echo) == 12
    assert GUARDED.get(12) == expected
    for options in (expected, expected[2:] + b"\1\0", b"\1" + expected[2:] + b"\0"):
        for flags in (2, 16):
            segment = build.tcp(A, 1, B, 80, flags, options=options)
            assert READER.read(build.ethernet(build.ipv4(A, B, 6, segment))) == Verdict.GOOD
            packet = READER.packet
            assert (packet.has_timestamp, packet.timestamp, packet.timestamp_echo) == (1, value, echo)


@pytest.mark.parametrize("options", [b"", b"\1\1\x08\x09" + bytes(8), b"\1\1\x08\x0b" + bytes(12), b"\0" + bytes(11)])
def test_segments_without_timestamps_have_none(options: bytes) -> None:
    segment = build.tcp(A, 1, B, 80, 16, options=options)
    assert READER.read(build.ethernet(build.ipv4(A, B, 6, segment))) == Verdict.GOOD
    assert READER.packet.has_timestamp == 0


@given(ipv4s, ipv4s, ports, ports, payloads)
def test_udp_is_written(source: str, destination: str, sport: int, dport: int, payload: bytes) -> None:
    at = GUARDED.put(bytes(8) + payload)
    assert write_udp(at, sport << 16 | dport, words_of(source)[1], words_of(destination)[1], len(payload)) == 8
    assert GUARDED.get(8 + len(payload)) == build.udp(source, sport, destination, dport, payload)


@given(st.binary(min_size=4, max_size=100), st.integers(0, 255))
@example(bytes(4), 0)
@example(b"\xff\xff\0\0", 0)
def test_echo_is_answered_with_the_same_data(rest: bytes, code: int) -> None:
    assert READER.read(build.ethernet(build.ipv4(A, B, 1, build.icmp(8, code, rest)))) == Verdict.GOOD
    assert write_echo(GUARDED.put(bytes(8)), READER.address) == 8
    answer = GUARDED.get(8) + rest[4:]
    assert answer[:2] + answer[4:] == bytes([0, code]) + rest
    assert build.internet_checksum(answer) == 0


def test_which_icmp_messages_are_errors() -> None:
    for kind in range(256):
        assert READER.read(build.ethernet(build.ipv4(A, B, 1, build.icmp(kind)))) == Verdict.GOOD
        assert icmp_fields(READER.address, 0) == kind
        assert icmp_fields(READER.address, 1) == (kind in (3, 4, 5, 11, 12))


@pytest.mark.parametrize("protocol", [1, 6, 17, 47])
@pytest.mark.parametrize("options", [0, 4, 40])
def test_quoted_packet_cut_at_every_length(protocol: int, options: int) -> None:
    """RFC 792: header and 8 bytes; of TCP and UDP only."""
    inner = build.ipv4(B, A, protocol, struct.pack(">HHI", 80, 4711, 0), options=option_bytes(options))
    header = 20 + options
    for length in range(len(inner) + 1):
        data = build.ethernet(build.ipv4(A, B, 1, build.icmp(3, 1, bytes(4) + inner[:length])))
        assert READER.read(data) == Verdict.GOOD
        is_whole = length >= header + 8 and protocol in (6, 17)
        assert icmp_fields(READER.address, 2) == (8 + header if is_whole else 0)
    if protocol in (6, 17):
        fields = [icmp_fields(READER.address, which) for which in (3, 4, 5)]
        assert fields == [protocol, int(ipaddress.IPv4Address(B)), int(ipaddress.IPv4Address(A))]


def test_quoted_later_fragment_has_no_ports() -> None:
    inner = build.ipv4(B, A, 6, bytes(8), offset=8)
    assert READER.read(build.ethernet(build.ipv4(A, B, 1, build.icmp(3, 1, bytes(4) + inner)))) == Verdict.GOOD
    assert icmp_fields(READER.address, 2) == 0
