"""Frames that pass: on a NIC with a bridge, what is not for the appliance is no drop but another engine's work."""

from __future__ import annotations

from ncore_ray.flow.aim import HASH_KEY
from ncore_ray.flow.key import key_of_addresses
from ncore_ray.flow.records import Distributor, Rule
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.nic import nic_of
from ncore_ray.wire.ethernet import ETHERNET_HEADER, GROUP, TYPE_IPV4, TYPE_IPV6
from ncore_ray.wire.glance import destination_high_in, destination_in, source_high_in, source_in
from ncore_ray.wire.ipv4 import IPV4_HEADER
from ncore_ray.wire.ipv6 import IPV6_HEADER
from ncore_ray.wire.packet import Packet


@kernel
def step_of_bridge(base: int, distributor: Distributor, packet: Packet, step: int) -> int:
    """Return the next step for a packet whose headers gave ``step``: all between two hosts go to one engine, in order.

    What goes to all hosts is looked at as well, so it goes where it would go without the bridge, if it goes anywhere.
    """
    if packet.length < ETHERNET_HEADER:
        return step
    own = nic_of(base, packet.nic)
    if own.bridge == 0 or packet.ethernet_destination == own.mac:
        return step
    if packet.ethernet_destination & GROUP and step >= 0:
        return step
    distributor.rule = Rule.ADDRESSES
    packet.more_fragments = 0
    _make_key(distributor, packet)
    return HASH_KEY


@kernel
def _make_key(distributor: Distributor, packet: Packet) -> int:
    frame, rest = packet.frame, packet.length - ETHERNET_HEADER
    is_4 = packet.ether_type == TYPE_IPV4 and rest >= IPV4_HEADER
    if is_4 or (packet.ether_type == TYPE_IPV6 and rest >= IPV6_HEADER):
        return key_of_addresses(
            distributor, source_high_in(frame), source_in(frame), destination_high_in(frame), destination_in(frame)
        )
    return key_of_addresses(distributor, 0, packet.ethernet_source, 0, packet.ethernet_destination)
