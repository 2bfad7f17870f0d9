"""All vectors of Microsoft's "Verifying the RSS Hash Calculation"."""

from __future__ import annotations

import ipaddress
import random

import numpy as np
import pytest

from ncore_ray.flow.toeplitz import (
    MICROSOFT_KEY,
    SYMMETRIC_KEY,
    toeplitz4,
    toeplitz6,
    toeplitz_of,
    toeplitz_table,
)
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.wire.address import words_of

# destination, port, source, port, hash with ports, hash of the addresses
IPV4 = [
    ("161.142.100.80", 1766, "66.9.149.187", 2794, 0x51CCC178, 0x323E8FC2),
    ("65.69.140.83", 4739, "199.92.111.2", 14230, 0xC626B0EA, 0xD718262A),
    ("12.22.207.184", 38024, "24.19.198.95", 12898, 0x5C2B394A, 0xD2D0A5DE),
    ("209.142.163.6", 2217, "38.27.205.30", 48228, 0xAFC7327F, 0x82989176),
    ("202.188.127.2", 1303, "153.39.163.191", 44251, 0x10E828A2, 0x5D1809C5),
]
IPV6 = [
    ("3ffe:2501:200:3::1", 1766, "3ffe:2501:200:1fff::7", 2794, 0x40207D3D, 0x2CC18CD5),
    ("ff02::1", 4739, "3ffe:501:8::260:97ff:fe40:efab", 14230, 0xDDE51BBF, 0x0F0C461C),
    ("fe80::200:f8ff:fe21:67cf", 38024, "3ffe:1900:4545:3:200:f8ff:fe21:67cf", 44251, 0x02D1FEEF, 0x4B61E985),
]


@entry_kernel
def quick4(table: int, source_low: int, destination_low: int, ports: int) -> int:
    return toeplitz4(table, source_low, destination_low, ports)


@entry_kernel
def quick6(table: int, sh: int, sl: int, dh: int, dl: int, ports: int) -> int:
    return toeplitz6(table, sh, sl, dh, dl, ports)


def quick(key: bytes, source: str, source_port: int, destination: str, destination_port: int) -> int:
    table = toeplitz_table(key)
    (sh, sl), (dh, dl) = words_of(source), words_of(destination)
    ports = source_port << 16 | destination_port
    if ":" in source:
        return quick6(table.ctypes.data, sh, sl, dh, dl, ports)
    return quick4(table.ctypes.data, sl, dl, ports)


def slow(key: bytes, source: str, source_port: int, destination: str, destination_port: int) -> int:
    data = ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed
    return toeplitz_of(key, data + source_port.to_bytes(2, "big") + destination_port.to_bytes(2, "big"))


@pytest.mark.parametrize(("destination", "dport", "source", "sport", "with_ports", "addresses"), IPV4 + IPV6)
def test_published_vectors(
    destination: str, dport: int, source: str, sport: int, with_ports: int, addresses: int
) -> None:
    packed = ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed
    assert toeplitz_of(MICROSOFT_KEY, packed) == addresses
    assert slow(MICROSOFT_KEY, source, sport, destination, dport) == with_ports
    assert quick(MICROSOFT_KEY, source, sport, destination, dport) == with_ports
    assert quick(MICROSOFT_KEY, source, 0, destination, 0) == addresses


def test_table_agrees_with_the_definition_for_random_keys_and_addresses() -> None:
    random.seed(7)
    for _ in range(20):
        key = random.randbytes(40)
        ipv4 = [str(ipaddress.IPv4Address(random.getrandbits(32))) for _ in range(2)]
        ipv6 = [str(ipaddress.IPv6Address(random.getrandbits(128))) for _ in range(2)]
        for source, destination in (ipv4, ipv6):
            ports = random.getrandbits(16), random.getrandbits(16)
            expected = slow(key, source, ports[0], destination, ports[1])
            assert quick(key, source, ports[0], destination, ports[1]) == expected


@pytest.mark.parametrize("vector", IPV4 + IPV6)
def test_symmetric_key_gives_both_directions_one_hash(vector: tuple[str, int, str, int, int, int]) -> None:
    destination, dport, source, sport, *_ = vector
    there = quick(SYMMETRIC_KEY, source, sport, destination, dport)
    assert there == quick(SYMMETRIC_KEY, destination, dport, source, sport)
    assert there != quick(MICROSOFT_KEY, source, sport, destination, dport)


def test_wrong_key_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="40 bytes"):
        toeplitz_table(MICROSOFT_KEY[:-1])
    with pytest.raises(ValueError, match="16 bytes"):
        toeplitz_of(MICROSOFT_KEY[:15], bytes(12))


def test_table_is_36_rows_of_256_words() -> None:
    table = toeplitz_table(MICROSOFT_KEY)
    assert table.shape == (36, 256)
    assert table.dtype == np.uint32
    assert not table[:, 0].any()
