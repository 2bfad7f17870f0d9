"""ARP, ICMP and the doors of IPv4, as an engine does them."""

from __future__ import annotations

import struct

import pytest

from ncore_ray.arena.header import Arena
from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.lab.dry.engine import NIC_MACS, EngineLab
from ncore_ray.lab.dry.packets import arp, ethernet, icmp, internet_checksum, ip_bytes, ipv4, tcp, udp
from ncore_ray.machine.record import table, view
from ncore_ray.tables.neighbour import Neighbour
from tests.support.tcp_script import (
    CLIENT,
    CLIENT_MAC,
    PORT,
    SERVICE,
    SNIP,
    SYN,
    VIP,
    Script,
    check_nothing_leaked,
    configuration_text,
    established,
    syn_sent,
)


def _run(frame: bytes, **causes: int) -> list[bytes]:
    """Hand one frame to a fresh engine; return what it sent. The causes are the counters that change besides."""
    lab = EngineLab(configuration_text())
    lab.receive(0, frame)
    lab.breathe()
    sent = [data for _, data in lab.sent()]
    expected = {
        "received_packets": 1,
        "received_bytes": len(frame),
        "made_packets": len(sent),
        "sent_packets": len(sent),
        "sent_bytes": sum(map(len, sent)),
    } | causes
    assert lab.totals().values == dict.fromkeys(lab.totals().values, 0) | expected
    check_nothing_leaked(lab, connections=0)
    return sent


def _to_us(payload: bytes) -> bytes:
    return ethernet(payload, 0x0800, NIC_MACS[0], CLIENT_MAC)


@pytest.mark.parametrize("address", [VIP, "10.1.0.10"])
def test_arp_question_for_an_own_address(address: str) -> None:
    question = ethernet(arp(1, CLIENT_MAC, CLIENT, 0, address), 0x0806, 0xFFFF_FFFF_FFFF, CLIENT_MAC)
    (answer,) = _run(question, used_arp_packets=1, arp_replies=1)
    assert answer == ethernet(arp(2, NIC_MACS[0], address, CLIENT_MAC, CLIENT), 0x0806, CLIENT_MAC, NIC_MACS[0])


@pytest.mark.parametrize("address", ["10.1.0.11", SNIP, CLIENT])
def test_arp_question_for_another_address(address: str) -> None:
    assert not _run(ethernet(arp(1, CLIENT_MAC, CLIENT, 0, address), 0x0806), used_arp_packets=1)


def test_arp_of_a_host_of_another_network_is_not_believed() -> None:
    """Whoever is among the clients must not say where a service is."""
    mac = 0x0200_0000_0666
    for operation in (1, 2):
        lab = EngineLab(configuration_text())
        lab.learn(1, SERVICE, 0x0200_0000_0777)
        lab.receive(0, ethernet(arp(operation, mac, SERVICE, CLIENT_MAC, VIP), 0x0806))
        lab.breathe()
        assert not lab.sent()
        arena = view(Arena, lab.array, 0)
        macs = table(Neighbour, lab.array, arena.neighbours, arena.neighbour_count)["mac"]
        assert (0x0200_0000_0777 in macs, mac in macs) == (True, False)
        assert lab.totals().values["foreign_neighbours"] == 1


@pytest.mark.parametrize("address", [VIP, "10.1.0.10"])
def test_arp_probe_for_an_own_address_is_answered(address: str) -> None:
    """Who looks whether an address is free, and has none yet, hears that it is not (RFC 5227 §2.1.1)."""
    probe = ethernet(arp(1, CLIENT_MAC, "0.0.0.0", 0, address), 0x0806, 0xFFFF_FFFF_FFFF, CLIENT_MAC)
    (answer,) = _run(probe, used_arp_packets=1, arp_replies=1)
    assert answer == ethernet(arp(2, NIC_MACS[0], address, CLIENT_MAC, "0.0.0.0"), 0x0806, CLIENT_MAC, NIC_MACS[0])


@pytest.mark.parametrize("address", ["10.1.0.11", SNIP])
def test_arp_probe_for_another_address(address: str) -> None:
    probe = ethernet(arp(1, CLIENT_MAC, "0.0.0.0", 0, address), 0x0806, 0xFFFF_FFFF_FFFF, CLIENT_MAC)
    assert not _run(probe, used_arp_packets=1)


@pytest.mark.parametrize("operation", [0, 3, 9])
def test_arp_of_another_kind(operation: int) -> None:
    assert not _run(ethernet(arp(operation, CLIENT_MAC, CLIENT, 0, VIP), 0x0806), drop_arp_bad_packets=1)


@pytest.mark.parametrize("length", [8, 56, 1400])
def test_echo(length: int) -> None:
    data = bytes(i & 0xFF for i in range(length))
    (answer,) = _run(
        _to_us(ipv4(CLIENT, VIP, 1, icmp(8, 0, b"\x12\x34\0\1" + data))), used_icmp_packets=1, echo_replies=1
    )
    assert answer[:14] == ethernet(b"", 0x0800, CLIENT_MAC, NIC_MACS[0])
    assert answer[26:34] == ip_bytes(VIP) + ip_bytes(CLIENT)
    assert answer[34:] == icmp(0, 0, b"\x12\x34\0\1" + data)
    assert internet_checksum(answer[14:34]) == 0


def test_echo_with_a_wrong_checksum() -> None:
    frame = bytearray(_to_us(ipv4(CLIENT, VIP, 1, icmp(8, 0, b"\x12\x34\0\1data"))))
    frame[-1] ^= 1
    assert not _run(bytes(frame), drop_icmp_bad_packets=1)


