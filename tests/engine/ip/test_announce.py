"""Own addresses are looked for and made known; who has one as well is counted."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from ncore_ray.engine.ip.announce import INTERVAL_US
from ncore_ray.lab.dry.engine import NIC_MACS, EngineLab
from ncore_ray.lab.dry.packets import (
    advertisement,
    arp,
    ethernet,
    icmpv6,
    ip_bytes,
    ipv4,
    ipv6,
    solicitation,
    solicited_node,
    tcp,
    udp,
)
from ncore_ray.tables.own_address import given_up_addresses
from tests.engine.ip.dual import CLIENT_MAC, TEXT
from tests.support.tcp_script import check_accounts

ALL = 0xFFFF_FFFF_FFFF
OWN = {
    0: ["10.1.0.10", "10.1.0.100", "2001:db8:1::10", "2001:db8:1::100"],
    1: ["10.2.0.10", "2001:db8:2::10"],
}


def lab_that_announces(address: str = "") -> EngineLab:
    text = TEXT.replace("PROTOCOL", "HTTP").replace("MONITOR", "none")
    lab = EngineLab(text.replace("addresses: [10.1.0.10/24, ", f"addresses: [10.1.0.10/24, {address}"))
    lab.engine().announces = 1
    return lab


def probe(nic: int, address: str) -> tuple[int, bytes]:
    if ":" in address:
        frame = solicitation("::", address, None)
        return nic, frame[:6] + NIC_MACS[nic].to_bytes(6, "big") + frame[12:]
    return nic, ethernet(arp(1, NIC_MACS[nic], "0.0.0.0", 0, address), 0x0806, ALL, NIC_MACS[nic])


def announcement(nic: int, address: str) -> tuple[int, bytes]:
    mac = NIC_MACS[nic]
    if ":" in address:
        return nic, advertisement(address, address, mac, "ff02::1", 0x20, (0x3333_0000_0001, mac))
    return nic, ethernet(arp(1, mac, address, 0, address), 0x0806, ALL, mac)


def report(nic: int, address: str, record: int = 4, source: str = "::") -> tuple[int, bytes]:
    """Return the report of an address's group: of the second version, or of the first (0)."""
    group = solicited_node(address)
    option = bytes.fromhex("3a00050200000100")
    if record:
        to, mac = "ff02::16", 0x3333_0000_0016
        body = icmpv6(source, to, 143, 0, b"\0\0\0\1" + bytes([record, 0, 0, 0]) + ip_bytes(group))
    else:
        to, mac = group, 0x3333_0000_0000 | int.from_bytes(ip_bytes(group)[12:], "big")
        body = icmpv6(source, to, 131, 0, bytes(4) + ip_bytes(group))
    return nic, ethernet(ipv6(source, to, 0, option + body, hop_limit=1), 0x86DD, mac, NIC_MACS[nic])


def test_one_probe_and_two_announcements_of_each_address() -> None:
    lab = lab_that_announces()
    lab.breathe()
    reports = [report(nic, address) for nic, addresses in OWN.items() for address in addresses if ":" in address]
    expected = [probe(nic, address) for nic, addresses in OWN.items() for address in addresses]
    sent = lab.sent()
    assert sorted(sent) == sorted(expected + reports)
    for nic, address in ((0, OWN[0][2]), (0, OWN[0][3]), (1, OWN[1][1])):
        assert sent.index(report(nic, address)) < sent.index(probe(nic, address))
    expected = [announcement(nic, address) for nic, addresses in OWN.items() for address in addresses]
    for more in (reports, []):
        lab.breathe(lab.now + INTERVAL_US - 1)
        assert not lab.sent()
        lab.breathe(lab.now + 1)
        assert sorted(lab.sent()) == sorted(expected + more)
    lab.pass_time(3 * INTERVAL_US, step_us=100_000)
    assert not lab.sent()


def test_a_change_of_the_configuration_is_announced() -> None:
    lab = lab_that_announces()
    lab.breathe()
    lab.pass_time(3 * INTERVAL_US, step_us=100_000)
    lab.sent()
    lab.engine().bank = -1  # as when another bank comes into force
    lab.breathe()
    assert len(lab.sent()) == 9


def test_an_engine_that_announces_nothing() -> None:
    lab = EngineLab(TEXT.replace("PROTOCOL", "HTTP").replace("MONITOR", "none"))
    lab.pass_time(3 * INTERVAL_US, step_us=100_000)
    assert not lab.sent()


