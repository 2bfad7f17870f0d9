"""IP addresses as text, written by kernels. IPv4 is given IPv4-mapped: high 0, low 0xFFFF << 32 | address."""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.http.message.text import COLON, put_octet
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import store8

LONGEST_ADDRESS: Final = 39
_DOT: Final = 0x2E
_MAPPED: Final = 0xFFFF
_GROUPS: Final = 8


@kernel
def put_address(target: int, high: int, low: int) -> int:
    """Write the address of 128 bits (two signed words) as text; return the address after it.

    IPv4 in dotted form, IPv6 by RFC 5952; at most `LONGEST_ADDRESS` bytes.
    """
    if high == 0 and (low >> 32) == _MAPPED:
        return _put_ipv4(target, low & 0xFFFF_FFFF)
    return _put_ipv6(target, high, low)


@kernel
def _put_ipv4(target: int, value: int) -> int:
    target = put_octet(target, value >> 24)
    for shift in (16, 8, 0):
        store8(target, _DOT)
        target = put_octet(target + 1, (value >> shift) & 0xFF)
    return target


@kernel
def _group(high: int, low: int, index: int) -> int:
    """Return one of the eight 16-bit groups."""
    word = high if index < 4 else low
    return (word >> (48 - 16 * (index & 3))) & 0xFFFF


@kernel
def _longest_zeros(high: int, low: int) -> tuple[int, int]:
    """Return first group and length of the longest run of zero groups, the first of equals (RFC 5952 §4.2.3)."""
    best, best_length, length = 0, 0, 0
    for i in range(_GROUPS):
        length = length + 1 if _group(high, low, i) == 0 else 0
        if length > best_length:
            best, best_length = i + 1 - length, length
    return best, best_length


@kernel
def _put_ipv6(target: int, high: int, low: int) -> int:
    zeros, count = _longest_zeros(high, low)
    if count < 2:  # RFC 5952 §4.2.2: "::" never stands for one group
        zeros = _GROUPS
    i = 0
    while i < _GROUPS:
        if i == zeros:
            store8(target, COLON)
            store8(target + 1, COLON)
            target += 2
            i += count
            continue
        if i > 0 and i != zeros + count:
            store8(target, COLON)
            target += 1
        target = _put_group(target, _group(high, low, i))
        i += 1
    return target


@kernel
def _put_group(target: int, value: int) -> int:
    """Write 16 bits in lower-case hexadecimal without leading zeros."""
    for shift in (12, 8, 4, 0):
        if value >> shift != 0 or shift == 0:
            digit = (value >> shift) & 0xF
            store8(target, digit + (0x30 if digit < 10 else 0x57))
            target += 1
    return target
