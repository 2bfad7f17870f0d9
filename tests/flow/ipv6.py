"""A distributor whose arena has addresses of both families."""

from __future__ import annotations

from typing import Any, Final

from ncore_ray.lab.dry.distributor import Appliance, make_appliance
from ncore_ray.tables.own_address import AddressKind

CLIENT6: Final = "2001:db8::7"
VIP6: Final = "2001:db8::100"
SNIPS6: Final = ("2001:db8::10", "2001:db8:2::10")


def with_ipv6(ports: tuple[int, ...] = (80, 443), **options: Any) -> Appliance:
    """Return `make_appliance`'s with IPv6 SNIPs and vServers on an IPv6 VIP as well."""
    appliance = make_appliance(ports, **options)
    appliance.arena.add_address(VIP6, AddressKind.VIP)
    for nic, snip in enumerate(SNIPS6):
        appliance.arena.add_address(snip, AddressKind.SNIP, nic)
    for port in ports:
        appliance.arena.add_vserver(VIP6, port)
    return appliance
