"""What is loaded before a packet's turn comes: the packets of a batch do not wait for memory one after the other.

A packet of a flow among very many meets four cache lines that no cache holds: its headers, its frame's owner, the
flow's bucket and the flow's entry, each known only when the one before has been read. So a batch goes through in a
pipeline: headers are fetched some packets ahead; a few packets later the flow's key is guessed from them and its bucket
fetched; then the entry that the bucket names. A guess decides nothing: it saves the hash if it turns out to be right.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.frame import descriptor_frame, descriptor_length, frame_address, frame_meta
from ncore_ray.arena.header import check_index
from ncore_ray.arena.ring import Ring, ring_peek
from ncore_ray.flow.key import hash_for_lookup, key_of_ends
from ncore_ray.flow.prefetch import prefetch
from ncore_ray.flow.records import GUESS_SIZE, GUESSES, Distributor, Guess, guess_at
from ncore_ray.flow.table import entry_line, first_bucket_of, second_bucket_of
from ncore_ray.machine.jit import CHECKED, kernel
from ncore_ray.machine.memory import load32be
from ncore_ray.machine.record import address_of
from ncore_ray.tables.own_address import AddressKind, find_address
from ncore_ray.tables.port_owner import FIRST_PORT
from ncore_ray.wire.glance import destination_high_in, destination_in, ports_in, protocol_in, source_high_in, source_in

_HEADERS: Final = 12
_KEY: Final = 8
_ENTRY: Final = 4
"""How many packets before its turn each of these is fetched."""
_WORTH_IT: Final = 3
"""Packets of the smallest batch that goes through in this way."""
assert GUESSES > _KEY
assert GUESSES & (GUESSES - 1) == 0


@kernel
def _guess(base: int, distributor: Distributor, place: int) -> Guess:
    if CHECKED:
        check_index(place & (GUESSES - 1), GUESSES)
    return guess_at(base + distributor.guesses + (place & (GUESSES - 1)) * GUESS_SIZE)


@kernel
def _fetch_headers(base: int, ring: Ring, ahead: int) -> int:
    frame = descriptor_frame(ring_peek(ring, ahead))
    prefetch(frame_address(base, frame))
    return prefetch(address_of(frame_meta(base, frame)))


@kernel
def _is_answer(base: int, frame: int, ports: int) -> int:
    """Return 1 if a server answers, as far as one can see: its engine is known by the port, without a flow."""
    if ports & 0xFFFF < FIRST_PORT:
        return 0
    address = find_address(base, destination_high_in(frame), destination_in(frame))
    return 1 if address.kind == AddressKind.SNIP else 0


@kernel
def _fetch_bucket(base: int, distributor: Distributor, ring: Ring, ahead: int, place: int) -> int:
    word = ring_peek(ring, ahead)
    frame = frame_address(base, descriptor_frame(word))
    guess = _guess(base, distributor, place)
    guess.ports = -1
    at = ports_in(frame, descriptor_length(word))
    if at == 0 or _is_answer(base, frame, load32be(at)):
        return 0
    ports = load32be(at)
    key_of_ends(
        distributor,
        source_high_in(frame),
        source_in(frame),
        ports >> 16,
        destination_high_in(frame),
        destination_in(frame),
        ports & 0xFFFF,
        protocol_in(frame),
    )
    guess.lookup_hash = hash_for_lookup(base, distributor)
    guess.source = distributor.key_1
    guess.destination = distributor.key_3
    guess.source_high = distributor.key_0
    guess.destination_high = distributor.key_2
    guess.ports = distributor.key_4
    return prefetch(first_bucket_of(base, distributor, guess.lookup_hash))


@kernel
def _fetch_entry(base: int, distributor: Distributor, place: int) -> int:
    guess = _guess(base, distributor, place)
    if guess.ports < 0:
        return 0
    line = entry_line(first_bucket_of(base, distributor, guess.lookup_hash), guess.lookup_hash)
    return prefetch(line if line else second_bucket_of(base, distributor, guess.lookup_hash))


@kernel
def begin_batch(base: int, distributor: Distributor, ring: Ring, count: int) -> int:
    """Fetch for the first packets of a batch, all of which wait in a ring."""
    distributor.guess = 0
    if count < _WORTH_IT:
        return 0
    for i in range(min(count, _HEADERS)):
        _fetch_headers(base, ring, i)
    for i in range(min(count, _KEY)):
        _fetch_bucket(base, distributor, ring, i, i)
    for i in range(min(count, _ENTRY)):
        _fetch_entry(base, distributor, i)
    return 0


@kernel
def fetch_ahead(base: int, distributor: Distributor, ring: Ring, i: int, count: int) -> int:
    """Fetch for packets behind the i-th of a batch, whose turn is now, and name the guess at its key."""
    if count < _WORTH_IT:
        return 0
    if i + _HEADERS < count:
        _fetch_headers(base, ring, _HEADERS)
    if i + _KEY < count:
        _fetch_bucket(base, distributor, ring, _KEY, i + _KEY)
    if i + _ENTRY < count:
        _fetch_entry(base, distributor, i + _ENTRY)
    distributor.guess = address_of(_guess(base, distributor, i)) - base
    return 0
