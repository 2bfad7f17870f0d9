"""Own addresses made known: looked for on the link first, then announced (RFC 5227, RFC 4862 §5.4, RFC 4861 §7.2.6).

Engine 0 does it when it starts, when it takes over from one that died, and when the configuration changes: one round of
probes, then two announcements, a second apart, a few addresses per breath. Another host that says in the second after
the probe that it has an IPv6 address keeps it: the appliance gives that up (`ndp`). It uses its addresses meanwhile (as
in RFC 4429): those of an appliance that starts anew serve clients already. Who has an own address as well at other
times, or an IPv4 one, is counted (`address_conflicts`).
"""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.header import arena_at
from ncore_ray.engine.ip.membership import report
from ncore_ray.engine.partition import Engine, base_of, counters_of
from ncore_ray.engine.transmit import SPARE_SLOTS, header_address, slot_of, slots_left, take_slot
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.nic import nic_of
from ncore_ray.tables.own_address import OwnAddress, is_in_use, own_address_in_place
from ncore_ray.wire.address import ipv4_of, is_ipv4
from ncore_ray.wire.arp import ARP_REQUEST, write_arp
from ncore_ray.wire.mld import Record
from ncore_ray.wire.ndp import (
    ALL_NODES_HIGH,
    ALL_NODES_LOW,
    ALL_NODES_MAC,
    FLAG_OVERRIDE,
    NO_LINK_ADDRESS,
    write_advertisement,
    write_solicitation,
)

ROUNDS: Final = 3
"""One of probes (DupAddrDetectTransmits of RFC 4862), two of announcements (ANNOUNCE_NUM of RFC 5227)."""
INTERVAL_US: Final = 1_000_000
_REPORTS: Final = 2
"""Rounds in which groups are reported."""
_PAUSE_US: Final = 1_000
_PER_BREATH: Final = 32


@kernel
def begin_announcing(engine: Engine) -> int:
    """Begin anew, if this engine is one that announces."""
    engine.announce_round = 0
    engine.announce_next = 0
    engine.announce_at = engine.now if engine.announces else 0
    return 0


@kernel
def announce(engine: Engine) -> int:
    """Say the next few addresses; return how many packets were made."""
    base = base_of(engine)
    count = arena_at(base).address_count
    made = 0
    if engine.announce_round == 0:
        arena_at(base).probing_until = engine.now + INTERVAL_US
    while engine.announce_next < count and made < _PER_BREATH and slots_left(engine) > SPARE_SLOTS:
        own = own_address_in_place(base, engine.announce_next)
        engine.announce_next += 1
        if is_in_use(own):
            made += _say(engine, own, 1 if engine.announce_round == 0 else 0)
    if engine.announce_next < count:
        engine.announce_at = engine.now + _PAUSE_US
        return made
    engine.announce_next = 0
    engine.announce_round += 1
    engine.announce_at = engine.now + INTERVAL_US if engine.announce_round < ROUNDS else 0
    return made


@kernel
def _say(engine: Engine, own: OwnAddress, is_probe: int) -> int:
    """Make the packets of an address; its group is reported twice (the Robustness Variable of RFC 3810 §9.1)."""
    reports = 0
    if engine.announce_round < _REPORTS and not is_ipv4(own.high, own.low):
        reports = report(engine, own, Record.TO_EXCLUDE)
    index = take_slot(engine, own.nic, 0)
    at, mac = header_address(engine, index), nic_of(base_of(engine), own.nic).mac
    counters = counters_of(engine)
    if is_ipv4(own.high, own.low):
        address = ipv4_of(own.low)
        length = write_arp(at, ARP_REQUEST, mac, 0 if is_probe else address, 0, address)
        counters.arp_requests += 1
    elif is_probe:
        length = write_solicitation(at, mac, 0, 0, own.high, own.low, NO_LINK_ADDRESS)
        counters.nd_solicitations += 1
    else:
        length = write_advertisement(
            at, mac, own.high, own.low, ALL_NODES_MAC, ALL_NODES_HIGH, ALL_NODES_LOW, FLAG_OVERRIDE
        )
        counters.nd_advertisements += 1
    slot_of(engine, index).header_length = length
    return 1 + reports
