"""IPv4 addresses, networks, endpoints and MAC addresses."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Annotated, Final

from pydantic import PlainSerializer, PlainValidator

from ncore_ray.config.expect import expected

_AN_ADDRESS: Final = "an IPv4 unicast address, such as 10.1.0.1"
_AN_ENDPOINT: Final = 'an IPv4 unicast address and a port from 1 to 65535, such as "10.1.0.100:80"'
_AN_INTERFACE: Final = "an IPv4 unicast address with its prefix length, such as 10.1.0.10/24"
_A_MAC: Final = 'a unicast MAC address, such as "02:00:00:00:00:01"'


@dataclass(frozen=True, order=True)
class Endpoint:
    """Where something listens."""

    address: IPv4Address
    port: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


def is_unicast(address: IPv4Address) -> bool:
    """Return whether one host on a network can have the address (loopback, class D and E cannot be)."""
    return address.packed[0] not in (0, 127) and address.packed[0] < 224


def is_host_in(address: IPv4Address, network: IPv4Network) -> bool:
    """Return whether a host of the network can have the address: not its first (the network), not its last."""
    if network.prefixlen >= 31:  # RFC 3021: both are hosts
        return address in network
    return network.network_address < address < network.broadcast_address


def parse_address(value: object) -> IPv4Address:
    """Return the unicast address that a text holds."""
    if isinstance(value, IPv4Address):
        value = str(value)
    try:
        address = IPv4Address(value) if isinstance(value, str) else None
    except ValueError:
        address = None
    if address is None or not is_unicast(address):
        raise expected(_AN_ADDRESS)
    return address


def parse_interface(value: object) -> IPv4Interface:
    """Return a host's address and network from ``10.1.0.10/24``."""
    text = str(value) if isinstance(value, str | IPv4Interface) else ""
    if re.fullmatch(r"[0-9.]+/[0-9]{1,2}", text, re.ASCII) is None:
        raise expected(_AN_INTERFACE)
    try:
        interface = IPv4Interface(text)
    except ValueError:
        raise expected(_AN_INTERFACE) from None
    if not is_unicast(interface.ip):
        raise expected(_AN_INTERFACE)
    if not is_host_in(interface.ip, interface.network):
        raise expected(f"the address of a host in {interface.network}, neither its first nor its last")
    return interface


def parse_endpoint(value: object) -> Endpoint:
    """Return an address and a port from ``10.1.0.100:80``."""
    match = re.fullmatch("([0-9.]+):([0-9]{1,5})", str(value), re.ASCII)
    try:
        endpoint = Endpoint(parse_address(match[1]), int(match[2])) if match else None
    except ValueError:
        endpoint = None
    if endpoint is None or not 1 <= endpoint.port <= 65_535:
        raise expected(_AN_ENDPOINT)
    return endpoint


def parse_mac(value: object) -> str:
    """Return a MAC address in lower case, with colons."""
    match = re.fullmatch("[0-9a-f]{2}(?::[0-9a-f]{2}){5}", str(value).lower(), re.ASCII)
    if match is None or int(match[0][:2], 16) & 1 or match[0] == "00:00:00:00:00:00":
        raise expected(_A_MAC)
    return match[0]


def _text(parse: Callable[[object], object]) -> tuple[PlainValidator, PlainSerializer]:
    return PlainValidator(parse), PlainSerializer(str, return_type=str, when_used="json")


Address = Annotated[IPv4Address, *_text(parse_address)]
InterfaceAddress = Annotated[IPv4Interface, *_text(parse_interface)]
EndpointAddress = Annotated[Endpoint, *_text(parse_endpoint)]
MacAddress = Annotated[str, *_text(parse_mac)]
