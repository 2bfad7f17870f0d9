"""Neighbour Discovery: questions for the appliance's addresses are answered, and answers learnt (RFC 4861 §7.2)."""

from __future__ import annotations

from ncore_ray.arena.header import arena_at
from ncore_ray.engine.ip.icmp import NOT_FOUND
from ncore_ray.engine.partition import Engine, base_of, counters_of
from ncore_ray.engine.transmit import header_address, slot_of, take_slot
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.neighbour import learn_advertised, learn_solicitor
from ncore_ray.tables.nic import answers_for, is_own_mac, nic_of
from ncore_ray.tables.own_address import OwnAddress, find_address, give_up
from ncore_ray.tables.route import is_on_link
from ncore_ray.wire.icmp import icmp_type
from ncore_ray.wire.ipv6 import is_link_local
from ncore_ray.wire.ndp import (
    ALL_NODES_HIGH,
    ALL_NODES_LOW,
    ALL_NODES_MAC,
    FLAG_OVERRIDE,
    FLAG_SOLICITED,
    NO_LINK_ADDRESS,
    SOLICITATION,
    check_ndp,
    link_address,
    ndp_flags,
    ndp_target_high,
    ndp_target_low,
    write_advertisement,
)
from ncore_ray.wire.packet import Packet, Verdict


@kernel
def receive_ndp(engine: Engine, packet: Packet) -> int:
    """Take one solicitation or advertisement, whose checksum is right."""
    counters = counters_of(engine)
    if check_ndp(packet) != Verdict.GOOD:
        counters.drop_nd_bad_packets += 1
        return NOT_FOUND
    high, low = ndp_target_high(packet), ndp_target_low(packet)
    own = find_address(base_of(engine), high, low)
    is_ours = answers_for(base_of(engine), packet.nic, own)
    if icmp_type(packet) == SOLICITATION:
        if not is_ours:
            counters.drop_ip_not_for_us_packets += 1
            return NOT_FOUND
        counters.used_nd_packets += 1
        if packet.source_high == 0 and packet.source_low == 0 and _is_conflict(engine, packet, own):
            return NOT_FOUND
        return _take_solicitation(engine, packet, high, low)
    counters.used_nd_packets += 1
    if is_ours:  # somebody else says that our address is its own (RFC 4862 §5.4.4)
        if packet.ethernet_source != nic_of(base_of(engine), own.nic).mac:
            counters.address_conflicts += 1
            _is_conflict(engine, packet, own)
        return NOT_FOUND
    if not _may_be_neighbour(engine, high, low, packet.nic):
        return NOT_FOUND
    flags = ndp_flags(packet)
    solicited = 1 if flags & FLAG_SOLICITED else 0
    override = 1 if flags & FLAG_OVERRIDE else 0
    learn_advertised(base_of(engine), high, low, link_address(packet), solicited, override, engine.now)
    return NOT_FOUND


@kernel
def _is_conflict(engine: Engine, packet: Packet, own: OwnAddress) -> int:
    """Give an address up, while it is looked for, that another host has or looks for too (RFC 4862 §5.4.3, §5.4.5).

    Returns 1 for that, and for what one of our own NICs said. At other times a probe is answered: we had it first.
    """
    base = base_of(engine)
    if is_own_mac(base, packet.ethernet_source):
        return 1
    if engine.now >= arena_at(base).probing_until:
        return 0
    give_up(base, own.high, own.low, packet.ethernet_source)
    counters_of(engine).addresses_given_up += 1
    return 1


@kernel
def _may_be_neighbour(engine: Engine, high: int, low: int, nic: int) -> int:
    """Return 1 for an address of a NIC's link; else it is counted, and nothing is learnt."""
    if is_link_local(high) or is_on_link(base_of(engine), high, low, nic):
        return 1
    counters_of(engine).foreign_neighbours += 1
    return 0


@kernel
def _take_solicitation(engine: Engine, packet: Packet, high: int, low: int) -> int:
    """Answer, and keep what the sender says of itself; a probe for a duplicate (from "unspecified") hears it as all do.

    The answer goes where the question came from (RFC 4861 §7.2.4).
    """
    if packet.source_high == 0 and packet.source_low == 0:
        return _advertise(engine, packet, high, low, ALL_NODES_MAC, ALL_NODES_HIGH, ALL_NODES_LOW, FLAG_OVERRIDE)
    mac = link_address(packet)
    if mac != NO_LINK_ADDRESS and _may_be_neighbour(engine, packet.source_high, packet.source_low, packet.nic):
        learn_solicitor(base_of(engine), packet.source_high, packet.source_low, mac, engine.now)
    flags = FLAG_SOLICITED | FLAG_OVERRIDE
    return _advertise(engine, packet, high, low, packet.ethernet_source, packet.source_high, packet.source_low, flags)


@kernel
def _advertise(
    engine: Engine, packet: Packet, high: int, low: int, mac: int, to_high: int, to_low: int, flags: int
) -> int:
    index = take_slot(engine, packet.nic, 0)
    own = nic_of(base_of(engine), packet.nic).mac
    length = write_advertisement(header_address(engine, index), own, high, low, mac, to_high, to_low, flags)
    slot_of(engine, index).header_length = length
    counters_of(engine).nd_advertisements += 1
    return NOT_FOUND
