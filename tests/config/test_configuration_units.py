"""Times, sizes, shares, addresses: what is read, what is written, what is refused."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from ncore_ray.config.addresses import Endpoint, EndpointAddress, InterfaceAddress, MacAddress, Route, StaticRoute
from ncore_ray.config.expect import Source
from ncore_ray.config.units import GIB, HOUR, KIB, MIB, Microseconds, MicrosecondsOrOff, PartsPerMillion, Size
from ncore_ray.config.words import FilePath, Label, Name, StatusRange

YAML = Source(folder=Path("/etc/ncore"))


def read(kind: Any, value: object) -> object:
    return TypeAdapter(kind).validate_python(value, context=YAML)


@pytest.mark.parametrize(
    ("kind", "value", "result"),
    [
        (Microseconds, "3s", 3_000_000),
        (Microseconds, "40ms", 40_000),
        (Microseconds, "1.5ms", 1_500),
        (Microseconds, "7us", 7),
        (Microseconds, "2 min", 120_000_000),
        (Microseconds, "1h", HOUR),
        (Microseconds, "1d", 24 * HOUR),
        (Microseconds, "0s", 0),
        (MicrosecondsOrOff, "off", 0),
        (MicrosecondsOrOff, "1s", 1_000_000),
        (Size, "256MiB", 256 * MIB),
        (Size, "1.5KiB", 1_536),
        (Size, "2GiB", 2 * GIB),
        (Size, "12B", 12),
        (Size, 8_192, 8 * KIB),
        (PartsPerMillion, "1%", 10_000),
        (PartsPerMillion, "0.0001%", 1),
        (PartsPerMillion, 0.01, 10_000),
        (PartsPerMillion, 0.1, 100_000),
        (PartsPerMillion, 0, 0),
        (PartsPerMillion, "100%", 1_000_000),
        (EndpointAddress, "10.1.0.100:80", Endpoint(IPv4Address("10.1.0.100"), 80)),
        (EndpointAddress, "[2001:DB8::0100]:80", Endpoint(IPv6Address("2001:db8::100"), 80)),
        (InterfaceAddress, "2001:db8::10/64", IPv6Interface("2001:db8::10/64")),
        (InterfaceAddress, "2001:db8::/127", IPv6Interface("2001:db8::/127")),
        (InterfaceAddress, "10.1.0.10/24", IPv4Interface("10.1.0.10/24")),
        (InterfaceAddress, "10.1.0.0/31", IPv4Interface("10.1.0.0/31")),
        (Route, "10.9.0.0/16 via 10.2.0.1", StaticRoute(IPv4Network("10.9.0.0/16"), IPv4Address("10.2.0.1"))),
        (Route, "2001:db8:9::/48 via fe80::1", StaticRoute(IPv6Network("2001:db8:9::/48"), IPv6Address("fe80::1"))),
        (MacAddress, "02:00:00:00:00:0A", "02:00:00:00:00:0a"),
        (StatusRange, "200-399", (200, 399)),
        (StatusRange, 204, (204, 204)),
        (FilePath, "in.pcap", Path("/etc/ncore/in.pcap")),
        (FilePath, "/tmp/in.pcap", Path("/tmp/in.pcap")),
        (Label, "edge-1", "edge-1"),
        (Name, "Web_1.a", "Web_1.a"),
    ],
)
def test_read(kind: Any, value: object, result: object) -> None:
    assert read(kind, value) == result


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (
            Microseconds,
            [3, 3.0, "3", "s", "-3s", "3 weeks", "3S", "0.5us", "1e3s", "٣s", True, "3s\n", "9" * 5000 + "s"],
        ),
        (MicrosecondsOrOff, [False, "no", 5]),
        (Size, ["256", "256M", "1.5B", "-1B", -1, 1.0, True, "1 KiB x"]),
        (PartsPerMillion, [1, 1.0, 2, -0.1, "101%", "0.00001%", "1", "x%", True, float("nan"), float("inf")]),
        (EndpointAddress, ["10.0.0.1", "10.0.0.1:0", "10.0.0.1:65536", "010.0.0.1:80", "::1:80", "224.0.0.1:80", 80]),
        (
            EndpointAddress,
            ["[::1]:80", "[ff02::1]:80", "[::ffff:10.0.0.1]:80", "[fe80::1%eth0]:80", "2001:db8::1", "[10.0.0.1]:80"],
        ),
        (InterfaceAddress, ["2001:db8::/64", "2001:db8::1/129", "::1/128", "ff02::1/64", "2001:db8::1"]),
        (InterfaceAddress, ["10.0.0.1", "10.0.0.0/24", "10.0.0.255/24", "10.0.0.1/33", "10.0.0.1/255.0.0.0", 10]),
        (Route, ["10.9.0.0/16", "10.9.0.1/16 via 10.2.0.1", "10.9.0.0/16 via fe80::1", "::/0 via ff02::1", "a via b"]),
        (MacAddress, ["ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00", "02:00:00:00:00", "02-00-00-00-00-01", 2]),
        (StatusRange, ["99", "600", "300-200", "20", "200-", True, None]),
        (FilePath, ["", 5, "a\0b"]),
        (Label, ["", "Edge", "1edge", "edge-", "e" * 64, "a.b", 5, "edge\n"]),
        (Name, ["", "1", "web 1", "w" * 64, "wéb", True]),
    ],
)
def test_refused(kind: Any, values: list[object]) -> None:
    for value in values:
        with pytest.raises(ValidationError, match="expected "):
            read(kind, value)


def test_python_gives_plain_numbers() -> None:
    assert TypeAdapter(Microseconds).validate_python(40_000) == 40_000
    assert TypeAdapter(PartsPerMillion).validate_python(10_000) == 10_000


@pytest.mark.parametrize("kind", [Microseconds, MicrosecondsOrOff, Size])
@given(value=st.integers(0, 1 << 50))
def test_written_numbers_read_as_the_same(kind: Any, value: int) -> None:
    adapter = TypeAdapter[int](kind)
    assert read(kind, adapter.dump_python(value, mode="json")) == value


@given(st.integers(0, 1_000_000))
def test_written_shares_read_as_the_same(value: int) -> None:
    assert read(PartsPerMillion, TypeAdapter[int](PartsPerMillion).dump_python(value, mode="json")) == value


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (Microseconds, 60_000_000, "1min"),
        (Microseconds, 90_000_000, "90s"),
        (Microseconds, 1_500, "1500us"),
        (Microseconds, 0, "0s"),
        (MicrosecondsOrOff, 0, "off"),
        (Size, 1_536, "1536B"),
        (Size, GIB, "1GiB"),
        (PartsPerMillion, 5_000, "0.5%"),
        (PartsPerMillion, 100_000, "10%"),
        (StatusRange, (200, 399), "200-399"),
    ],
)
def test_written(kind: Any, value: object, text: str) -> None:
    assert TypeAdapter(kind).dump_python(value, mode="json") == text
