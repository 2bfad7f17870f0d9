"""The NICs of an appliance, and the faults that tests put into them."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import Field

from ncore_ray.config.addresses import (
    Address,
    Address6,
    InterfaceAddress,
    IpAddress,
    IpNetwork,
    MacAddress,
    Route,
    is_host_in,
)
from ncore_ray.config.appliance import EngineNumbers
from ncore_ray.config.expect import Finding, alternatives, repeats, shown
from ncore_ray.config.section import Section
from ncore_ray.config.units import SECOND, Microseconds, PartsPerMillion, format_time, time_within
from ncore_ray.config.words import FilePath, InterfaceName, NamespaceName, Switch, entries, none_is, whole, word

MAX_MTU: Final = 2_034
"""A frame of the arena (2,048 bytes) without the Ethernet header."""


_TAG: Final = 4


class Driver(StrEnum):
    """What moves the packets of a NIC."""

    AF_PACKET = "af_packet"
    TAP = "tap"
    PCAP = "pcap"
    MEMORY = "memory"


_KERNEL_DRIVERS: Final = (Driver.AF_PACKET, Driver.TAP)
_DRIVERS_OF_KEY: Final = {
    "interface": _KERNEL_DRIVERS,
    "netns": _KERNEL_DRIVERS,
    "host": (Driver.TAP,),
    "input": (Driver.PCAP,),
    "output": (Driver.PCAP,),
}


class Faults(Section):
    """What a seeded fault injector does to the packets that a NIC receives and sends."""

    seed: Annotated[int, whole(0, (1 << 63) - 1)] = 1
    loss: PartsPerMillion = 0
    duplication: PartsPerMillion = 0
    reordering: PartsPerMillion = 0
    corruption: PartsPerMillion = 0
    delay: Annotated[Microseconds, time_within(0, 10 * SECOND)] = 0
    """µs that every packet is held back."""
    jitter: Annotated[Microseconds, time_within(0, 10 * SECOND)] = 0
    """µs that the delay varies by, to both sides."""

    def findings(self) -> Iterator[Finding]:
        """Yield a jitter that would make the delay negative."""
        if self.jitter > self.delay:
            jitter, delay = format_time(self.jitter), format_time(self.delay)
            yield Finding(("jitter",), f"found {shown(jitter)}, expected no more than the delay, {delay}")


def _interface_of(known: dict[str, Any]) -> str:
    return str(known["name"])


class Nic(Section):
    """One network interface, with the addresses that the appliance itself has on its network."""

    name: InterfaceName
    driver: Annotated[Driver, *word(Driver)]
    interface: InterfaceName = Field(default_factory=_interface_of)
    """Name of the kernel's interface; by default the NIC's name. Drivers `af_packet` and `tap`."""
    netns: NamespaceName | None = None
    """Network namespace of the interface; None: the one that the appliance runs in."""
    addresses: Annotated[tuple[InterfaceAddress, ...], entries(1, 64)]
    """The SNIPs: the appliance's own addresses, each with its network."""
    gateway: Address | None = None
    """Next hop to all IPv4 networks that no NIC is on."""
    gateway6: Address6 | None = None
    """The same for IPv6; it may be a link-local address."""
    routes: Annotated[tuple[Route, ...], entries(0, 256)] = ()
    """Networks that are reached through other neighbours than the gateway."""
    bridge: InterfaceName | None = None
    """The NIC at the other side, which names this one: frames that are not for the appliance pass between them."""
    proxy_arp: Switch = False
    """Whether questions for own addresses of other NICs are answered here, too (ARP and Neighbour Discovery)."""
    mtu: Annotated[int, whole(576, MAX_MTU)] = 1_500
    """Bytes of the largest IP packet."""
    vlan: Annotated[Annotated[int, whole(1, 4_094)] | None, *none_is("none")] = None
    """Number of the VLAN (IEEE 802.1Q) that the NIC is on: its packets have a tag on the wire. None: no tags."""
    mac: MacAddress | None = None
    """None: the interface's own, or one made from the NIC's name."""
    host: InterfaceAddress | None = None
    """Address of the kernel's side of a TAP device."""
    input: FilePath | None = None
    """Capture file that driver `pcap` receives from."""
    output: FilePath | None = None
    """Capture file that driver `pcap` sends to."""
    engines: EngineNumbers = None
    """The engines that get the flows which come in here (parallelism `nic`)."""
    faults: Faults | None = None
    trace: FilePath | None = None
    """Capture file that everything received and sent is written to as well."""

    @property
    def uses_interface(self) -> bool:
        """Whether the driver works on an interface of the kernel."""
        return self.driver in _KERNEL_DRIVERS

    @property
    def networks(self) -> tuple[IpNetwork, ...]:
        """The networks whose hosts are reached without a gateway."""
        return tuple(address.network for address in self.addresses)

    def reaches(self, address: IpAddress) -> bool:
        """Return whether a host with the address is on one of this NIC's networks."""
        return any(is_host_in(address, network) for network in self.networks)

    def gateway_of(self, version: int) -> IpAddress | None:
        """Return the gateway of a family of addresses, 4 or 6."""
        return self.gateway if version == 4 else self.gateway6

    def gateway_to(self, address: IpAddress) -> IpAddress | None:
        """Return the gateway that leads to an address far away."""
        return self.gateway_of(address.version)

    def leads_to(self, address: IpAddress) -> bool:
        """Return whether an address is near, on a network with a route, or beyond the gateway."""
        if self.reaches(address) or self.gateway_to(address) is not None:
            return True
        return any(address in route.network for route in self.routes)

    def source_for(self, neighbour: IpAddress) -> IpAddress:
        """Return the own address towards a neighbour: one on its network, else the first of its family."""
        own = [address for address in self.addresses if address.version == neighbour.version]
        return next((address.ip for address in own if neighbour in address.network), own[0].ip)

    def findings(self) -> Iterator[Finding]:
        """Yield keys that the driver has no use for, and addresses that do not fit to each other."""
        yield from self._driver_findings()
        if self.vlan is not None and self.mtu > MAX_MTU - _TAG:
            yield Finding(
                ("mtu",), f"found {self.mtu}, expected at most {MAX_MTU - _TAG} where packets have a VLAN tag"
            )
        yield from self._address_findings()
        if self.gateway is not None:
            yield from self._neighbour_findings("gateway", self.gateway)
        if self.gateway6 is not None:
            yield from self._gateway6_findings(self.gateway6)
        for index, route in enumerate(self.routes):
            yield from self._route_findings(index, route.via)
        if self.host is not None:
            yield from self._host_findings()

    def _driver_findings(self) -> Iterator[Finding]:
        for key, drivers in _DRIVERS_OF_KEY.items():
            value = getattr(self, key)
            if self.driver not in drivers and value not in (None, self.name):
                text = f"found {shown(value)}, but driver {self.driver} has no such key, only {alternatives(drivers)}"
                yield Finding((key,), text)
        if self.driver is Driver.PCAP and self.input is None:
            yield Finding(("input",), 'found nothing, expected the capture file that driver "pcap" reads')

    def _address_findings(self) -> Iterator[Finding]:
        hosts = [address.ip for address in self.addresses]
        for index, first in repeats(hosts):
            text = f"found {shown(self.addresses[index])}, which is already addresses[{first}]"
            yield Finding(("addresses", index), text)

    def _gateway6_findings(self, gateway: IpAddress) -> Iterator[Finding]:
        if not gateway.is_link_local:
            yield from self._neighbour_findings("gateway6", gateway)
        elif not any(address.version == 6 for address in self.addresses):
            text = f"found {shown(gateway)}, but none of the NIC's addresses is an IPv6 address"
            yield Finding(("gateway6",), text)

    def _route_findings(self, index: int, via: IpAddress) -> Iterator[Finding]:
        check = self._gateway6_findings(via) if via.version == 6 else self._neighbour_findings("", via)
        for finding in check:
            yield Finding(("routes", index), finding.text)

    def _neighbour_findings(self, key: str, address: IpAddress) -> Iterator[Finding]:
        """Yield what keeps an address from being another host on one of the networks."""
        if not self.reaches(address):
            networks = " or ".join(map(str, self.networks))
            yield Finding((key,), f"found {shown(address)}, expected the address of a host in {networks}")
        elif address in [own.ip for own in self.addresses]:
            yield Finding((key,), f"found {shown(address)}, which is an address of the NIC itself")

    def _host_findings(self) -> Iterator[Finding]:
        assert self.host is not None
        if self.host.network not in self.networks:
            networks = " or ".join(map(str, self.networks))
            yield Finding(("host",), f"found {shown(self.host)}, expected an address with the network {networks}")
        else:
            yield from self._neighbour_findings("host", self.host.ip)
