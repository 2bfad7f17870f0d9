"""The appliance's own addresses: SNIPs (used towards servers) and VIPs (what clients connect to).

An open-addressing table with linear probing in each bank of the configured tables; one that is in force is only read.
"""

from __future__ import annotations

from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from ncore_ray.arena.header import Arena, arena_at, bank_in_force
from ncore_ray.arena.layout import Bytes
from ncore_ray.machine.hash import MASK32
from ncore_ray.machine.jit import entry_kernel, kernel
from ncore_ray.machine.record import I64, Record, pointer_to, size_of, table, view
from ncore_ray.wire.address import text_of


class AddressKind(IntEnum):
    """What an address is to the appliance."""

    FOREIGN = 0
    VIP = 1
    SNIP = 2


class OwnAddress(Record):
    """One own address; kind FOREIGN marks a free slot."""

    high: I64
    low: I64
    kind: I64
    nic: I64


own_address_at = pointer_to(OwnAddress)
_SIZE: Final = size_of(OwnAddress)


@kernel
def mix(high: int, low: int, more: int) -> int:
    """Return a 32-bit mixture of an address and a small number, for tables that only the configuration fills."""
    word = ((low ^ (low >> 32) ^ high ^ (high >> 32)) & MASK32) ^ (more & MASK32)
    word = (word ^ (word >> 16)) * 0x45D9_F3B & MASK32
    word = (word ^ (word >> 15)) * 0x2C1B_3C6D & MASK32
    return word ^ (word >> 16)


@kernel
def _slot(base: int, bank: int, index: int) -> OwnAddress:
    arena = arena_at(base)
    return own_address_at(base + arena.addresses + bank + (index & (arena.address_count - 1)) * _SIZE)


@kernel
def _find_in(base: int, bank: int, high: int, low: int) -> OwnAddress:
    index = mix(high, low, 0)
    slot = _slot(base, bank, index)
    while slot.kind != AddressKind.FOREIGN and (slot.low != low or slot.high != high):
        index += 1
        slot = _slot(base, bank, index)
    return slot


@kernel
def own_address_in_place(base: int, place: int) -> OwnAddress:
    """Return what stands in a place of the table in force; kind FOREIGN: nothing."""
    return _slot(base, bank_in_force(base), place)


@kernel
def find_address(base: int, high: int, low: int) -> OwnAddress:
    """Return the slot of an address, or the free slot (kind FOREIGN) where it would stand."""
    return _find_in(base, bank_in_force(base), high, low)


@entry_kernel
def add_address(base: int, bank: int, high: int, low: int, kind: int, nic: int) -> int:
    """Control code: enter an own address in a bank that is not in force yet."""
    slot = _find_in(base, bank, high, low)
    slot.high = high
    slot.low = low
    slot.nic = nic
    slot.kind = kind
    return 0


def snips_in_force(array: Bytes) -> tuple[IPv4Address | IPv6Address, ...]:
    """Control code: return the addresses that are used towards services."""
    arena = view(Arena, array)
    rows = table(OwnAddress, array, arena.addresses + arena.bank, arena.address_count)
    found = rows[rows["kind"] == AddressKind.SNIP]
    return tuple(ip_address(text_of(int(row["high"]), int(row["low"]))) for row in found)


def address_slots(count: int) -> int:
    """Return the slots of a table for ``count`` addresses: a power of two, at most half full."""
    return max(16, 1 << (2 * count - 1).bit_length())
