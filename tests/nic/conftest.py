"""Networks for the tests of drivers: an appliance's namespace and a peer's, joined by a veth pair."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from ncore_ray.lab.capability import can_make_namespaces
from ncore_ray.lab.namespace import Namespace

_numbers = itertools.count()


@dataclass
class Link:
    """`nic0` in the appliance's namespace, `peer0` (10.9.0.1) in the peer's; 10.9.0.2 is the appliance's address."""

    inside: Namespace
    outside: Namespace
    nic_mac: bytes
    peer_mac: bytes

    def raw(self) -> socket.socket:
        """Return a socket that sends and receives whole frames on the peer's end."""

        def make() -> socket.socket:
            packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            packets.setsockopt(263, 23, 1)  # PACKET_IGNORE_OUTGOING
            packets.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
            packets.bind(("peer0", 3))
            packets.settimeout(10)
            return packets

        return self.outside.call(make)

    def udp(self) -> socket.socket:
        """Return a UDP socket of the peer."""
        made: Callable[[], socket.socket] = lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)  # noqa: E731
        return self.outside.call(made)

    def set_mtu(self, nic: int, peer: int) -> None:
        """Set the MTU of both ends."""
        self.inside.netlink(lambda ip: ip.link("set", index=ip.link_lookup(ifname="nic0")[0], mtu=nic))
        self.outside.netlink(lambda ip: ip.link("set", index=ip.link_lookup(ifname="peer0")[0], mtu=peer))


def _mac(ip: Any, name: str) -> bytes:
    link = ip.get_links(ip.link_lookup(ifname=name)[0])[0]
    return bytes.fromhex(link.get_attr("IFLA_ADDRESS").replace(":", ""))


def _join(inside: Namespace, outside: Namespace) -> tuple[bytes, bytes]:
    def make(ip: Any) -> bytes:
        ip.link("add", ifname="nic0", kind="veth", peer={"ifname": "peer0", "net_ns_fd": outside.name})
        return _mac(ip, "nic0")

    nic_mac = inside.netlink(make)

    def address(ip: Any) -> bytes:
        index = ip.link_lookup(ifname="peer0")[0]
        ip.link("set", index=index, state="up")
        ip.addr("add", index=index, address="10.9.0.1", prefixlen=24)
        ip.neigh("add", dst="10.9.0.2", lladdr=nic_mac.hex(":"), ifindex=index, state="permanent")
        return _mac(ip, "peer0")

    return nic_mac, outside.netlink(address)


def make_namespace(purpose: str) -> Namespace:
    """Make a namespace of this test run's own, without IPv6's chatter."""
    namespace = Namespace(f"ncnic{os.getpid()}-{purpose}{next(_numbers)}")
    namespace.create()
    namespace.sysctl({"net/ipv6/conf/default/disable_ipv6": 1, "net/ipv6/conf/all/disable_ipv6": 1})
    return namespace


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """An empty namespace."""
    if not can_make_namespaces():
        pytest.skip("network namespaces cannot be made here")
    made = make_namespace("n")
    yield made
    made.remove()


@pytest.fixture
def link(namespace: Namespace) -> Iterator[Link]:
    """Two namespaces joined by a veth pair; `nic0` is down, as the driver finds it."""
    outside = make_namespace("p")
    try:
        nic_mac, peer_mac = _join(namespace, outside)
        yield Link(namespace, outside, nic_mac, peer_mac)
    finally:
        outside.remove()