@pytest.mark.parametrize("kind", [0, 9, 13, 30, 255])
def test_icmp_that_nobody_needs(kind: int) -> None:
    assert not _run(_to_us(ipv4(CLIENT, VIP, 1, icmp(kind))), drop_icmp_unused_packets=1)


def test_ip_fragment_waits_for_the_others() -> None:
    frame = _to_us(ipv4(CLIENT, VIP, 6, tcp(CLIENT, 1, VIP, PORT, 2) + bytes(4), more=True))
    assert not _run(frame, used_ip_fragment_packets=1)


def test_ip_for_another() -> None:
    assert not _run(_to_us(ipv4(CLIENT, "10.1.0.77", 6, b"")), drop_ip_not_for_us_packets=1)


def test_ip_of_an_unknown_protocol() -> None:
    assert not _run(_to_us(ipv4(CLIENT, VIP, 132, b"sctp")), drop_ip_unknown_protocol_packets=1)


def test_ip_with_a_wrong_checksum() -> None:
    frame = bytearray(_to_us(ipv4(CLIENT, VIP, 6, b"")))
    frame[24] ^= 1
    assert not _run(bytes(frame), drop_ip_bad_checksum_packets=1)


def test_ip_options_are_passed_over() -> None:
    segment = tcp(CLIENT, 1, VIP, 81, 2)
    (answer,) = _run(
        _to_us(ipv4(CLIENT, VIP, 6, segment, options=b"\1\1\1\0")), drop_tcp_no_connection_packets=1, resets_sent=1
    )
    assert answer[34 + 13] == 0x14


def test_ip_version_6_in_an_ipv4_frame() -> None:
    frame = bytearray(_to_us(ipv4(CLIENT, VIP, 6, b"")))
    frame[14] = 0x65
    assert not _run(bytes(frame), drop_ip_bad_header_packets=1)


def test_ethernet_of_an_unknown_type() -> None:
    assert not _run(ethernet(b"x" * 46, 0x88CC), drop_ethernet_unknown_type_packets=1)


def test_ethernet_padding_is_no_data() -> None:
    (answer,) = _run(
        _to_us(ipv4(CLIENT, VIP, 6, tcp(CLIENT, 1, VIP, 81, 2)) + bytes(6)),
        drop_tcp_no_connection_packets=1,
        resets_sent=1,
    )
    assert struct.unpack(">I", answer[42:46])[0] == 2  # the SYN alone is acknowledged


def test_tcp_with_a_wrong_checksum() -> None:
    frame = bytearray(_to_us(ipv4(CLIENT, VIP, 6, tcp(CLIENT, 1, VIP, PORT, 2))))
    frame[-1] ^= 1
    assert not _run(bytes(frame), drop_tcp_bad_checksum_packets=1)


@pytest.mark.parametrize(("offset", "cause"), [(4, "bad_header"), (6, "truncated"), (15, "truncated")])
def test_tcp_with_a_wrong_header_length(offset: int, cause: str) -> None:
    frame = bytearray(_to_us(ipv4(CLIENT, VIP, 6, tcp(CLIENT, 1, VIP, PORT, 2))))
    frame[46] = offset << 4
    assert not _run(bytes(frame), **{f"drop_tcp_{cause}_packets": 1})


def test_datagram_to_no_vserver() -> None:
    frame = _to_us(ipv4(CLIENT, VIP, 17, udp(CLIENT, 1, VIP, 54, b"x")))
    assert len(_run(frame, drop_udp_no_vserver_packets=1, icmp_errors_sent=1)) == 1


def _unreachable(s: Script, code: int, sequence: int, kind: int = 3) -> None:
    """Let a router tell the engine that its segment to the service did not arrive."""
    first = (s.service.engine_first + sequence) % (1 << 32)
    quoted = ipv4(SNIP, SERVICE, 6, tcp(*s.service.engine, SERVICE, PORT, 2, sequence=first))[:28]
    s.inject(
        1, ethernet(ipv4(SERVICE, SNIP, 1, icmp(kind, code, bytes(4) + quoted)), 0x0800, NIC_MACS[1], s.service.mac)
    )
    s.settle()


def test_syn_sent_unreachable() -> None:
    with syn_sent() as s:
        _unreachable(s, 1, 0)
        s.service.gets(SYN)  # the next attempt
        s.counted(
            used_icmp_packets=1, used_tcp_packets=0, connections_refused=1, connections_closed=1, connections_opened=1
        )


@pytest.mark.parametrize("sequence", [-1, 1, 77])
def test_syn_sent_unreachable_of_another_segment(sequence: int) -> None:
    with syn_sent() as s:
        _unreachable(s, 1, sequence)
        assert s.service.state == TcpState.SYN_SENT
        s.counted(used_icmp_packets=1, used_tcp_packets=0)


@pytest.mark.parametrize(("kind", "code"), [(3, 4), (11, 0), (12, 0), (4, 0), (5, 1)])
def test_syn_sent_other_errors(kind: int, code: int) -> None:
    with syn_sent() as s:
        _unreachable(s, code, 0, kind)
        assert s.service.state == TcpState.SYN_SENT
        refused = 1 if (kind, code) == (3, 4) else 0  # no SYN is too long
        s.counted(used_icmp_packets=1, used_tcp_packets=0, path_mtu_bad_sequences=refused)


def test_established_unreachable_is_survived() -> None:
    with established("service") as s:
        _unreachable(s, 3, 0)
        assert s.service.state == TcpState.ESTABLISHED
        s.counted(used_icmp_packets=1, used_tcp_packets=0)
