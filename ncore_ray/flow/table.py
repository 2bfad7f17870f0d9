"""The flow table: which engine a flow has, and what is known of the flow.

Buckets of seven flows, each bucket eight cache lines: one line of words that are searched, then one line for each flow.
A flow lies in one of the two buckets that its hash names, so a look-up touches two lines, seldom three. A word holds
the flow's tag (32 bits), the generation of its place (16), its engine (8) and its state (4).

Several deciders may work on one table. A word changes only by compare-and-exchange, so that a place has one user; the
lock of a flow's first bucket is held while the flow is entered, so that it is entered once; and the generation tells a
reader that the place has been given to another flow. A lock is never waited for longer than a moment: whoever died
with it costs new flows of one bucket, until `repair_table` takes it from the dead.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.flow.records import (
    BUCKET_SIZE,
    WAYS,
    Distributor,
    FlowEntry,
    FlowState,
    counters_of,
    flow_entry_at,
    flows_word,
    timeout_of,
)
from ncore_ray.machine.atomic import compare_exchange, fetch_add, load_acquire, store_release
from ncore_ray.machine.hash import MASK32
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load64

SLOTS_PER_BUCKET_PLANNED: Final = 3.5
"""Flows per bucket that a table is made for. The first refusal comes at about 4.2 of 7 (uniform hash)."""
_FIRST_CHOICE: Final = 4
"""A first bucket with fewer flows is taken without a look at the second."""
_LOCK_TRIES: Final = 10_000
_GENERATION: Final = 0xFFFF << 32
_IDENTITY: Final = _GENERATION | MASK32
_SECOND: Final = 1_000_000
_COUNT32: Final = 0x7FFF_FFFF


@kernel
def state_of(word: int) -> int:
    """Return the `FlowState` in the word of a place."""
    return word >> 56 & 15


@kernel
def engine_of(word: int) -> int:
    """Return the engine in the word of a place."""
    return word >> 48 & 0xFF


@kernel
def _word(tag: int, generation: int, engine: int, state: int) -> int:
    return tag | (generation & 0xFFFF) << 32 | engine << 48 | state << 56


@kernel
def first_bucket_of(base: int, distributor: Distributor, lookup_hash: int) -> int:
    """Return the address of the bucket that a hash names first."""
    index = lookup_hash * distributor.flow_bucket_count >> 32
    return base + distributor.flow_buckets + index * BUCKET_SIZE


@kernel
def first_bucket(base: int, distributor: Distributor) -> int:
    """Return the address of the bucket that the latest key's hash names first."""
    return first_bucket_of(base, distributor, distributor.lookup_hash)


@kernel
def entry_line(bucket: int, tag: int) -> int:
    """Return the address of the first entry of a bucket whose word has a tag, or 0: a hint only."""
    for way in range(WAYS):
        if load64(bucket + 8 + 8 * way) & MASK32 == tag:
            return bucket + 64 * (1 + way)
    return 0


@kernel
def second_bucket_of(base: int, distributor: Distributor, lookup_hash: int) -> int:
    """Return the address of the bucket that is taken when the first of a hash is well filled."""
    again = (lookup_hash ^ lookup_hash >> 15) * 0x2C1B_3C6D & MASK32
    again = (again ^ again >> 12) * 0x297A_2D39 & MASK32
    index = (again ^ again >> 15) * distributor.flow_bucket_count >> 32
    return base + distributor.flow_buckets + index * BUCKET_SIZE


@kernel
def second_bucket(base: int, distributor: Distributor) -> int:
    """Return the address of the bucket that is taken when the first is well filled."""
    return second_bucket_of(base, distributor, distributor.lookup_hash)


@kernel
def entry_at(place: int) -> FlowEntry:
    """Return the entry of a place (buckets are aligned to their size)."""
    bucket = place & ~(BUCKET_SIZE - 1)
    return flow_entry_at(bucket + (place - bucket) * 8)


@kernel
def _has_key(distributor: Distributor, entry: FlowEntry) -> int:
    if entry.ports != distributor.key_4 or entry.source_low != distributor.key_1:
        return 0
    if entry.destination_low != distributor.key_3 or entry.source_high != distributor.key_0:
        return 0
    return 1 if entry.destination_high == distributor.key_2 else 0


