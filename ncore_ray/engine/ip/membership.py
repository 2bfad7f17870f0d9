"""Reports of the groups that the appliance listens to: the solicited-node groups of its IPv6 addresses (RFC 3810 §6).

Switches that snoop (RFC 4541) pass a question for an address only to who has reported its group. Reports go out with
the first two rounds of `announce`, so that the group is joined before the first probe (RFC 4862 §5.4.2), and all of
them again when a router asks, after a time of chance. Where a router of the first version was heard of late, reports
are of the first version.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.header import arena_at
from ncore_ray.engine.partition import Engine, base_of, counters_of
from ncore_ray.engine.transmit import SPARE_SLOTS, header_address, slot_of, slots_left, take_slot
from ncore_ray.machine.hash import hash_tuple
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.nic import nic_of
from ncore_ray.tables.own_address import OwnAddress, is_in_use, own_address_in_place
from ncore_ray.wire.address import is_ipv4
from ncore_ray.wire.ipv6 import is_link_local
from ncore_ray.wire.mld import (
    Record,
    is_first_version,
    is_right_query,
    longest_delay_ms,
    queried_high,
    queried_low,
    write_report,
)
from ncore_ray.wire.ndp import ALL_NODES_HIGH, solicited_low
from ncore_ray.wire.packet import Packet

_OLDER_VERSION_US: Final = 260_000_000
"""Older Version Querier Present Timeout (RFC 3810 §9.12): two intervals of 125 s and a response of 10 s."""
_LONGEST_DELAY_MS: Final = 10_000
_PAUSE_US: Final = 1_000
_PER_BREATH: Final = 32
_ALL: Final = 0


@kernel
def receive_query(engine: Engine, packet: Packet) -> int:
    """Take a router's question, whose checksum is right: answer later."""
    counters = counters_of(engine)
    if not is_right_query(packet):
        counters.drop_icmp_bad_packets += 1
        return 0
    counters.used_icmp_packets += 1
    if is_first_version(packet):
        engine.first_version_until = engine.now + _OLDER_VERSION_US
    group = queried_low(packet)
    if group == _ALL and queried_high(packet) == 0:
        return _answer_later(engine, packet, _ALL)
    if queried_high(packet) == ALL_NODES_HIGH and _listens_to(engine, group):
        return _answer_later(engine, packet, group)
    return 0


@kernel
def _answer_later(engine: Engine, packet: Packet, group: int) -> int:
    """Answer at an instant of chance; what waits already is said sooner, and of two groups all (RFC 3810 §6.2)."""
    arena = arena_at(base_of(engine))
    draw = hash_tuple(arena.secret_0, arena.secret_1, engine.now, group, packet.nic, 0, -2)
    delay = draw % (min(longest_delay_ms(packet), _LONGEST_DELAY_MS) + 1) * 1_000
    if engine.report_at == 0:
        engine.report_at, engine.report_group, engine.report_next = engine.now + delay, group, 0
        return 0
    if engine.report_group != group:
        engine.report_group, engine.report_next = _ALL, 0
    engine.report_at = min(engine.report_at, engine.now + delay)
    return 0


@kernel
def _is_ours(engine: Engine, place: int, group: int) -> int:
    """Return 1 if a place of the table of addresses holds an IPv6 one in use, of a group or (_ALL) of any."""
    own = own_address_in_place(base_of(engine), place)
    if not is_in_use(own) or is_ipv4(own.high, own.low):
        return 0
    return 1 if group == _ALL or solicited_low(own.low) == group else 0


@kernel
def _listens_to(engine: Engine, group: int) -> int:
    for place in range(arena_at(base_of(engine)).address_count):
        if _is_ours(engine, place, group):
            return 1
    return 0


@kernel
def answer_query(engine: Engine) -> int:
    """Report the next few groups; return how many packets were made."""
    count = arena_at(base_of(engine)).address_count
    made = 0
    while engine.report_next < count and made < _PER_BREATH and slots_left(engine) > SPARE_SLOTS:
        if _is_ours(engine, engine.report_next, engine.report_group):
            made += report(engine, own_address_in_place(base_of(engine), engine.report_next), Record.IS_EXCLUDE)
        engine.report_next += 1
    engine.report_at = engine.now + _PAUSE_US if engine.report_next < count else 0
    return made


@kernel
def report(engine: Engine, own: OwnAddress, record: int) -> int:
    """Tell of the group of an IPv6 address; return 1."""
    high, low = _source(engine, own.nic)
    if engine.now < engine.first_version_until:
        record = 0
    index = take_slot(engine, own.nic, 0)
    mac = nic_of(base_of(engine), own.nic).mac
    slot_of(engine, index).header_length = write_report(header_address(engine, index), mac, high, low, own.low, record)
    counters_of(engine).group_reports += 1
    return 1


@kernel
def _source(engine: Engine, nic: int) -> tuple[int, int]:
    """Return a link-local address of a NIC, or zeros (RFC 3590)."""
    base = base_of(engine)
    for place in range(arena_at(base).address_count):
        own = own_address_in_place(base, place)
        if is_in_use(own) and own.nic == nic and is_link_local(own.high):
            return own.high, own.low
    return 0, 0
