"""Ethernet II frames (IEEE 802.3 §3.2)."""

from __future__ import annotations

from typing import Final

from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load16be, load32be, store16be, store32be
from ncore_ray.wire.packet import Packet, Verdict

ETHERNET_HEADER: Final = 14
TYPE_IPV4: Final = 0x0800
TYPE_ARP: Final = 0x0806
TYPE_IPV6: Final = 0x86DD
BROADCAST: Final = 0xFFFF_FFFF_FFFF
GROUP: Final = 1 << 40
"""The bit of an address that says that it is a group's (IEEE 802 §8.2)."""


@kernel
def load_mac(address: int) -> int:
    """Return the 48-bit MAC address at an address."""
    return load32be(address) << 16 | load16be(address + 4)


@kernel
def store_mac(address: int, mac: int) -> int:
    """Write a 48-bit MAC address."""
    store32be(address, mac >> 16)
    return store16be(address + 4, mac)


@kernel
def read_ethernet(packet: Packet) -> Verdict:
    """Read the frame's header into the packet record."""
    if packet.length < ETHERNET_HEADER:
        return Verdict.TRUNCATED
    packet.ethernet_destination = load_mac(packet.frame)
    packet.ethernet_source = load_mac(packet.frame + 6)
    packet.ether_type = load16be(packet.frame + 12)
    packet.network = packet.frame + ETHERNET_HEADER
    packet.network_length = packet.length - ETHERNET_HEADER
    return Verdict.GOOD


@kernel
def write_ethernet(target: int, destination: int, source: int, ether_type: int) -> int:
    """Write a header of 14 bytes; return its length."""
    store_mac(target, destination)
    store_mac(target + 6, source)
    store16be(target + 12, ether_type)
    return ETHERNET_HEADER