@kernel
def is_expired(distributor: Distributor, place: int, word: int, now: int) -> int:
    """Return 1 if the flow of a place has been silent for longer than its state allows."""
    state = state_of(word)
    if state == FlowState.FREE or state == FlowState.CLAIMED:
        return 0
    return 1 if now - entry_at(place).last_seen_at > timeout_of(distributor, state) else 0


@kernel
def forget(base: int, distributor: Distributor, place: int, word: int) -> int:
    """Free a place that still holds a word; return 1 if it did."""
    if distributor.read_only or not compare_exchange(place, word, word & _GENERATION):
        return 0
    fetch_add(flows_word(base, distributor, engine_of(word)), -1)
    counters_of(base, distributor).flows_expired += 1
    return 1


@kernel
def _find_in(base: int, distributor: Distributor, bucket: int, now: int) -> int:
    """Return the address of the place of the latest key in a bucket, or 0."""
    for way in range(WAYS):
        place = bucket + 8 + 8 * way
        if load64(place) & MASK32 != distributor.lookup_hash:
            continue
        word = load_acquire(place)
        state = state_of(word)
        if state == FlowState.FREE or state == FlowState.CLAIMED or not _has_key(distributor, entry_at(place)):
            continue
        if load_acquire(place) & _IDENTITY != word & _IDENTITY:
            continue
        if not is_expired(distributor, place, word, now):
            return place
        forget(base, distributor, place, word)
    return 0


@kernel
def find_flow(base: int, distributor: Distributor, now: int) -> int:
    """Return the address of the place of the latest key's flow, or 0; a flow that has timed out is no flow."""
    bucket = first_bucket(base, distributor)
    for _ in range(2):
        place = _find_in(base, distributor, bucket, now)
        if place:
            return place
        bucket = second_bucket(base, distributor)
    return 0


@kernel
def _used(bucket: int) -> int:
    used = 0
    for way in range(WAYS):
        used += state_of(load64(bucket + 8 + 8 * way)) != FlowState.FREE
    return used


@kernel
def _free_place(bucket: int) -> int:
    for way in range(WAYS):
        if state_of(load64(bucket + 8 + 8 * way)) == FlowState.FREE:
            return bucket + 8 + 8 * way
    return 0


@kernel
def is_unproven(word: int) -> int:
    """Return 1 for a flow that may be nothing but a forged SYN, or that its engine knows no more."""
    state = state_of(word)
    return 1 if state == FlowState.SYN_ONLY or state == FlowState.CLOSED else 0


@kernel
def _may_give_way(word: int) -> int:
    """Return 1 for an unproven flow, and for one of datagrams: nothing in it says that its client is not made up."""
    return 1 if is_unproven(word) or state_of(word) == FlowState.UDP else 0


@kernel
def _put_out(base: int, distributor: Distributor, place: int) -> int:
    """Forget a flow that gives way for the sake of a new one; return its place, or 0 if it is another's by now."""
    word = load_acquire(place)
    if distributor.read_only:
        return place
    if not _may_give_way(word) or not forget(base, distributor, place, word):
        return 0
    counters_of(base, distributor).flows_expired -= 1
    counters_of(base, distributor).flows_evicted += 1
    return place


@kernel
def _place_of_another(base: int, distributor: Distributor, first: int, second: int, now: int) -> int:
    """Return a place in one of two full buckets that is given up, or 0.

    That of a flow which has timed out, else of an unproven one, else of one of datagrams; of each kind the oldest. So a
    flood of SYNs puts out itself only, and whoever answers sooner than it has filled two buckets keeps his flow; and
    forged datagrams keep nobody out, while those who send more often than they fill two buckets keep theirs.
    """
    oldest, oldest_at, is_datagram = 0, 0, 0
    for i in range(2 * WAYS):
        place = first + 8 + 8 * i if i < WAYS else second + 8 + 8 * (i - WAYS)
        word = load_acquire(place)
        if is_expired(distributor, place, word, now):
            if distributor.read_only or forget(base, distributor, place, word):
                return place
        elif _may_give_way(word):
            datagram, seen_at = 1 - is_unproven(word), entry_at(place).last_seen_at
            if oldest == 0 or datagram < is_datagram or (datagram == is_datagram and seen_at < oldest_at):
                oldest, oldest_at, is_datagram = place, seen_at, datagram
    return _put_out(base, distributor, oldest) if oldest else 0


