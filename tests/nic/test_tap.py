"""TAP devices: the kernel of this host at the other end."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest

from ncore_ray.arena.frame import Checksum
from ncore_ray.lab.namespace import Namespace
from ncore_ray.nic.driver import NicError, format_mac, parse_mac
from ncore_ray.nic.fanout import Fanout, Spread
from ncore_ray.nic.small_arena import make_small_arena
from ncore_ray.nic.tap import TapDriver, stable_mac
from tests.nic.harness import Arrived, Rig

APPLIANCE = "10.8.0.2"


def ipv4_udp(destination_mac: bytes, source_mac: bytes, payload: bytes) -> bytes:
    """Return a UDP packet from 10.8.0.2 port 7 to 10.8.0.1 port 4000."""
    length = (28 + len(payload)).to_bytes(2, "big")
    head = bytes.fromhex("4500") + length + bytes.fromhex("00000000401100000a0800020a080001")
    total = sum(int.from_bytes(head[place : place + 2], "big") for place in range(0, 20, 2))
    sum16 = (0xFFFF - (total % 0xFFFF)).to_bytes(2, "big")
    udp = (7).to_bytes(2, "big") + (4_000).to_bytes(2, "big") + (8 + len(payload)).to_bytes(2, "big") + bytes(2)
    return destination_mac + source_mac + b"\x08\x00" + head[:10] + sum16 + head[12:] + udp + payload


@pytest.mark.network
def test_both_ways(namespace: Namespace) -> None:
    driver = TapDriver("tap0", netns=namespace.name, mtu=1_400, host="10.8.0.1/24")
    driver.open()
    rig = Rig(make_small_arena(), driver)

    def prepare(ip: Any) -> tuple[bytes, int]:
        index = ip.link_lookup(ifname="tap0")[0]
        ip.neigh("add", dst=APPLIANCE, lladdr=format_mac(driver.mac), ifindex=index, state="permanent")
        link = ip.get_links(index)[0]
        return bytes.fromhex(link.get_attr("IFLA_ADDRESS").replace(":", "")), link.get_attr("IFLA_MTU")

    host_mac, mtu = namespace.netlink(prepare)
    assert mtu == 1_400
    assert int.from_bytes(host_mac, "big") != driver.mac
    udp = namespace.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    udp.bind(("10.8.0.1", 4_000))
    udp.settimeout(10)
    udp.sendto(b"to the appliance", (APPLIANCE, 7))
    arrived = receive_ipv4(rig)
    assert arrived.data.endswith(b"to the appliance")
    assert arrived.data[:6] == driver.mac.to_bytes(6, "big")
    assert arrived.checksum == Checksum.UNKNOWN
    rig.send(64, ipv4_udp(host_mac, driver.mac.to_bytes(6, "big"), b"to the host"))
    assert rig.write() == 1
    assert udp.recvfrom(100) == (b"to the host", (APPLIANCE, 7))
    assert rig.sends.sent_packets == 1
    udp.close()
    driver.close()
    assert namespace.netlink(lambda ip: ip.link_lookup(ifname="tap0")) == []


def receive_ipv4(rig: Rig) -> Arrived:
    """Breathe until an IPv4 UDP packet comes (the kernel may send others of its own)."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        for one in rig.receive():
            if one.data[12:14] == b"\x08\x00" and one.data[23] == 17:
                return one
    raise AssertionError("no packet came")


@pytest.mark.network
def test_a_device_that_is_down_refuses(namespace: Namespace) -> None:
    driver = TapDriver("tap0", netns=namespace.name)
    driver.open()
    rig = Rig(make_small_arena(), driver)
    namespace.netlink(lambda ip: ip.link("set", index=ip.link_lookup(ifname="tap0")[0], state="down"))
    rig.send(64, bytes(60))
    rig.write()
    assert rig.sends.drop_nic_send_packets == 1
    assert rig.sent_home() == [64]
    driver.close()
    driver.close()