def test_another_host_with_an_own_address_is_counted_and_not_learnt() -> None:
    """RFC 5227 §2.4; our own packets, should they come back, are none of another's."""
    lab = lab_that_announces()
    for nic, mac, conflicts in ((0, CLIENT_MAC, 2), (0, NIC_MACS[0], 2), (1, NIC_MACS[0], 2), (1, NIC_MACS[1], 3)):
        lab.receive(nic, ethernet(arp(1, mac, "10.1.0.100", 0, "10.1.0.100"), 0x0806, ALL, mac))
        group = 0x3333_0000_0001
        lab.receive(nic, advertisement(OWN[0][3], OWN[0][3], mac, "ff02::1", 0x20, (group, mac)))
        lab.breathe()
        assert lab.counters().address_conflicts == conflicts


def _duplicate(lab: EngineLab, how: str, address: str, mac: int = CLIENT_MAC) -> None:
    """Let another host say that it has an address, or look for it."""
    if how == "advertisement":
        frame = advertisement(address, address, mac, "ff02::1", 0x20, (0x3333_0000_0001, mac))
    else:
        frame = solicitation("::", address, None)
        frame = frame[:6] + mac.to_bytes(6, "big") + frame[12:]
    lab.receive(0, frame)
    lab.breathe()


@pytest.mark.parametrize("how", ["advertisement", "probe"])
def test_an_address_that_another_host_has_is_given_up(how: str) -> None:
    """RFC 4862 §5.4.3 to 5.4.5: found while it is looked for, it is used no more."""
    lab = lab_that_announces()
    lab.breathe()
    lab.sent()
    vip, snip = OWN[0][3], OWN[0][2]
    lab.now += INTERVAL_US - 1_000
    _duplicate(lab, how, vip)
    assert lab.counters().addresses_given_up == 1
    assert given_up_addresses(lab.array) == {ip_address(vip): CLIENT_MAC}
    lab.sent()
    lab.receive(0, solicitation("2001:db8:1::2", vip, CLIENT_MAC))
    segment = tcp("2001:db8:1::2", 1, vip, 80, 2)
    lab.receive(0, ethernet(ipv6("2001:db8:1::2", vip, 6, segment), 0x86DD, NIC_MACS[0], CLIENT_MAC))
    lab.receive(0, solicitation("2001:db8:1::2", snip, CLIENT_MAC))
    lab.breathe()
    assert len(lab.sent()) == 1  # the answer to the second question
    values = lab.totals().values
    assert (values["drop_ip_not_for_us_packets"], values["connections_accepted"]) == (2, 0)
    lab.pass_time(3 * INTERVAL_US, step_us=100_000)
    said = b"".join(frame for _, frame in lab.sent())
    assert ip_bytes(snip) in said
    assert ip_bytes(vip) not in said


@pytest.mark.parametrize("how", ["advertisement", "probe"])
def test_an_address_that_has_been_ours_for_longer_is_kept(how: str) -> None:
    lab = lab_that_announces()
    lab.breathe()
    lab.now += INTERVAL_US
    lab.breathe()
    lab.sent()
    _duplicate(lab, how, OWN[0][3])
    assert lab.counters().addresses_given_up == 0
    assert given_up_addresses(lab.array) == {}
    answers = [frame for _, frame in lab.sent()]
    expected = announcement(0, OWN[0][3])[1]
    assert answers == ([expected] if how == "probe" else [])


@pytest.mark.parametrize("mac", NIC_MACS[:2])
@pytest.mark.parametrize("how", ["advertisement", "probe"])
def test_what_our_own_nics_say_is_no_duplicate(how: str, mac: int) -> None:
    """A probe that comes back, or an answer by proxy."""
    lab = lab_that_announces()
    lab.breathe()
    lab.sent()
    _duplicate(lab, how, OWN[0][3], mac)
    assert (lab.counters().addresses_given_up, lab.sent()) == (0, [])


def test_services_are_out_of_reach_without_a_snip() -> None:
    lab = lab_that_announces()
    lab.breathe()
    frame = advertisement(OWN[1][1], OWN[1][1], CLIENT_MAC, "ff02::1", 0x20, (0x3333_0000_0001, CLIENT_MAC))
    lab.receive(1, frame)
    lab.breathe()
    assert list(given_up_addresses(lab.array)) == [ip_address(OWN[1][1])]
    lab.sent()
    body = udp("10.1.0.2", 5_000, "10.1.0.100", 53, b"question")  # its service has an IPv6 address
    lab.receive(0, ethernet(ipv4("10.1.0.2", "10.1.0.100", 17, body), 0x0800, NIC_MACS[0], CLIENT_MAC))
    lab.breathe()
    assert lab.counters().drop_udp_no_service_packets == 1