@kernel
def find_room(base: int, distributor: Distributor, now: int) -> int:
    """Return the address of a place for a new flow of the latest key, or 0: no proven flow of TCP is ever put out."""
    first, second = first_bucket(base, distributor), second_bucket(base, distributor)
    used = _used(first)
    chosen = first if used < _FIRST_CHOICE or used <= _used(second) else second
    place = _free_place(chosen)
    return place if place else _place_of_another(base, distributor, first, second, now)


@kernel
def claim_room(base: int, distributor: Distributor, now: int) -> int:
    """Take a place for a new flow of the latest key; return its address, or 0 if there is none."""
    while True:
        place = find_room(base, distributor, now)
        if place == 0 or distributor.read_only:
            return place
        word = load_acquire(place)
        claimed = _word(distributor.lookup_hash, (word >> 32) + 1, distributor.number, FlowState.CLAIMED)
        if state_of(word) == FlowState.FREE and compare_exchange(place, word, claimed):
            return place


@kernel
def give_up_room(place: int) -> int:
    """Free a claimed place."""
    return store_release(place, load64(place) & _GENERATION)


@kernel
def enter_flow(base: int, distributor: Distributor, place: int, engine: int, state: int, length: int, now: int) -> int:
    """Write the latest key's flow, with its first packet of ``length`` bytes, to a claimed place."""
    entry = entry_at(place)
    entry.source_high = distributor.key_0
    entry.source_low = distributor.key_1
    entry.destination_high = distributor.key_2
    entry.destination_low = distributor.key_3
    entry.ports = distributor.key_4
    entry.last_seen_at = now
    entry.created_at_s = now // _SECOND
    entry.packets = 1
    entry.bytes = length
    store_release(place, _word(distributor.lookup_hash, load64(place) >> 32, engine, state))
    fetch_add(flows_word(base, distributor, engine), 1)
    counters_of(base, distributor).flows_created += 1
    return 0


@kernel
def touch_flow(place: int, length: int, now: int) -> int:
    """Note another packet of a flow."""
    entry = entry_at(place)
    entry.last_seen_at = now
    entry.packets = (entry.packets + 1) & _COUNT32
    entry.bytes += length
    return 0


@kernel
def set_state(place: int, word: int, state: int) -> int:
    """Give the flow of a place another state; return 0 if the place has changed meanwhile."""
    return compare_exchange(place, word, (word & ~(15 << 56)) | state << 56)


@kernel
def lock_bucket(distributor: Distributor, bucket: int) -> int:
    """Take the lock of a bucket; return 0 if another decider does not let go of it."""
    for _ in range(_LOCK_TRIES):
        if load_acquire(bucket) == 0 and compare_exchange(bucket, 0, distributor.number + 1):
            return 1
    return 0


@kernel
def unlock_bucket(bucket: int) -> int:
    """Let go of the lock of a bucket."""
    return store_release(bucket, 0)


@kernel
def sweep_flows(base: int, distributor: Distributor, buckets: int, now: int) -> int:
    """Forget the flows that have timed out in the next few buckets; return how many they were."""
    forgotten = 0
    for _ in range(buckets):
        if distributor.sweep_next >= distributor.sweep_end:
            distributor.sweep_next = distributor.sweep_first
        bucket = base + distributor.flow_buckets + distributor.sweep_next * BUCKET_SIZE
        for way in range(WAYS):
            place = bucket + 8 + 8 * way
            word = load_acquire(place)
            if is_expired(distributor, place, word, now):
                forgotten += forget(base, distributor, place, word)
        distributor.sweep_next += 1
    return forgotten


@kernel
def sweep_due(base: int, distributor: Distributor, most: int, now: int) -> int:
    """Sweep as many buckets as the time since the last call asks for, at most ``most``."""
    share = distributor.sweep_end - distributor.sweep_first
    due = min(now - distributor.swept_at, distributor.sweep_period) * share // distributor.sweep_period
    if due <= 0:
        return 0
    distributor.swept_at = now
    return sweep_flows(base, distributor, min(due, most), now)
