"""ARP: questions for the appliance's addresses are answered, and answers learnt (RFC 826)."""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.partition import Engine, base_of, counters_of
from ncore_ray.engine.transmit import header_address, slot_of, take_slot
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.neighbour import learn
from ncore_ray.tables.nic import answers_for, nic_of
from ncore_ray.tables.own_address import AddressKind, find_address
from ncore_ray.tables.route import is_on_link
from ncore_ray.wire.address import mapped
from ncore_ray.wire.arp import (
    ARP_REPLY,
    ARP_REQUEST,
    arp_operation,
    arp_sender,
    arp_sender_mac,
    arp_target,
    check_arp,
    write_arp,
)
from ncore_ray.wire.packet import Packet, Verdict

_NOBODY: Final = 0
"""The sender of a probe."""


@kernel
def receive_arp(engine: Engine, packet: Packet) -> int:
    """Take one ARP packet."""
    counters = counters_of(engine)
    if check_arp(packet) != Verdict.GOOD:
        counters.drop_arp_bad_packets += 1
        return 0
    counters.used_arp_packets += 1
    base = base_of(engine)
    own = find_address(base, 0, mapped(arp_target(packet)))
    is_ours = answers_for(base, packet.nic, own)
    if arp_sender(packet) == _NOBODY:  # who looks whether an address is free has to hear if it is not (RFC 5227 §2.1.1)
        return _answer(engine, packet) if is_ours and arp_operation(packet) == ARP_REQUEST else 0
    sender = find_address(base, 0, mapped(arp_sender(packet)))
    if sender.kind != AddressKind.FOREIGN and arp_sender_mac(packet) != nic_of(base, sender.nic).mac:
        counters.address_conflicts += 1  # RFC 5227 §2.4; it is not learnt
        return 0
    if not is_on_link(base, 0, mapped(arp_sender(packet)), packet.nic):
        counters.foreign_neighbours += 1
        return 0
    # RFC 826: what is known is always brought up to date; a new entry is made only if the packet is for us.
    learn(base, 0, mapped(arp_sender(packet)), arp_sender_mac(packet), engine.now, 1 if is_ours else 0)
    if is_ours and arp_operation(packet) == ARP_REQUEST:
        _answer(engine, packet)
    return 0


@kernel
def _answer(engine: Engine, packet: Packet) -> int:
    index = take_slot(engine, packet.nic, 0)
    mac = nic_of(base_of(engine), packet.nic).mac
    length = write_arp(
        header_address(engine, index),
        ARP_REPLY,
        mac,
        arp_target(packet),
        arp_sender_mac(packet),
        arp_sender(packet),
    )
    slot_of(engine, index).header_length = length
    counters_of(engine).arp_replies += 1
    return 0