@pytest.mark.network
def test_errors_are_clear(namespace: Namespace) -> None:
    with pytest.raises(NicError, match=r"tap0 cannot get the address 10\.8\.0/24"):
        TapDriver("tap0", netns=namespace.name, host="10.8.0/24").open()
    with pytest.raises(NicError, match="TAP device lo cannot be made"):
        TapDriver("lo", netns=namespace.name).open()


def test_too_large_an_mtu() -> None:
    with pytest.raises(NicError, match="at most 2034, not 9000"):
        TapDriver("tap0", mtu=9_000).open()


def test_mac_addresses() -> None:
    mac = stable_mac("nc0")
    assert mac == stable_mac("nc0") != stable_mac("nc1")
    assert mac >> 40 & 3 == 2  # locally administered, unicast
    assert parse_mac("02:00:00:00:00:0A") == 0x0200_0000_000A == parse_mac("02-00-00-00-00-0a")
    assert format_mac(0x0200_0000_000A) == "02:00:00:00:00:0a"


@pytest.mark.parametrize(
    "text", ["", "02:00:00:00:00", "02:00:00:00:00:00:00", "0x:00:00:00:00:00", "02:00:00:00:00:100"]
)
def test_not_a_mac_address(text: str) -> None:
    with pytest.raises(NicError, match="is not a MAC address"):
        parse_mac(text)


@pytest.mark.network
def test_several_queues_share_the_flows_and_keep_them(namespace: Namespace) -> None:
    """Also when one of them sends for all: the kernel would learn from that where the flow's packets shall go."""
    first = TapDriver("tap0", netns=namespace.name, host="10.8.0.1/24", fanout=Fanout(Spread.HASH))
    first.open()
    second = TapDriver("tap0", netns=namespace.name, fanout=Fanout(Spread.HASH, group=first.fanout_group))
    second.open()
    rigs = [Rig(make_small_arena(), driver) for driver in (first, second)]

    def prepare(ip: Any) -> bytes:
        index = ip.link_lookup(ifname="tap0")[0]
        ip.neigh("add", dst=APPLIANCE, lladdr=format_mac(first.mac), ifindex=index, state="permanent")
        return bytes.fromhex(ip.get_links(index)[0].get_attr("IFLA_ADDRESS").replace(":", ""))

    host_mac = namespace.netlink(prepare)
    sockets = [namespace.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(32)]
    for number, udp in enumerate(sockets):
        udp.bind(("10.8.0.1", 4_000 + number))
    before = flows_by_queue(rigs, sockets)
    for number in range(32):
        answer = bytearray(ipv4_udp(host_mac, first.mac.to_bytes(6, "big"), b"answer"))
        answer[36:38] = (4_000 + number).to_bytes(2, "big")
        rigs[0].send(64, bytes(answer))
        assert rigs[0].write() == 1
        assert rigs[0].sent_home() == [64]
    for udp in sockets:
        udp.settimeout(10)
        assert udp.recv(100) == b"answer"
    assert flows_by_queue(rigs, sockets) == before
    assert 0 < sum(before.values()) < 32
    for udp in sockets:
        udp.close()
    for driver in (first, second):
        driver.close()
    assert namespace.netlink(lambda ip: ip.link_lookup(ifname="tap0")) == []


def flows_by_queue(rigs: list[Rig], sockets: list[socket.socket]) -> dict[int, int]:
    """Send a datagram by each socket; return the queue that it came by, for each port."""
    found: dict[int, int] = {}
    for udp in sockets:
        udp.sendto(b"?", (APPLIANCE, 7))
    end = time.monotonic() + 20
    while len(found) < len(sockets) and time.monotonic() < end:
        for queue, rig in enumerate(rigs):
            for one in rig.receive():
                if one.data[12:14] == b"\x08\x00" and one.data[23] == 17 and one.data.endswith(b"?"):
                    found[int.from_bytes(one.data[34:36], "big")] = queue
    assert len(found) == len(sockets)
    return found
