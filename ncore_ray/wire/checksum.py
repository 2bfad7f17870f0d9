"""The Internet checksum (RFC 1071) and its incremental update (RFC 1624)."""

from __future__ import annotations

from ncore_ray.machine.hash import MASK32
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load8, load16be, load32be, load64
from ncore_ray.wire.address import is_ipv4


@kernel
def fold(total: int) -> int:
    """Return the 16-bit ones' complement sum of a sum of 16-bit or 32-bit words (total < 2⁶³)."""
    total = (total & MASK32) + (total >> 32)
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return (total & 0xFFFF) + (total >> 16)


@kernel
def swap16(value: int) -> int:
    """Return a 16-bit word, or a sum of such, with its two bytes swapped."""
    return (value & 0xFF) << 8 | value >> 8


@kernel
def sum_bytes(address: int, length: int) -> int:
    """Return the 16-bit ones' complement sum of ``length`` bytes, as if the first were the high byte of a word.

    The sum is taken over 32-bit words of the machine's own order and its two bytes are swapped at the end (RFC 1071 §2,
    "byte order independence"); the loop over whole words is one that the compiler turns into vector instructions.
    """
    total = 0
    words = length >> 3
    for i in range(words):
        word = load64(address + 8 * i)
        total += (word & MASK32) + ((word >> 32) & MASK32)
    own_order = fold(total)
    rest = swap16(own_order)
    at = address + 8 * words
    left = length & 7
    if left & 4:
        rest += load32be(at)
        at += 4
    if left & 2:
        rest += load16be(at)
        at += 2
    if left & 1:
        rest += load8(at) << 8
    return fold(rest)


@kernel
def checksum(address: int, length: int) -> int:
    """Return the Internet checksum of ``length`` bytes; 0 if they contain their own correct checksum."""
    return sum_bytes(address, length) ^ 0xFFFF


@kernel
def sum_address(high: int, low: int) -> int:
    """Return the sum of an address for a pseudo header: of its 4 bytes if it is IPv4, else of its 16."""
    if is_ipv4(high, low):
        return (low & 0xFFFF) + ((low >> 16) & 0xFFFF)
    return (high & MASK32) + ((high >> 32) & MASK32) + (low & MASK32) + ((low >> 32) & MASK32)


@kernel
def sum_pseudo_header(
    source_high: int, source_low: int, destination_high: int, destination_low: int, protocol: int, length: int
) -> int:
    """Return the sum of the pseudo header (RFC 9293 §3.1, RFC 8200 §8.1) of a packet of ``length`` bytes."""
    total = sum_address(source_high, source_low) + sum_address(destination_high, destination_low)
    return fold(total + protocol + length)


@kernel
def update16(old_checksum: int, old_word: int, new_word: int) -> int:
    """Return a checksum after one of its 16-bit words changed (RFC 1624, equation 3)."""
    return fold((old_checksum ^ 0xFFFF) + (old_word ^ 0xFFFF) + new_word) ^ 0xFFFF
