"""The engines of packets that come in fragments: the first fragment has the ports, the later ones follow it.

A bounded table of one cache line per packet. A fragment is known by source, destination, protocol and identification
(RFC 791 §3.2), in IPv6 without the protocol (RFC 8200 §4.5). Deciders write under a sequence lock: a version that is
odd meanwhile.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.flow.key import IPV6_KEY, hash_for_lookup
from ncore_ray.flow.records import FRAGMENT_SIZE, Distributor, Fragment, fragment_at
from ncore_ray.machine.atomic import compare_exchange, load_acquire, store_release
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.record import address_of, offset_of
from ncore_ray.wire.address import is_ipv4
from ncore_ray.wire.packet import Packet

FRAGMENT_TIMEOUT_US: Final = 30_000_000
"""How long later fragments may follow (RFC 1122 §3.3.2 asks for 60 to 120 s, Linux waits 30 s)."""
UNKNOWN: Final = -1
_PROBES: Final = 8
_ENGINE: Final = offset_of(Fragment, "engine_plus_1")


@kernel
def key_of_fragment(base: int, distributor: Distributor, packet: Packet) -> int:
    """Write what fragments of one packet have in common into the decider's record, and its hash."""
    distributor.key_0 = packet.source_high
    distributor.key_1 = packet.source_low
    distributor.key_2 = packet.destination_high
    distributor.key_3 = packet.destination_low
    if is_ipv4(packet.source_high, packet.source_low):
        distributor.key_4 = packet.identification << 8 | packet.protocol
    else:  # later fragments need not name the protocol (RFC 8200 §4.5)
        distributor.key_4 = IPV6_KEY | packet.identification << 8
    return hash_for_lookup(base, distributor)


@kernel
def _fragment(base: int, distributor: Distributor, probe: int) -> Fragment:
    place = (distributor.lookup_hash + probe) & (distributor.fragment_count - 1)
    return fragment_at(base + distributor.fragments + place * FRAGMENT_SIZE)


@kernel
def _is_of(entry: Fragment, distributor: Distributor) -> int:
    if entry.engine_plus_1 == 0 or entry.identification != distributor.key_4:
        return 0
    if entry.source_low != distributor.key_1 or entry.source_high != distributor.key_0:
        return 0
    same_destination = entry.destination_low == distributor.key_3 and entry.destination_high == distributor.key_2
    return 1 if same_destination else 0


@kernel
def _is_over(entry: Fragment, now: int) -> int:
    return 1 if entry.engine_plus_1 == 0 or now - entry.created_at > FRAGMENT_TIMEOUT_US else 0


@kernel
def recall_fragment(base: int, distributor: Distributor, now: int) -> int:
    """Return the engine that the first fragment of a packet went to, or UNKNOWN."""
    for i in range(_PROBES):
        entry = _fragment(base, distributor, i)
        version = load_acquire(address_of(entry))
        engine = load_acquire(address_of(entry) + _ENGINE) - 1
        if version & 1 or not _is_of(entry, distributor) or _is_over(entry, now):
            continue
        if compare_exchange(address_of(entry), version, version):  # orders the reads before it, as a load would not
            return engine
    return UNKNOWN


@kernel
def _place_for(base: int, distributor: Distributor, now: int) -> int:
    """Return where a packet is remembered, or shall be: the oldest gives way. UNKNOWN if all places are locked.

    Whoever is pushed out has had time for what follows a first fragment closely; forged ones keep nobody out for long.
    """
    for i in range(_PROBES):
        if _is_of(_fragment(base, distributor, i), distributor):
            return i
    oldest, oldest_at = UNKNOWN, 0
    for i in range(_PROBES):
        entry = _fragment(base, distributor, i)
        # One that is locked may be a dead decider's: it must not keep all others from the places behind it.
        if load_acquire(address_of(entry)) & 1:
            continue
        if _is_over(entry, now):
            return i
        if oldest == UNKNOWN or entry.created_at < oldest_at:
            oldest, oldest_at = i, entry.created_at
    return oldest


@kernel
def _write(entry: Fragment, distributor: Distributor, engine: int, now: int) -> int:
    entry.source_high = distributor.key_0
    entry.source_low = distributor.key_1
    entry.destination_high = distributor.key_2
    entry.destination_low = distributor.key_3
    entry.identification = distributor.key_4
    entry.created_at = now
    entry.engine_plus_1 = engine + 1
    return 0


@kernel
def remember_fragment(base: int, distributor: Distributor, engine: int, now: int) -> int:
    """Remember the engine of a first fragment; return 1, or 0 if another decider has the place."""
    place = _place_for(base, distributor, now)
    if place == UNKNOWN or distributor.read_only:
        return 1 if distributor.read_only and place != UNKNOWN else 0
    entry = _fragment(base, distributor, place)
    version = load_acquire(address_of(entry))
    if version & 1 or not compare_exchange(address_of(entry), version, version + 1):
        return 0
    _write(entry, distributor, engine, now)
    store_release(address_of(entry), version + 2)
    return 1
