"""The rate at which segments arrive at the peer (draft-cheng-iccrg-delivery-rate-estimation-00).

Each acknowledgment says that a segment has arrived, and the bytes that arrived between its sending and now, by the time
that took, are the rate of the way, or of the sender where that was slower. Only for connections that need it (BBR):
notes of what was known when a segment was sent lie in a block of the pool, by the time of sending, so that what is sent
again is a sample as any other. What is sent within a 16th of a round trip shares a note; the latest two dozen are kept.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.connection import Tcb
from ncore_ray.engine.partition import Engine
from ncore_ray.engine.tcp.blocks import BLOCK_SIZE, block_address
from ncore_ray.engine.tcp.scoreboard import in_flight
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.record import I64, Record, pointer_to, size_of

RATE_ROOM: Final = 384
"""Bytes of a block before the notes: `Rate`, and what BBR keeps behind it."""
_SECOND_US: Final = 1_000_000
_GROUP_SHIFT: Final = 3 + 4


class Rate(Record):
    """What is measured of one connection. Times are µs, amounts bytes."""

    delivered: I64
    """All that arrived so far (C.delivered) …"""
    delivered_at: I64
    """… and when that was known (C.delivered_time)."""
    first_sent_at: I64
    """When that was sent whose arrival is known last (C.first_sent_time)."""
    limited_until: I64
    """Until `delivered` is more than this, samples say less than the way could carry (C.app_limited); 0: no."""
    first: I64
    """Place of the oldest note, and how many there are."""
    count: I64
    sample: I64
    """Bytes per second by the acknowledgment at hand; 0: it gave none."""
    sample_prior: I64
    """`delivered` when that was sent whose arrival gave it (rs.prior_delivered)."""
    sample_limited: I64
    """1: the sender had no more to send then."""


class Sending(Record):
    """What was known when something was sent."""

    sent_at: I64
    delivered: I64
    delivered_at: I64
    elapsed: I64
    """How long after `first_sent_at` it was sent, µs << 1, and 1 if there was not more to send."""


rate_at = pointer_to(Rate)
_sending_at = pointer_to(Sending)
_SENDING: Final = size_of(Sending)
SENDINGS: Final = (BLOCK_SIZE - RATE_ROOM) // _SENDING


@kernel
def rate_of(engine: Engine, tcb: Tcb) -> Rate:
    """Return what is measured of a connection that has a block."""
    return rate_at(block_address(engine, tcb.rate_block))


@kernel
def _note(engine: Engine, tcb: Tcb, rate: Rate, number: int) -> Sending:
    place = (rate.first + number) % SENDINGS
    return _sending_at(block_address(engine, tcb.rate_block) + RATE_ROOM + place * _SENDING)


@kernel
def rate_begin(engine: Engine, tcb: Tcb) -> int:
    """Begin to measure."""
    rate = rate_of(engine, tcb)
    rate.delivered = rate.limited_until = rate.first = rate.count = 0
    rate.sample = rate.sample_prior = rate.sample_limited = 0
    rate.delivered_at = rate.first_sent_at = engine.now
    return 0


@kernel
def note_sending(engine: Engine, tcb: Tcb) -> int:
    """Note what is known when a segment is sent (§3.1.3 of the draft); SND.MAX is still the one before."""
    rate = rate_of(engine, tcb)
    if tcb.snd_una == tcb.snd_max:
        rate.first_sent_at = rate.delivered_at = engine.now
        rate.count = 0
    if rate.count:
        last = _note(engine, tcb, rate, rate.count - 1)
        if engine.now - last.sent_at <= tcb.srtt >> _GROUP_SHIFT:
            return 0
    if rate.count == SENDINGS:
        rate.first = (rate.first + 1) % SENDINGS
        rate.count -= 1
    rate.count += 1
    note = _note(engine, tcb, rate, rate.count - 1)
    note.sent_at = engine.now
    note.delivered = rate.delivered
    note.delivered_at = rate.delivered_at
    note.elapsed = (engine.now - rate.first_sent_at) << 1 | (1 if rate.limited_until else 0)
    return 0


@kernel
def note_idle(engine: Engine, tcb: Tcb) -> int:
    """There is nothing more to send though the window has room: samples say less than the way could carry (§3.1.5)."""
    rate = rate_of(engine, tcb)
    rate.limited_until = max(rate.delivered + in_flight(tcb), 1)
    return 0


@kernel
def take_sample_of_rate(engine: Engine, tcb: Tcb) -> int:
    """Take what the acknowledgment at hand says has arrived (§3.1.4); the sample is in the record."""
    rate = rate_of(engine, tcb)
    rate.sample = 0
    if engine.delivered == 0:
        return 0
    rate.delivered += engine.delivered
    rate.delivered_at = engine.now
    if rate.limited_until and rate.delivered > rate.limited_until:
        rate.limited_until = 0
    return _sample(engine, tcb, rate) if engine.sample_sent_at else 0


@kernel
def _sample(engine: Engine, tcb: Tcb, rate: Rate) -> int:
    number = rate.count - 1
    while number >= 0 and _note(engine, tcb, rate, number).sent_at > engine.sample_sent_at:
        number -= 1
    if number < 0:
        return 0
    note = _note(engine, tcb, rate, number)
    interval = max(note.elapsed >> 1, engine.now - note.delivered_at)
    rate.first_sent_at = max(rate.first_sent_at, note.sent_at)
    rate.sample_prior = note.delivered
    rate.sample_limited = note.elapsed & 1
    if interval >= max(tcb.min_rtt, 1):
        rate.sample = (rate.delivered - note.delivered) * _SECOND_US // interval
    return 0
