"""The NICs of the appliance, as kernels see them."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ncore_ray.arena.header import arena_at, check_index
from ncore_ray.machine.jit import CHECKED, kernel
from ncore_ray.machine.record import I64, Record, pointer_to, size_of
from ncore_ray.tables.own_address import AddressKind, OwnAddress


class Transmit(IntEnum):
    """How an engine sends through a NIC."""

    DIRECT = 0
    """With a socket of its own."""
    RING = 1
    """Through the NIC's actor, over a transmit ring (TAP, files, memory, and every NIC with a wrapper)."""


class Cutting(IntEnum):
    """What the kernel does for packets that are sent."""

    NOTHING = 0
    SEGMENTS = 1
    """It completes checksums and cuts large TCP segments."""
    DATAGRAMS = 2
    """And large UDP datagrams."""


class Nic(Record):
    """One NIC."""

    mac: I64
    mtu: I64
    transmit: I64
    """`Transmit`"""
    offload: I64
    """`Cutting`, by virtio headers (`DIRECT` only)."""
    fanout_group: I64
    """Of the queues that the engines read (placement `per-core`, `rss`); 0: the kernel fills one queue only."""
    bridge: I64
    """Number of the NIC plus 1 that gets what is not for the appliance; 0: none."""
    proxy_arp: I64
    """1: questions for own addresses of other NICs are answered here, too."""
    vlan: I64
    """Number of the VLAN whose tag packets get on their way out; 0: none."""
    writer: I64
    """Number of the actor that writes what comes over transmit rings."""


nic_at = pointer_to(Nic)
_NIC_SIZE: Final = size_of(Nic)


@kernel
def answers_for(base: int, index: int, own: OwnAddress) -> int:
    """Return 1 if a question for an address on a NIC is to be answered: it is an own one, and of this NIC.

    With proxy ARP also one of another.
    """
    if own.kind == AddressKind.FOREIGN:
        return 0
    return 1 if own.nic == index or nic_of(base, index).proxy_arp else 0


@kernel
def is_own_mac(base: int, mac: int) -> int:
    """Return 1 if a link-layer address is that of one of the NICs."""
    for index in range(arena_at(base).nic_count):
        if nic_of(base, index).mac == mac:
            return 1
    return 0


@kernel
def nic_of(base: int, index: int) -> Nic:
    """Return a NIC by its number."""
    if CHECKED:
        check_index(index, arena_at(base).nic_count)
    return nic_at(base + arena_at(base).nics + index * _NIC_SIZE)
