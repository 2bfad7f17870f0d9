"""What the kernel itself counted on the appliance's devices: a witness that is no part of the appliance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ncore_ray.lab.network import CLIENT_NIC, SERVER_NIC, Network


@dataclass(frozen=True)
class LinkCount:
    """Packets of one device."""

    received: int
    sent: int

    def since(self, before: LinkCount) -> LinkCount:
        """Return the difference."""
        return LinkCount(self.received - before.received, self.sent - before.sent)


def link_counts(network: Network) -> dict[str, LinkCount]:
    """Return the kernel's counts of nc0 and nc1."""

    def read(ip: Any) -> dict[str, LinkCount]:
        links = {name: ip.get_links(ip.link_lookup(ifname=name)[0])[0] for name in (CLIENT_NIC, SERVER_NIC)}
        statistics = {name: link.get_attr("IFLA_STATS64") for name, link in links.items()}
        return {name: LinkCount(s["rx_packets"], s["tx_packets"]) for name, s in statistics.items()}

    return network.appliance.namespace.netlink(read)
