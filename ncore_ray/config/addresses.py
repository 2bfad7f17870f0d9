"""IP addresses, networks, endpoints and MAC addresses."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from typing import Annotated, Final

from pydantic import PlainSerializer, PlainValidator

from ncore_ray.config.expect import expected

_AN_ADDRESS: Final = "an IPv4 unicast address, such as 10.1.0.1"
_AN_ADDRESS6: Final = 'an IPv6 unicast address, such as "2001:db8::1"'
_AN_ENDPOINT: Final = (
    'an IP unicast address and a port from 1 to 65535, such as "10.1.0.100:80" or "[2001:db8::100]:80"'
)
_AN_INTERFACE: Final = "an IP unicast address with its prefix length, such as 10.1.0.10/24 or 2001:db8::10/64"
_A_ROUTE: Final = 'a network and a neighbour of one family, such as "10.9.0.0/16 via 10.2.0.1"'
_V4: Final = r"[0-9.]+"
_V6: Final = r"[0-9a-fA-F:.]*:[0-9a-fA-F:.]*"

IpAddress = IPv4Address | IPv6Address
IpInterface = IPv4Interface | IPv6Interface
IpNetwork = IPv4Network | IPv6Network
_A_MAC: Final = 'a unicast MAC address, such as "02:00:00:00:00:01"'


@dataclass(frozen=True, order=True)
class Endpoint:
    """Where something listens."""

    address: IpAddress
    port: int
    """0: any."""

    def __str__(self) -> str:
        port = self.port or "*"
        return f"[{self.address}]:{port}" if self.address.version == 6 else f"{self.address}:{port}"


@dataclass(frozen=True, order=True)
class StaticRoute:
    """A network, and the neighbour by way of which it is reached."""

    network: IpNetwork
    via: IpAddress

    def __str__(self) -> str:
        return f"{self.network} via {self.via}"


def is_unicast(address: IpAddress) -> bool:
    """Return whether one host on a network can have the address (loopback and multicast cannot be).

    IPv4-mapped addresses are IPv4 and written so; of an IPv6 address the zone of a link is never told.
    """
    if isinstance(address, IPv6Address):
        special = address.is_multicast or address.is_loopback or address.is_unspecified
        return not special and address.ipv4_mapped is None and address.scope_id is None
    return address.packed[0] not in (0, 127) and address.packed[0] < 224


def is_host_in(address: IpAddress, network: IpNetwork) -> bool:
    """Return whether a host of the network can have the address.

    In IPv4 its first is the network's and its last the broadcast address; in IPv6 the first is any router's (RFC 4291
    §2.6.1).
    """
    if address.version != network.version:
        return False
    if network.max_prefixlen - network.prefixlen <= 1:  # RFC 3021, RFC 6164: both are hosts
        return address in network
    if isinstance(network, IPv6Network):
        return address in network and address != network.network_address
    return int(network.network_address) < int(address) < int(network.broadcast_address)


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


def parse_address6(value: object) -> IPv6Address:
    """Return the IPv6 unicast address that a text holds."""
    if isinstance(value, IPv6Address):
        value = str(value)
    try:
        address = IPv6Address(value) if isinstance(value, str) else None
    except ValueError:
        address = None
    if address is None or not is_unicast(address):
        raise expected(_AN_ADDRESS6)
    return address


def parse_interface(value: object) -> IpInterface:
    """Return a host's address and network from ``10.1.0.10/24`` or ``2001:db8::10/64``."""
    text = str(value) if isinstance(value, str | IPv4Interface | IPv6Interface) else ""
    if re.fullmatch(rf"({_V4}/[0-9]{{1,2}}|{_V6}/[0-9]{{1,3}})", text, re.ASCII) is None:
        raise expected(_AN_INTERFACE)
    try:
        interface = ip_interface(text)
    except ValueError:
        raise expected(_AN_INTERFACE) from None
    if not is_unicast(interface.ip):
        raise expected(_AN_INTERFACE)
    if not is_host_in(interface.ip, interface.network):
        which = "not its first" if interface.version == 6 else "neither its first nor its last"
        raise expected(f"the address of a host in {interface.network}, {which}")
    return interface


def parse_listener(value: object) -> Endpoint:
    """Return an endpoint, or with ``10.1.0.100:*`` one with any port (0)."""
    if isinstance(value, str) and value.endswith(":*"):
        return replace(parse_endpoint(value.removesuffix("*") + "1"), port=0)
    return value if isinstance(value, Endpoint) and value.port == 0 else parse_endpoint(value)


def parse_endpoint(value: object) -> Endpoint:
    """Return an address and a port from ``10.1.0.100:80`` or ``[2001:db8::100]:80``."""
    match = re.fullmatch(rf"(?:({_V4})|\[({_V6})\]):([0-9]{{1,5}})", str(value), re.ASCII)
    try:
        endpoint = Endpoint(ip_address(match[1] or match[2]), int(match[3])) if match else None
    except ValueError:
        endpoint = None
    if endpoint is None or not 1 <= endpoint.port <= 65_535 or not is_unicast(endpoint.address):
        raise expected(_AN_ENDPOINT)
    return endpoint


def parse_route(value: object) -> StaticRoute:
    """Return a route from ``10.9.0.0/16 via 10.2.0.1`` or ``2001:db8:9::/48 via fe80::1``."""
    match = re.fullmatch(r"(\S+/\d{1,3}) via (\S+)", str(value), re.ASCII)
    try:
        route = StaticRoute(ip_network(match[1]), ip_address(match[2])) if match else None
    except ValueError:
        route = None
    if route is None or route.network.version != route.via.version or not is_unicast(route.via):
        raise expected(_A_ROUTE)
    return route


def parse_mac(value: object) -> str:
    """Return a MAC address in lower case, with colons."""
    match = re.fullmatch("[0-9a-f]{2}(?::[0-9a-f]{2}){5}", str(value).lower(), re.ASCII)
    if match is None or int(match[0][:2], 16) & 1 or match[0] == "00:00:00:00:00:00":
        raise expected(_A_MAC)
    return match[0]


def _text(parse: Callable[[object], object]) -> tuple[PlainValidator, PlainSerializer]:
    return PlainValidator(parse), PlainSerializer(str, return_type=str, when_used="json")


Address = Annotated[IPv4Address, *_text(parse_address)]
Address6 = Annotated[IPv6Address, *_text(parse_address6)]
InterfaceAddress = Annotated[IpInterface, *_text(parse_interface)]
EndpointAddress = Annotated[Endpoint, *_text(parse_endpoint)]
ListenerAddress = Annotated[Endpoint, *_text(parse_listener)]
Route = Annotated[StaticRoute, *_text(parse_route)]
MacAddress = Annotated[str, *_text(parse_mac)]
