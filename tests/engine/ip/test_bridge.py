"""The transparent form: frames pass between two NICs as they are, and those for the appliance do not."""

from __future__ import annotations

import socket
import struct

import pytest

from ncore_ray.arena.frame import Checksum
from ncore_ray.lab.dry.engine import NIC_MACS, EngineLab
from ncore_ray.lab.dry.packets import (
    advertisement,
    arp,
    ethernet,
    ip_frame,
    pseudo_header,
    solicitation,
    tcp,
    udp,
)
from ncore_ray.machine.record import new, size_of, view
from ncore_ray.nic.burst import SendCounters
from ncore_ray.nic.direct import SenderMemory
from ncore_ray.tables.nic import Cutting, Nic, Transmit
from tests.engine.ip.dual import CLIENT_MAC, CLIENTS, SERVER_MAC, TEXT, VIPS
from tests.support.tcp_script import check_accounts

ALL = 0xFFFF_FFFF_FFFF
OTHERS = {4: ("10.1.0.2", "10.1.0.77"), 6: ("2001:db8:1::2", "2001:db8:1::77")}


def lab_with_bridge(options: str = "") -> EngineLab:
    text = TEXT.replace("PROTOCOL", "TCP").replace("MONITOR", "none")
    text = text.replace("name: nc0, ", f"name: nc0, bridge: nc1, {options}").replace(
        "name: nc1, ", "name: nc1, bridge: nc0, "
    )
    return EngineLab(text)


def passed(lab: EngineLab, nic: int, frame: bytes, checksum: int = 0) -> list[tuple[int, bytes]]:
    lab.receive(nic, frame, checksum=checksum)
    lab.breathe()
    check_accounts(lab.totals())
    return lab.sent()


def between(family: int, protocol: int = 6) -> bytes:
    source, destination = OTHERS[family]
    body = tcp(source, 5, destination, 80, 2) if protocol == 6 else udp(source, 5, destination, 53, b"question")
    return ip_frame(source, destination, protocol, body, SERVER_MAC, CLIENT_MAC)


@pytest.mark.parametrize(
    "frame",
    [
        between(4),
        between(6, 17),
        ethernet(b"spanning tree or whatever".ljust(46), 0x88CC, SERVER_MAC, CLIENT_MAC),
        ethernet(bytes(46), 46, SERVER_MAC, CLIENT_MAC),
        ethernet(b"\x45" + bytes(59), 0x0800, SERVER_MAC, CLIENT_MAC),
        ip_frame("10.1.0.2", VIPS[4], 6, bytes(20), SERVER_MAC, CLIENT_MAC),
    ],
)
@pytest.mark.parametrize("nic", [0, 1])
def test_frames_to_other_hosts_pass(nic: int, frame: bytes) -> None:
    lab = lab_with_bridge()
    assert passed(lab, nic, frame) == [(1 - nic, frame)]
    assert (lab.counters().used_bridged_packets, lab.counters().bridged_packets) == (1, 1)


def test_frames_for_the_appliance_do_not_pass() -> None:
    lab = lab_with_bridge()
    body = tcp("10.1.0.2", 5, VIPS[4], 9, 2)
    ((nic, answer),) = passed(lab, 0, ip_frame("10.1.0.2", VIPS[4], 6, body, NIC_MACS[0], CLIENT_MAC))
    assert (nic, answer[:6]) == (0, CLIENT_MAC.to_bytes(6, "big"))
    assert lab.counters().bridged_packets == 0


def test_questions_pass_and_are_answered_if_they_are_for_an_own_address() -> None:
    lab = lab_with_bridge()
    question = ethernet(arp(1, CLIENT_MAC, CLIENTS[4], 0, VIPS[4]), 0x0806, ALL, CLIENT_MAC)
    answer = ethernet(arp(2, NIC_MACS[0], VIPS[4], CLIENT_MAC, CLIENTS[4]), 0x0806, CLIENT_MAC, NIC_MACS[0])
    assert sorted(passed(lab, 0, question)) == [(0, answer), (1, question)]
    other = ethernet(arp(1, CLIENT_MAC, CLIENTS[4], 0, "10.1.0.77"), 0x0806, ALL, CLIENT_MAC)
    assert passed(lab, 0, other) == [(1, other)]
    question = solicitation(CLIENTS[6], VIPS[6], CLIENT_MAC)
    answer = advertisement(VIPS[6], VIPS[6], NIC_MACS[0], CLIENTS[6], 0x60, (CLIENT_MAC, NIC_MACS[0]))
    assert sorted(passed(lab, 0, question)) == [(0, answer), (1, question)]
    assert (lab.counters().used_bridged_packets, lab.counters().bridged_packets) == (0, 3)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("protocol", [6, 17])
def test_checksum_that_was_left_to_a_nic_is_completed(family: int, protocol: int) -> None:
    whole = between(family, protocol)
    network = 34 if family == 4 else 54
    place = network + (16 if protocol == 6 else 6)
    pseudo = pseudo_header(*OTHERS[family], protocol, len(whole) - network)
    total = sum(struct.unpack(f">{len(pseudo) // 2}H", pseudo))
    total = (total & 0xFFFF) + (total >> 16)
    partial = whole[:place] + struct.pack(">H", (total & 0xFFFF) + (total >> 16)) + whole[place + 2 :]
    lab = lab_with_bridge()
    assert passed(lab, 0, partial + bytes(4), Checksum.PARTIAL) == [(1, whole + bytes(4))]


def test_frame_too_long_for_the_other_side() -> None:
    lab = lab_with_bridge()
    view(Nic, lab.array, lab.arena.nics + size_of(Nic)).mtu = 1_000
    frame = ethernet(bytes(1_001), 0x88CC, SERVER_MAC, CLIENT_MAC)
    assert passed(lab, 0, frame) == []
    assert lab.counters().drop_bridge_packets == 1
    assert passed(lab, 0, frame[:-1]) == [(1, frame[:-1])]


def test_part_of_a_large_packet_that_a_reader_has_cut_is_cut_anew() -> None:
    """A reader cuts by frames, not by MTU (`nic/cutting.py`); the kernel does the rest."""
    lab = lab_with_bridge()
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    row = view(Nic, lab.array, lab.arena.nics + size_of(Nic))
    row.transmit, row.offload = Transmit.DIRECT, Cutting.SEGMENTS
    kept, _, counters = new(SendCounters)
    lab._sender = SenderMemory([-1, ends[0].fileno()], counters)
    source, destination = OTHERS[4]
    frame = ip_frame(source, destination, 6, tcp(source, 5, destination, 80, 16, bytes(1_980)), SERVER_MAC, CLIENT_MAC)
    assert passed(lab, 0, frame, Checksum.PARTIAL) == []
    data = ends[1].recv(4_096)
    assert data[10:] == frame
    assert struct.unpack("<BBHHHH", data[:10]) == (1, 1, 14, 1_460, 34, 16)
    assert (lab.counters().bridged_packets, lab.counters().drop_bridge_packets) == (1, 0)
    assert passed(lab, 0, frame, Checksum.VALID) == []
    assert lab.counters().drop_bridge_packets == 1
    for end in ends:
        end.close()
    del kept


def test_vlans_may_differ() -> None:
    lab = lab_with_bridge("vlan: 10, ")
    frame = between(4)
    assert passed(lab, 1, frame) == [(0, frame[:12] + b"\x81\x00\x00\x0a" + frame[12:])]
    assert passed(lab, 0, frame) == [(1, frame)]
