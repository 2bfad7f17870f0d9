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
from ncore_ray.machine.record import I16, I32, I64, Record, pointer_to, size_of, table, view
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
    kind: I16
    given_up: I16
    """1: another host has it, so it is not used (RFC 4862 §5.4.5). Engines write this and the next, also in the bank
    that is in force."""
    nic: I32
    other_mac: I64
    """That host's link-layer address."""


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
    """Return the slot of an address, or a free slot (kind FOREIGN): also of one that was given up."""
    bank = bank_in_force(base)
    index = mix(high, low, 0)
    slot = _slot(base, bank, index)
    while slot.kind != AddressKind.FOREIGN and (slot.low != low or slot.high != high or slot.given_up):
        index += 1
        slot = _slot(base, bank, index)
    return slot


@kernel
def is_in_use(own: OwnAddress) -> int:
    """Return 1 if a slot holds an address that was not given up."""
    return 1 if own.kind != AddressKind.FOREIGN and own.given_up == 0 else 0


@kernel
def is_given_up(base: int, high: int, low: int) -> int:
    """Return 1 for an own address that another host has, too."""
    return _find_in(base, bank_in_force(base), high, low).given_up


@kernel
def give_up(base: int, high: int, low: int, mac: int) -> int:
    """Use an own address no more: the host with a link-layer address has it."""
    slot = _find_in(base, bank_in_force(base), high, low)
    if slot.kind != AddressKind.FOREIGN:
        slot.other_mac = mac
        slot.given_up = 1
    return 0


@entry_kernel
def add_address(base: int, bank: int, high: int, low: int, kind: int, nic: int) -> int:
    """Control code: enter an own address in a bank that is not in force yet."""
    slot = _find_in(base, bank, high, low)
    slot.high = high
    slot.low = low
    slot.nic = nic
    slot.kind = kind
    slot.given_up = 0
    return 0


def given_up_addresses(array: Bytes) -> dict[IPv4Address | IPv6Address, int]:
    """Control code: return the addresses that were given up, with the link-layer addresses of those that have them."""
    arena = view(Arena, array)
    return _given_up_in(array, arena.bank)


def _given_up_in(array: Bytes, bank: int) -> dict[IPv4Address | IPv6Address, int]:
    arena = view(Arena, array)
    rows = table(OwnAddress, array, arena.addresses + bank, arena.address_count)
    found = rows[(rows["kind"] != AddressKind.FOREIGN) & (rows["given_up"] != 0)]
    return {ip_address(text_of(int(row["high"]), int(row["low"]))): int(row["other_mac"]) for row in found}


def keep_given_up(array: Bytes, bank: int) -> None:
    """Control code: let addresses that are given up in the other bank be so in this one, which is not in force yet."""
    arena = view(Arena, array)
    rows = table(OwnAddress, array, arena.addresses + bank, arena.address_count)
    before = _given_up_in(array, 0 if bank else arena.bank_stride)
    for place in range(arena.address_count if before else 0):
        address = ip_address(text_of(int(rows["high"][place]), int(rows["low"][place])))
        if rows["kind"][place] != AddressKind.FOREIGN and address in before:
            rows["other_mac"][place], rows["given_up"][place] = before[address], 1


def snips_in_force(array: Bytes) -> tuple[IPv4Address | IPv6Address, ...]:
    """Control code: return the addresses that are used towards services."""
    arena = view(Arena, array)
    rows = table(OwnAddress, array, arena.addresses + arena.bank, arena.address_count)
    found = rows[rows["kind"] == AddressKind.SNIP]
    return tuple(ip_address(text_of(int(row["high"]), int(row["low"]))) for row in found)


def address_slots(count: int) -> int:
    """Return the slots of a table for ``count`` addresses: a power of two, at most half full."""
    return max(16, 1 << (2 * count - 1).bit_length())
