"""Own addresses are looked for and made known; who has one as well is counted."""

from __future__ import annotations

from ncore_ray.engine.ip.announce import INTERVAL_US
from ncore_ray.lab.dry.engine import NIC_MACS, EngineLab
from ncore_ray.lab.dry.packets import advertisement, arp, ethernet, solicitation
from tests.engine.ip.dual import CLIENT_MAC, TEXT

ALL = 0xFFFF_FFFF_FFFF
OWN = {
    0: ["10.1.0.10", "10.1.0.100", "2001:db8:1::10", "2001:db8:1::100"],
    1: ["10.2.0.10", "2001:db8:2::10"],
}


def lab_that_announces() -> EngineLab:
    lab = EngineLab(TEXT.replace("PROTOCOL", "HTTP").replace("MONITOR", "none"))
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


def test_one_probe_and_two_announcements_of_each_address() -> None:
    lab = lab_that_announces()
    lab.breathe()
    expected = [probe(nic, address) for nic, addresses in OWN.items() for address in addresses]
    assert sorted(lab.sent()) == sorted(expected)
    expected = [announcement(nic, address) for nic, addresses in OWN.items() for address in addresses]
    for _ in range(2):
        lab.breathe(lab.now + INTERVAL_US - 1)
        assert not lab.sent()
        lab.breathe(lab.now + 1)
        assert sorted(lab.sent()) == sorted(expected)
    lab.pass_time(3 * INTERVAL_US, step_us=100_000)
    assert not lab.sent()


def test_a_change_of_the_configuration_is_announced() -> None:
    lab = lab_that_announces()
    lab.breathe()
    lab.pass_time(3 * INTERVAL_US, step_us=100_000)
    lab.sent()
    lab.engine().bank = -1  # as when another bank comes into force
    lab.breathe()
    assert len(lab.sent()) == 6


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
