"""What is not for the appliance goes to an engine that passes it on, in order; without a bridge it is dropped."""

from __future__ import annotations

from ncore_ray.lab.dry.arena import SNIPS, VIP
from ncore_ray.lab.dry.distributor import Appliance, make_appliance
from ncore_ray.lab.dry.packets import MAC_B, arp, ethernet, ipv4, tcp_packet, udp
from ncore_ray.machine.record import view
from ncore_ray.tables.nic import Nic

ALL = 0xFFFF_FFFF_FFFF


def joined(*, own_mac: int = 0x0200_0000_0001) -> Appliance:
    appliance = make_appliance(bridges=True)
    nic = view(Nic, appliance.arena.array, appliance.arena.header.nics)
    nic.bridge, nic.mac = 2, own_mac
    return appliance


def test_hosts_that_talk_to_each_other_keep_an_engine() -> None:
    appliance = joined()
    engines = set()
    for host in range(1, 40):
        address = f"10.1.0.{host}"
        packets = [tcp_packet(address, port, "10.1.0.200", 80) for port in (1, 2)]
        body = udp(address, 1, "10.1.0.200", 53, bytes(64))
        packets.append(ethernet(ipv4(address, "10.1.0.200", 17, body[:32], identification=7, more=True)))
        packets.append(ethernet(ipv4(address, "10.1.0.200", 17, body[32:], identification=7, offset=32)))
        packets.append(ethernet(ipv4(address, "10.1.0.200", 47, bytes(40))))
        went = {appliance.send(packet) for packet in packets}
        assert len(went) == 1
        engines |= went
    assert engines == {0, 1, 2, 3}
    assert appliance.counters()["flows_created"] == 0


def test_other_protocols_broken_packets_and_groups_pass() -> None:
    appliance = joined()
    for destination in (MAC_B, ALL):
        for frame in (ethernet(bytes(46), 0x88CC, destination), ethernet(bytes(46), 0x0800, destination)):
            assert appliance.send(frame) in range(4)


def test_what_is_for_the_appliance_goes_where_it_would_go() -> None:
    appliance, plain = joined(own_mac=MAC_B), make_appliance()
    for port in range(1, 20):
        packet = tcp_packet("10.1.0.7", port, VIP, 80)
        assert appliance.send(packet) == plain.send(packet)
    question = ethernet(arp(1, 5, "10.1.0.9", 0, SNIPS[0]), 0x0806, ALL)
    assert appliance.send(question) == plain.send(question)
    assert appliance.send(tcp_packet("10.1.0.7", 1, "10.1.0.200", 80)) == "drop_flow_not_for_us_packets"


def test_without_a_bridge_it_is_dropped() -> None:
    appliance = joined()
    packet = tcp_packet("10.1.0.7", 1, "10.1.0.200", 80)
    assert appliance.send(packet, nic=1) == "drop_flow_not_for_us_packets"
