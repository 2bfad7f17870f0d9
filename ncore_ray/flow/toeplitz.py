"""The Toeplitz hash of receive-side scaling (Microsoft: "RSS Hashing Types", "Verifying the RSS Hash Calculation").

The hash is linear: each set bit of the input adds (exclusive or) the 32 bits of the key that begin at its position. So
the sums of all 256 values of each input byte are made once, and a packet costs one look-up per byte of its key.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from ncore_ray.machine.hash import MASK32
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load32
from ncore_ray.wire.address import ipv4_of

MICROSOFT_KEY: Final = bytes.fromhex("6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa")
"""The key of Microsoft's published vectors."""
SYMMETRIC_KEY: Final = bytes.fromhex("6d5a") * 20
"""A period of 16 bits: swapping source and destination gives the same hash (Woo, Park: "Scalable TCP Session
Monitoring with Symmetric Receive-side Scaling", 2012)."""

KEY_BYTES: Final = 40
_INPUT_BYTES: Final = 36
_ROW: Final = 256 * 4
TABLE_SIZE: Final = _INPUT_BYTES * _ROW
"""Bytes: a row of 256 words for each byte of two IPv6 addresses and two ports."""
_IPV6_DESTINATION: Final = 16 * _ROW
_IPV6_PORTS: Final = 32 * _ROW
_IPV4_DESTINATION: Final = 4 * _ROW
_IPV4_PORTS: Final = 8 * _ROW


def toeplitz_of(key: bytes, data: bytes) -> int:
    """Return the hash of ``data`` bit by bit, as it is defined: slow, for tests and for making the table.

    Raises:
        ValueError: the key is not 4 bytes longer than the data.
    """
    if len(key) < len(data) + 4:
        raise ValueError(f"a Toeplitz key for {len(data)} bytes has at least {len(data) + 4} bytes, not {len(key)}")
    window = int.from_bytes(key, "big")
    result = 0
    for position in range(8 * len(data)):
        if data[position // 8] & 0x80 >> position % 8:
            result ^= window >> (8 * len(key) - 32 - position) & MASK32
    return result


def toeplitz_table(key: bytes) -> npt.NDArray[np.uint32]:
    """Return the sums of every value of every input byte: (36, 256) words.

    Raises:
        ValueError: the key has not 40 bytes.
    """
    if len(key) != KEY_BYTES:
        raise ValueError(f"an RSS key has {KEY_BYTES} bytes, not {len(key)}")
    sums = np.zeros((_INPUT_BYTES, 256), np.uint32)
    for position in range(_INPUT_BYTES):
        for bit in range(8):
            value = 0x80 >> bit
            chosen = np.arange(256) & value != 0
            sums[position, chosen] ^= toeplitz_of(key, bytes(position) + bytes([value]))
    return sums


@kernel
def _sum32(row: int, word: int) -> int:
    first = load32(row + (word >> 24 & 255) * 4) ^ load32(row + _ROW + (word >> 16 & 255) * 4)
    return first ^ load32(row + 2 * _ROW + (word >> 8 & 255) * 4) ^ load32(row + 3 * _ROW + (word & 255) * 4)


@kernel
def _sum128(row: int, high: int, low: int) -> int:
    upper = _sum32(row, high >> 32) ^ _sum32(row + 4 * _ROW, high)
    return upper ^ _sum32(row + 8 * _ROW, low >> 32) ^ _sum32(row + 12 * _ROW, low)


@kernel
def toeplitz4(table: int, source_low: int, destination_low: int, ports: int) -> int:
    """Return the hash of two IPv4 addresses and the ports (source << 16 | destination); 0 for no ports.

    ``table`` is the address of a `toeplitz_table`. Bytes of zeros add nothing, so this is also the hash of fewer bytes.
    """
    addresses = _sum32(table, ipv4_of(source_low)) ^ _sum32(table + _IPV4_DESTINATION, ipv4_of(destination_low))
    return addresses ^ _sum32(table + _IPV4_PORTS, ports)


@kernel
def toeplitz6(
    table: int, source_high: int, source_low: int, destination_high: int, destination_low: int, ports: int
) -> int:
    """Return the hash of two IPv6 addresses and the ports (source << 16 | destination); 0 for no ports."""
    addresses = _sum128(table, source_high, source_low)
    addresses ^= _sum128(table + _IPV6_DESTINATION, destination_high, destination_low)
    return addresses ^ _sum32(table + _IPV6_PORTS, ports)
