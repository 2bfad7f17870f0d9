"""Fragments in, in any order; whole packets on; fragments out; and what happens to fragments that make no packet."""

from __future__ import annotations

import ipaddress
import itertools
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncore_ray.engine.ip import fragment as fragment_numbers
from ncore_ray.engine.ip.reassembly import TIMEOUT_US
from ncore_ray.engine.partition import engine_at
from ncore_ray.lab.dry.engine import NIC_MACS, EngineLab
from ncore_ray.lab.dry.packets import (
    ethernet,
    fragment6,
    icmp,
    icmpv6,
    internet_checksum,
    ip_bytes,
    ipv4,
    ipv6,
    pseudo_header,
    tcp,
    udp,
)
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.wire.address import words_of
from tests.engine.ip.dual import CLIENT_MAC, CLIENTS, SERVERS, TEXT, VIPS, Dual
from tests.support.tcp_peer import SYN
from tests.support.tcp_script import check_accounts

FAMILIES = pytest.mark.parametrize("family", [4, 6])
Piece = tuple[int, int]
"""First byte and the byte behind the last."""


def fragment(family: int, protocol: int, body: bytes, piece: Piece, number: int = 7, last: bool | None = None) -> bytes:
    """Return the frame of one fragment of a client's packet to the VIP."""
    start, end = piece
    more = end < len(body) if last is None else not last
    if family == 4:
        part = ipv4(CLIENTS[4], VIPS[4], protocol, body[start:end], identification=number, offset=start, more=more)
        return ethernet(part, 0x0800, NIC_MACS[0], CLIENT_MAC)
    part = ipv6(CLIENTS[6], VIPS[6], 44, fragment6(protocol, number, start, more, body[start:end]))
    return ethernet(part, 0x86DD, NIC_MACS[0], CLIENT_MAC)


def datagram(family: int, data: bytes) -> bytes:
    return udp(CLIENTS[family], 5_000, VIPS[family], 53, data)


def pieces(length: int, size: int) -> list[Piece]:
    return [(at, min(at + size, length)) for at in range(0, length, size)]


def ready(family: int) -> Dual:
    """A lab whose neighbours know each other."""
    lab = Dual()
    for _ in range(2):
        lab.send_datagram(CLIENTS[family], 5_000, VIPS[family], 53, b"hello", 0)
    assert len(lab.datagrams) == 1
    lab.datagrams.clear()
    return lab


def whole(frames: list[tuple[int, bytes]]) -> tuple[str, str, int, bytes]:
    """Put fragments together, obviously right: source, destination, protocol, content."""
    content: dict[int, bytes] = {}
    ends, numbers, lasts = set(), set(), []
    for _, frame in frames:
        assert len(frame) <= 1514
        if frame[12:14] == b"\x08\x00":
            assert internet_checksum(frame[14:34]) == 0
            word, part, protocol = int.from_bytes(frame[20:22], "big"), frame[34:], frame[23]
            start, more = (word & 0x1FFF) * 8, word >> 13
            ends.add((frame[26:30], frame[30:34], protocol))
            numbers.add(frame[18:20])
        else:
            assert frame[20] == 44
            protocol, _, word, number = struct.unpack(">BBHI", frame[54:62])
            start, more, part = word & 0xFFF8, word & 1, frame[62:]
            ends.add((frame[22:38], frame[38:54], protocol))
            numbers.add(number)
        content[start] = part
        lasts += [] if more else [start + len(part)]
        assert not more or len(part) % 8 == 0
    data = b"".join(content[start] for start in sorted(content))
    assert [len(data)] == lasts
    assert len(ends) == len(numbers) == 1
    ((source, destination, protocol),) = ends
    return str(ipaddress.ip_address(source)), str(ipaddress.ip_address(destination)), protocol, data


@FAMILIES
@pytest.mark.parametrize("order", [1, -1])
def test_datagram_that_fits_into_a_frame(family: int, order: int) -> None:
    lab = ready(family)
    data = bytes(range(200)) * 6
    body = datagram(family, data)
    for piece in pieces(len(body), 400)[::order]:
        lab.inject(0, fragment(family, 17, body, piece))
    assert [row[4] for row in lab.datagrams] == [data]
    values = lab.engine.totals().values
    assert (values["used_ip_fragment_packets"], values["reassembled_packets"]) == (3, 1)
    check_accounts(lab.engine.totals())


