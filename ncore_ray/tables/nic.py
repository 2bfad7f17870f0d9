"""The NICs of the appliance, as kernels see them."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ncore_ray.arena.header import arena_at, check_index
from ncore_ray.machine.jit import CHECKED, kernel
from ncore_ray.machine.record import I64, Record, pointer_to, size_of


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
    writer: I64
    """Number of the actor that writes what comes over transmit rings."""


nic_at = pointer_to(Nic)
_NIC_SIZE: Final = size_of(Nic)


@kernel
def nic_of(base: int, index: int) -> Nic:
    """Return a NIC by its number."""
    if CHECKED:
        check_index(index, arena_at(base).nic_count)
    return nic_at(base + arena_at(base).nics + index * _NIC_SIZE)
