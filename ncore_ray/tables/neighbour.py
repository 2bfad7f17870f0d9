"""The neighbour table: link-layer addresses of hosts on the appliance's networks (RFC 826, RFC 1122 §2.3.2, RFC 4861).

All engines read and write it. An entry is claimed with one compare-and-exchange of its version (odd while it is being
written); readers take the words between two equal even versions (a sequence lock). The upper half of an odd version
says since when: an entry that its writer left locked, because it died, is taken from it and learned anew.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ncore_ray.arena.header import arena_at
from ncore_ray.machine.atomic import compare_exchange, load_acquire, store_release
from ncore_ray.machine.hash import MASK32
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.record import I64, Record, address_of, offset_of, pointer_to, size_of
from ncore_ray.tables.own_address import mix


class NeighbourState(IntEnum):
    """What is known of a neighbour."""

    FREE = 0
    INCOMPLETE = 1
    KNOWN = 2


class Reachability(IntEnum):
    """The states of RFC 4861 §7.3.2, as an entry's times say: nothing has to move from one to the other.

    There is no DELAY: an entry that is STALE is asked for as soon as it is used.
    """

    NONE = 0
    INCOMPLETE = 1
    REACHABLE = 2
    STALE = 3
    PROBE = 4


class Neighbour(Record):
    """One neighbour (64 bytes, one cache line)."""

    version: I64
    high: I64
    low: I64
    state: I64
    mac: I64
    confirmed_at: I64
    """When its answer came, µs."""
    requested_at: I64
    """When it was last asked for, µs."""
    reserved: I64


neighbour_at = pointer_to(Neighbour)
_SIZE: Final = size_of(Neighbour)
_PROBES: Final = 16
_HIGH: Final = offset_of(Neighbour, "high")
_LOW: Final = offset_of(Neighbour, "low")
_STATE: Final = offset_of(Neighbour, "state")
_MAC: Final = offset_of(Neighbour, "mac")
_CONFIRMED: Final = offset_of(Neighbour, "confirmed_at")
STALE_AFTER_US: Final = 30_000_000
"""An entry not confirmed for so long is asked for again while it is still used."""
LOST_AFTER_US: Final = 60_000_000
"""An entry not confirmed for so long is used no more (RFC 1122 §2.3.2.1)."""
REQUEST_INTERVAL_US: Final = 1_000_000
"""At most one request per neighbour in that time (RFC 1122 §2.3.2.1)."""
ABANDONED_AFTER_US: Final = 2_000_000
"""Writing takes well under a microsecond: who holds an entry for so long is dead."""
_CLOCK_SHIFT: Final = 10
_CLOCK_MASK: Final = (1 << 30) - 1
UNKNOWN_MAC: Final = -1


@kernel
def _slot(base: int, index: int) -> Neighbour:
    arena = arena_at(base)
    return neighbour_at(base + arena.neighbours + (index & (arena.neighbour_count - 1)) * _SIZE)


@kernel
def _locked(version: int, now: int) -> int:
    """Return the odd version that follows one, with the time."""
    return (version + 1) & MASK32 | (now >> _CLOCK_SHIFT & _CLOCK_MASK) << 32


@kernel
def _is_abandoned(version: int, now: int) -> int:
    """Return 1 if an entry with this odd version was locked long ago; clocks of two writers differ a little."""
    age = (now >> _CLOCK_SHIFT) - (version >> 32) & _CLOCK_MASK
    return 1 if ABANDONED_AFTER_US >> _CLOCK_SHIFT < age <= _CLOCK_MASK >> 1 else 0


@kernel
def _lock(entry: Neighbour, now: int) -> int:
    version = load_acquire(address_of(entry))
    if version & 1:
        return _take_abandoned(entry, version, now)
    return compare_exchange(address_of(entry), version, _locked(version, now))


@kernel
def _take_abandoned(entry: Neighbour, version: int, now: int) -> int:
    """Lock an entry whose writer died; what it says may be torn and counts no more. Return 0 if its writer lives."""
    if not _is_abandoned(version, now) or not compare_exchange(address_of(entry), version, _locked(version + 1, now)):
        return 0
    entry.mac = UNKNOWN_MAC
    entry.confirmed_at = 0
    entry.requested_at = 0
    entry.state = NeighbourState.INCOMPLETE
    return 1


@kernel
def _unlock(entry: Neighbour) -> int:
    return store_release(address_of(entry), ((entry.version & MASK32) + 1) & MASK32)


@kernel
def _holds(entry: Neighbour, high: int, low: int) -> int:
    return 1 if entry.state != NeighbourState.FREE and entry.low == low and entry.high == high else 0


@kernel
def _lock_if_holds(entry: Neighbour, high: int, low: int, now: int) -> int:
    """Lock an entry that was found without a lock, unless it has been given to another address since."""
    if not _lock(entry, now):
        return 0
    if _holds(entry, high, low):
        return 1
    _unlock(entry)
    return 0


@kernel
def _find(base: int, high: int, low: int) -> int:
    """Return the index of the entry, or −1."""
    first = mix(high, low, 0)
    for i in range(_PROBES):
        if _holds(_slot(base, first + i), high, low):
            return first + i
    return -1


@kernel
def _reusable(entry: Neighbour, now: int) -> int:
    if entry.state == NeighbourState.FREE:
        return 1
    since = max(entry.confirmed_at, entry.requested_at)
    return 1 if now - since > LOST_AFTER_US else 0


@kernel
def _claim(base: int, high: int, low: int, now: int) -> int:
    """Return the index of a new, locked entry for an address, or −1 if all its places are taken."""
    first = mix(high, low, 0)
    for i in range(_PROBES):
        entry = _slot(base, first + i)
        if not _reusable(entry, now) or not _lock(entry, now):
            continue
        if not _reusable(entry, now):  # another engine was faster
            _unlock(entry)
            continue
        entry.high = high
        entry.low = low
        entry.mac = UNKNOWN_MAC
        entry.confirmed_at = 0
        entry.requested_at = 0
        entry.state = NeighbourState.INCOMPLETE
        return first + i
    return -1


@kernel
def find_mac(base: int, high: int, low: int, now: int) -> int:
    """Return the MAC address of a neighbour, or UNKNOWN_MAC."""
    index = _find(base, high, low)
    if index < 0:
        return UNKNOWN_MAC
    entry = _slot(base, index)
    at = address_of(entry)
    before = load_acquire(at)
    same = load_acquire(at + _HIGH) == high and load_acquire(at + _LOW) == low
    known = load_acquire(at + _STATE) == NeighbourState.KNOWN
    mac, confirmed_at = load_acquire(at + _MAC), load_acquire(at + _CONFIRMED)
    if before & 1 or load_acquire(at) != before or not same or not known:
        return UNKNOWN_MAC
    return mac if now - confirmed_at <= LOST_AFTER_US else UNKNOWN_MAC


@kernel
def should_request(base: int, high: int, low: int, now: int) -> int:
    """Return 1 if the caller is the one to ask for this neighbour now; the request is noted."""
    index = _find(base, high, low)
    if index < 0:
        index = _claim(base, high, low, now)
        if index < 0:
            return 0
        entry = _slot(base, index)
    else:
        entry = _slot(base, index)
        known = entry.version & 1 == 0 and entry.state == NeighbourState.KNOWN
        fresh = known and now - entry.confirmed_at <= STALE_AFTER_US
        if fresh or (entry.requested_at and now - entry.requested_at < REQUEST_INTERVAL_US):
            return 0
        if not _lock_if_holds(entry, high, low, now):
            return 0
    entry.requested_at = now
    _unlock(entry)
    return 1


@kernel
def learn(base: int, high: int, low: int, mac: int, now: int, create: int) -> int:
    """Enter what a neighbour said of itself; a new entry is made only if ``create`` (RFC 826). Return 1 if entered."""
    index = _find(base, high, low)
    if index >= 0:
        if not _lock_if_holds(_slot(base, index), high, low, now):
            return 0
    else:
        index = _claim(base, high, low, now) if create else -1
        if index < 0:
            return 0
    entry = _slot(base, index)
    entry.mac = mac
    entry.confirmed_at = now
    entry.state = NeighbourState.KNOWN
    _unlock(entry)
    return 1


@kernel
def reachability(base: int, high: int, low: int, now: int) -> Reachability:
    """Return what is known of a neighbour at this moment."""
    index = _find(base, high, low)
    if index < 0:
        return Reachability.NONE
    entry = _slot(base, index)
    age = now - entry.confirmed_at
    if entry.state == NeighbourState.INCOMPLETE:
        return Reachability.INCOMPLETE
    if age <= STALE_AFTER_US:
        return Reachability.REACHABLE
    if age > LOST_AFTER_US:
        return Reachability.NONE
    return Reachability.PROBE if entry.requested_at > entry.confirmed_at + STALE_AFTER_US else Reachability.STALE


@kernel
def _set(entry: Neighbour, mac: int, now: int, is_confirmed: int) -> int:
    """Write a locked entry; what nobody confirmed is STALE at once."""
    entry.mac = mac
    entry.confirmed_at = now if is_confirmed else max(now - STALE_AFTER_US - 1, 1)
    entry.state = NeighbourState.KNOWN
    return 0


@kernel
def learn_solicitor(base: int, high: int, low: int, mac: int, now: int) -> int:
    """Enter what a solicitation says of its sender: unconfirmed, if it is new (RFC 4861 §7.2.3). Return 1 if new."""
    index = _find(base, high, low)
    if index >= 0:
        if not _lock_if_holds(_slot(base, index), high, low, now):
            return 0
    else:
        index = _claim(base, high, low, now)
        if index < 0:
            return 0
    entry = _slot(base, index)
    changed = 0 if entry.state == NeighbourState.KNOWN and entry.mac == mac else 1
    if changed:
        _set(entry, mac, now, 0)
    _unlock(entry)
    return changed


@kernel
def learn_advertised(base: int, high: int, low: int, mac: int, solicited: int, override: int, now: int) -> int:
    """Take what an advertisement says of an address that was asked for (RFC 4861 §7.2.5). Return 1 if it counts.

    ``mac`` is UNKNOWN_MAC if it tells none.
    """
    index = _find(base, high, low)
    if index < 0 or not _lock_if_holds(_slot(base, index), high, low, now):
        return 0
    entry = _slot(base, index)
    is_known = entry.state == NeighbourState.KNOWN and now - entry.confirmed_at <= LOST_AFTER_US
    told = entry.mac if mac == UNKNOWN_MAC and is_known else mac
    counts = 1 if told != UNKNOWN_MAC else 0
    if counts and is_known and told != entry.mac and not override:
        counts = 0
        entry.confirmed_at = min(entry.confirmed_at, max(now - STALE_AFTER_US - 1, 1))  # ask again before it is used
    elif counts and (solicited or not is_known or told != entry.mac):
        _set(entry, told, now, solicited)
    _unlock(entry)
    return counts