@FAMILIES
def test_datagram_that_is_longer_than_a_frame_goes_on_in_fragments(family: int) -> None:
    lab = ready(family)
    data = bytes(range(251)) * 60
    body = datagram(family, data)
    frames = [fragment(family, 17, body, piece) for piece in pieces(len(body), 1_440)]
    numbers = []
    for number in range(3):  # each takes a room, which is free again after the flush
        sent: list[tuple[int, bytes]] = []
        lab.raw = sent
        for frame in frames:
            lab.inject(0, frame)
        source, destination, protocol, content = whole(sent)
        other = 10 - family
        assert (destination, protocol) == (SERVERS[other], 17)
        assert content[8:] == data
        numbers.append(int.from_bytes(sent[0][1][slice(58, 62) if other == 6 else slice(18, 20)], "big"))
        assert internet_checksum(pseudo_header(source, destination, 17, len(content)) + content) == 0
        assert lab.engine.totals().values["fragmented_packets"] == number + 1
    # One after the other, but none that whoever sends fragments in our name could know (RFC 7739).
    assert numbers == list(range(numbers[0], numbers[0] + 3))
    assert numbers[0] > 1_000
    check_accounts(lab.engine.totals())


@entry_kernel
def number_of(engine: int, high: int, low: int) -> int:
    return fragment_numbers._identification(engine_at(engine), 0, 5, high, low, 17)


@pytest.mark.parametrize(("family", "bits"), [(4, 16), (6, 32)])
def test_engines_do_not_give_the_same_numbers(family: int, bits: int) -> None:
    """A host that two engines send fragments to would put parts of different packets together."""
    lab = EngineLab(TEXT.replace("PROTOCOL", "HTTP").replace("MONITOR", "none").replace("engines: 1", "engines: 3"))
    starts = []
    for index in range(3):
        address = lab.base + lab.arena.engines + index * lab.arena.engine_stride
        starts.append(number_of(address, *words_of(CLIENTS[family])) % (1 << bits))
    for one, other in itertools.permutations(starts, 2):
        assert (one - other) % (1 << bits) >= 1 << bits - 6


def test_datagram_with_more_fragments_than_there_is_room_for() -> None:
    lab = ready(4)
    lab.engine.engine().slot_count = 8
    body = datagram(4, bytes(20_000))
    for piece in pieces(len(body), 1_480):
        lab.inject(0, fragment(4, 17, body, piece))
    assert not lab.datagrams
    assert lab.engine.totals().values["drop_udp_too_long_packets"] == 1
    check_accounts(lab.engine.totals())


@FAMILIES
def test_large_ping(family: int) -> None:
    lab = Dual()
    rest = b"\0\7\0\1" + bytes(range(256)) * 30
    if family == 4:
        body, answer = icmp(8, 0, rest), icmp(0, 0, rest)
    else:
        body = icmpv6(CLIENTS[6], VIPS[6], 128, 0, rest)
        answer = icmpv6(VIPS[6], CLIENTS[6], 129, 0, rest)
    sent: list[tuple[int, bytes]] = []
    lab.raw = sent
    protocol = 1 if family == 4 else 58
    for piece in pieces(len(body), 1_480 if family == 4 else 1_448):
        lab.inject(0, fragment(family, protocol, body, piece))
    assert whole(sent) == (VIPS[family], CLIENTS[family], protocol, answer)


def test_segment_in_fragments_opens_a_connection() -> None:
    lab = Dual("TCP")
    lab._take_segment = lambda *_: None  # type: ignore[method-assign]
    body = tcp(CLIENTS[6], 9, VIPS[6], 81, SYN, options=b"\2\4\5\xb4" + b"\1" * 36)
    for piece in pieces(len(body), 24):
        lab.inject(0, fragment(6, 6, body, piece))
    assert len(lab.engine.connections()) == 1


def test_extension_header_before_the_fragments_stays_and_one_behind_it_is_walked() -> None:
    lab = ready(6)
    body = bytes([17, 0, 1, 4, 0, 0, 0, 0]) + datagram(6, b"data" * 100)
    for start, end in pieces(len(body), 200):
        content = fragment6(60, 7, start, end < len(body), body[start:end])
        frame = ipv6(CLIENTS[6], VIPS[6], 0, bytes([44, 0, 1, 4, 0, 0, 0, 0]) + content)
        lab.inject(0, ethernet(frame, 0x86DD, NIC_MACS[0], CLIENT_MAC))
    assert [row[4] for row in lab.datagrams] == [b"data" * 100]