def query(group: str = "::", version: int = 2, source: str = "fe80::1", hops: int = 1, delay: int = 1_000) -> bytes:
    """Return a router's question."""
    to = "ff02::1" if group == "::" else group
    rest = delay.to_bytes(2, "big") + bytes(2) + ip_bytes(group) + bytes(4 if version == 2 else 0)
    body = bytes.fromhex("3a00050200000100") + icmpv6(source, to, 130, 0, rest)
    return ethernet(ipv6(source, to, 0, body, hop_limit=hops), 0x86DD, 0x3333_0000_0001, CLIENT_MAC)


def quiet_lab(text: str = "") -> EngineLab:
    lab = lab_that_announces(text)
    lab.breathe()
    lab.pass_time(4 * INTERVAL_US, step_us=100_000)
    lab.sent()
    return lab


def asked(lab: EngineLab, frame: bytes, us: int = 1_100_000) -> list[tuple[int, bytes]]:
    lab.receive(0, frame)
    lab.breathe()
    assert not lab.sent()
    lab.pass_time(us, step_us=10_000)
    return lab.sent()


def test_all_groups_are_reported_when_a_router_asks() -> None:
    lab = quiet_lab()
    expected = [report(nic, address, 2) for nic, addresses in OWN.items() for address in addresses if ":" in address]
    assert sorted(asked(lab, query())) == sorted(expected)
    assert asked(lab, query(), 3_000_000) != []
    assert lab.counters().group_reports == 6 + 2 * 3


def test_one_group_is_reported_when_that_is_asked_for() -> None:
    lab = quiet_lab()
    assert asked(lab, query(solicited_node(OWN[0][3]))) == [report(0, OWN[0][3], 2)]
    assert asked(lab, query("ff02::1:ff12:3456")) == []


def test_a_router_of_the_first_version_is_answered_in_it() -> None:
    lab = quiet_lab()
    expected = [report(nic, address, 0) for nic, addresses in OWN.items() for address in addresses if ":" in address]
    assert sorted(asked(lab, query(version=1))) == sorted(expected)
    assert sorted(asked(lab, query())) == sorted(expected)
    lab.now += 260_000_000
    assert asked(lab, query()) != []
    assert asked(lab, query(solicited_node(OWN[0][3]))) == [report(0, OWN[0][3], 2)]


def test_two_questions_at_once_have_one_answer() -> None:
    lab = quiet_lab()
    lab.receive(0, query(solicited_node(OWN[0][3])))
    lab.receive(0, query(solicited_node(OWN[0][2])))
    assert len(asked(lab, query(solicited_node(OWN[0][2])))) == 3


def test_reports_have_the_link_local_address_if_there_is_one() -> None:
    lab = quiet_lab('"fe80::77/64", ')
    assert report(0, OWN[0][3], 2, "fe80::77") in asked(lab, query())


@pytest.mark.parametrize("fields", [{"source": "2001:db8:1::9"}, {"hops": 64}])
def test_questions_from_afar_are_dropped(fields: dict[str, Any]) -> None:
    lab = quiet_lab()
    assert asked(lab, query(**fields)) == []
    assert lab.counters().drop_icmp_bad_packets == 1
    check_accounts(lab.totals())


def test_proxy_arp_answers_for_addresses_of_other_nics() -> None:
    text = TEXT.replace("PROTOCOL", "HTTP").replace("MONITOR", "none")
    for options, answers in (("", 0), ("proxy_arp: true, ", 2)):
        lab = EngineLab(text.replace("name: nc0, ", f"name: nc0, {options}"))
        lab.receive(0, ethernet(arp(1, CLIENT_MAC, "10.1.0.2", 0, "10.2.0.10"), 0x0806, ALL, CLIENT_MAC))
        lab.receive(0, solicitation("2001:db8:1::2", "2001:db8:2::10", CLIENT_MAC))
        lab.breathe()
        sent = lab.sent()
        assert len(sent) == answers
        for nic, frame in sent:
            assert (nic, frame[6:12]) == (0, NIC_MACS[0].to_bytes(6, "big"))
