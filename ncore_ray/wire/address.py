"""IP addresses as two 64-bit words, so that both families take the same way through every table.

An IPv4 address is held as its IPv4-mapped IPv6 form (RFC 4291 §2.5.5.2): high word 0, low word
``0xFFFF << 32 | address``.
The words are signed integers that hold the 64 bits.
"""

from __future__ import annotations

import ipaddress
from typing import Final

from ncore_ray.machine.hash import MASK32
from ncore_ray.machine.jit import kernel

MAPPED: Final = 0xFFFF << 32
_SIGN: Final = 1 << 63
_WRAP: Final = 1 << 64


@kernel
def mapped(ipv4: int) -> int:
    """Return the low word of an IPv4 address given as a 32-bit integer; its high word is 0."""
    return MAPPED | ipv4


@kernel
def is_ipv4(high: int, low: int) -> int:
    """Return 1 if the two words hold an IPv4 address."""
    return 1 if high == 0 and (low >> 32) == 0xFFFF else 0


@kernel
def ipv4_of(low: int) -> int:
    """Return the 32-bit integer of an IPv4 address."""
    return low & MASK32


def _signed(word: int) -> int:
    return word - _WRAP if word & _SIGN else word


def words_of(text: str) -> tuple[int, int]:
    """Return the two words of an address in text form.

    Raises:
        ValueError: the text is no IPv4 or IPv6 address.
    """
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv4Address):
        return 0, MAPPED | int(address)
    number = int(address)
    return _signed(number >> 64), _signed(number & (_WRAP - 1))


def text_of(high: int, low: int) -> str:
    """Return the text form of an address given as two words."""
    if high == 0 and (low >> 32) == 0xFFFF:
        return str(ipaddress.IPv4Address(low & MASK32))
    return str(ipaddress.IPv6Address(((high % _WRAP) << 64) | (low % _WRAP)))


def end_text(high: int, low: int, port: int) -> str:
    """Return address and port in text form: ``10.1.0.2:80``, ``[2001:db8::1]:80``."""
    text = text_of(high, low)
    return f"[{text}]:{port}" if ":" in text else f"{text}:{port}"


def mac_of(text: str) -> int:
    """Return the 48-bit integer of a MAC address such as ``02:00:00:00:00:01``.

    Raises:
        ValueError: the text is no MAC address.
    """
    parts = text.split(":")
    if len(parts) != 6 or any(len(part) != 2 for part in parts):
        raise ValueError(f"{text!r} is no MAC address (expected six pairs of hex digits with colons)")
    return int("".join(parts), 16)


def mac_text(mac: int) -> str:
    """Return the text form of a 48-bit MAC address."""
    return ":".join(f"{mac:012x}"[i : i + 2] for i in range(0, 12, 2))