@FAMILIES
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_cuts_in_any_order_with_duplicates(family: int, data: st.DataObject) -> None:
    lab = _LABS.setdefault(family, ready(family))
    lab.datagrams.clear()
    payload = data.draw(st.binary(min_size=1, max_size=700))
    number = data.draw(st.integers(0, 0xFFFF))
    body = datagram(family, payload)
    cuts = sorted({0, *(8 * cut for cut in data.draw(st.sets(st.integers(1, (len(body) - 1) // 8), max_size=8)))})
    parts = list(zip(cuts, [*cuts[1:], len(body)], strict=True))
    order = data.draw(st.permutations(parts))
    for place in data.draw(st.lists(st.integers(0, len(parts) - 1), max_size=3)):
        if place < len(order) - 1:  # never after the one that makes it whole
            order.insert(data.draw(st.integers(0, len(order) - 2)), parts[place])
    seen: set[Piece] = set()
    for piece in order:
        if seen == set(parts):
            break
        lab.inject(0, fragment(family, 17, body, piece, number))
        seen.add(piece)
    assert [row[4] for row in lab.datagrams] == [payload]


_LABS: dict[int, Dual] = {}


@FAMILIES
@pytest.mark.parametrize("piece", [(8, 64), (0, 32), (48, 104), (40, 48)])
def test_overlap_spoils_the_packet(family: int, piece: Piece) -> None:
    """RFC 5722: also what is the same counts as an overlap unless it is a duplicate of all its bytes."""
    lab = ready(family)
    body = datagram(family, bytes(200))
    lab.inject(0, fragment(family, 17, body, (16, 56)))
    other = bytes(byte ^ 1 for byte in body)
    lab.inject(0, fragment(family, 17, other if piece == (40, 48) else body, piece, last=False))
    for rest in pieces(len(body), 8):
        lab.inject(0, fragment(family, 17, body, rest))
    assert not lab.datagrams
    assert lab.engine.totals().values["drop_ip_fragment_overlap_packets"] == 1 + len(pieces(len(body), 8))
    check_accounts(lab.engine.totals())


@FAMILIES
def test_two_ends_spoil_the_packet(family: int) -> None:
    lab = ready(family)
    body = datagram(family, bytes(200))
    lab.inject(0, fragment(family, 17, body, (80, 96), last=True))
    lab.inject(0, fragment(family, 17, body, (160, 168), last=False))
    lab.inject(0, fragment(family, 17, body, (0, 80)))
    assert not lab.datagrams
    assert lab.engine.totals().values["drop_ip_fragment_overlap_packets"] == 2


@FAMILIES
@pytest.mark.parametrize(("start", "length", "last"), [(8, 12, False), (8, 0, False), (65_528, 8, True)])
def test_fragments_that_are_wrong_by_themselves(family: int, start: int, length: int, last: bool) -> None:
    lab = Dual()
    body = bytes(start + length)
    lab.inject(0, fragment(family, 17, body, (start, start + length), last=last))
    values = lab.engine.totals().values
    assert values["drop_ip_fragment_bad_packets"] == 1
    assert lab.engine.engine().reassembly_at == 0


@FAMILIES
@pytest.mark.parametrize("first", [0, 64])
def test_time_runs_out(family: int, first: int) -> None:
    """The sender is told, but only if the first fragment is there (RFC 792, RFC 4443 §3.3)."""
    lab = Dual()
    body = datagram(family, bytes(range(200)))
    frame = fragment(family, 17, body, (first, first + 64))
    lab.inject(0, frame)
    lab.engine.now += TIMEOUT_US + 10
    lab.settle()
    assert lab.engine.totals().values["reassembly_timeouts"] == 1
    if first:
        assert not lab.other
        return
    ((nic, error),) = lab.other
    message = error[34:] if family == 4 else error[54:]
    assert (nic, message[:2]) == (0, b"\x0b\1" if family == 4 else b"\3\1")
    quoted = message[8:]
    if family == 4:
        assert internet_checksum(message) == 0
        assert quoted == frame[14:]
    else:  # without the fragment header, which is not kept
        assert quoted == frame[14:20] + b"\x11" + frame[21:54] + frame[62:]
    lab.inject(0, fragment(family, 17, body, (64, len(body))))
    assert lab.engine.totals().values["used_ip_fragment_packets"] == 2
    check_accounts(lab.engine.totals())


@FAMILIES
def test_rooms_are_bounded_and_the_oldest_gives_way(family: int) -> None:
    lab = ready(family)
    body = datagram(family, bytes(100))
    for number in range(10):
        lab.inject(0, fragment(family, 17, body, (0, 48), number))
    values = lab.engine.totals().values
    assert (values["used_ip_fragment_packets"], values["drop_ip_fragment_full_packets"]) == (8, 2)
    lab.engine.now += 1_500_000
    lab.inject(0, fragment(family, 17, body, (0, 48), 50))
    lab.inject(0, fragment(family, 17, body, (48, len(body)), 50))
    assert len(lab.datagrams) == 1
    assert lab.engine.totals().values["reassemblies_given_up"] == 1


@FAMILIES
def test_forged_fragments_do_not_stop_reassembly(family: int) -> None:
    lab = ready(family)
    body = datagram(family, bytes(100))
    for number in range(100):
        lab.engine.now += 10_000
        lab.inject(0, fragment(family, 17, body, (0, 48), 1_000 + number))
        if number % 10 == 9:
            lab.inject(0, fragment(family, 17, body, (0, 48), number))
            lab.engine.now += 1_000
            lab.inject(0, fragment(family, 17, body, (48, len(body)), number))
    assert len(lab.datagrams) == 10
    check_accounts(lab.engine.totals())


def test_fragments_of_others_are_another_packet() -> None:
    lab = ready(4)
    body = datagram(4, bytes(100))
    lab.inject(0, fragment(4, 17, body, (0, 48)))
    lab.inject(0, fragment(4, 17, body, (48, len(body)), 8))
    part = ipv4("10.1.0.3", VIPS[4], 17, body[48:], identification=7, offset=48)
    lab.inject(0, ethernet(part, 0x0800, NIC_MACS[0], CLIENT_MAC))
    assert not lab.datagrams
    lab.inject(0, fragment(4, 17, body, (48, len(body))))
    assert len(lab.datagrams) == 1


@FAMILIES
def test_port_unreachable(family: int) -> None:
    lab = Dual()
    body = udp(CLIENTS[family], 5_000, VIPS[family], 54, b"question")
    packet = (ipv4 if family == 4 else ipv6)(CLIENTS[family], VIPS[family], 17, body)
    kind = 0x0800 if family == 4 else 0x86DD
    ((nic, answer),) = lab.inject(0, ethernet(packet, kind, NIC_MACS[0], CLIENT_MAC))
    if family == 4:
        expected = answer[:34] + icmp(3, 3, bytes(4) + packet)
    else:
        expected = answer[:54] + icmpv6(VIPS[6], CLIENTS[6], 1, 4, bytes(4) + packet)
    assert (nic, answer) == (0, expected)
    assert ip_bytes(CLIENTS[family]) in answer[30:54]
    assert lab.engine.totals().values["drop_udp_no_vserver_packets"] == 1
    check_accounts(lab.engine.totals())


def test_errors_are_limited() -> None:
    lab = Dual()
    body = udp(CLIENTS[4], 5_000, VIPS[4], 54, b"question")
    frame = ethernet(ipv4(CLIENTS[4], VIPS[4], 17, body), 0x0800, NIC_MACS[0], CLIENT_MAC)
    for _ in range(60):
        lab.inject(0, frame)
    values = lab.engine.totals().values
    assert (values["icmp_errors_sent"], values["icmp_errors_suppressed"]) == (50, 10)
    lab.engine.now += 100_000
    for _ in range(20):
        lab.inject(0, frame)
    assert lab.engine.totals().values["icmp_errors_sent"] in (60, 61)


def test_no_error_about_a_datagram_to_a_group() -> None:
    lab = Dual()
    body = udp(CLIENTS[4], 5_000, VIPS[4], 54, b"question")
    frame = ethernet(ipv4(CLIENTS[4], VIPS[4], 17, body), 0x0800, 0xFFFF_FFFF_FFFF, CLIENT_MAC)
    assert not lab.inject(0, frame)
