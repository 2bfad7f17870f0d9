"""ARP for IPv4 over Ethernet (RFC 826)."""

from __future__ import annotations

from typing import Final

from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load16be, load32be, store16be, store32be
from ncore_ray.wire.ethernet import BROADCAST, TYPE_ARP, load_mac, store_mac, write_ethernet
from ncore_ray.wire.packet import Packet, Verdict

ARP_LENGTH: Final = 28
ARP_REQUEST: Final = 1
ARP_REPLY: Final = 2
_ETHERNET_IPV4: Final = 0x0001_0800
_LENGTHS: Final = 0x0604


@kernel
def check_arp(packet: Packet) -> Verdict:
    """Say whether the packet is a well-formed ARP packet for IPv4 over Ethernet."""
    if packet.network_length < ARP_LENGTH:
        return Verdict.TRUNCATED
    if load32be(packet.network) != _ETHERNET_IPV4 or load16be(packet.network + 4) != _LENGTHS:
        return Verdict.BAD_HEADER
    operation = arp_operation(packet)
    if operation != ARP_REQUEST and operation != ARP_REPLY:
        return Verdict.OTHER_PROTOCOL
    return Verdict.GOOD


@kernel
def arp_operation(packet: Packet) -> int:
    """Return ARP_REQUEST or ARP_REPLY, or whatever else stands there."""
    return load16be(packet.network + 6)


@kernel
def arp_sender_mac(packet: Packet) -> int:
    """Return the sender's MAC address."""
    return load_mac(packet.network + 8)


@kernel
def arp_sender(packet: Packet) -> int:
    """Return the sender's IPv4 address as a 32-bit integer."""
    return load32be(packet.network + 14)


@kernel
def arp_target(packet: Packet) -> int:
    """Return the IPv4 address that is asked for."""
    return load32be(packet.network + 24)


@kernel
def write_arp(target: int, operation: int, own_mac: int, own_ipv4: int, other_mac: int, other_ipv4: int) -> int:
    """Write an Ethernet frame with an ARP packet; an ``other_mac`` of 0 asks everybody. Return its length."""
    destination = other_mac if other_mac else BROADCAST
    at = target + write_ethernet(target, destination, own_mac, TYPE_ARP)
    store32be(at, _ETHERNET_IPV4)
    store16be(at + 4, _LENGTHS)
    store16be(at + 6, operation)
    store_mac(at + 8, own_mac)
    store32be(at + 14, own_ipv4)
    store_mac(at + 18, other_mac)
    store32be(at + 24, other_ipv4)
    return at + ARP_LENGTH - target
