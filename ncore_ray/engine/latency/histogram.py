"""A histogram for each vServer at each engine: the time from a request's head to the head of its response.

It begins when the head has been read whole, and ends when the head of the final response is queued for the client: the
choice of a server, a new connection to it, the request's way, what the server needs, and the way back. Responses that
the appliance makes itself are not in it. The clock is that of the breaths and is noted in steps of 8 µs, so a span is
exact to a breath's length and 8 µs. Two buckets for each power of two, from 16 µs to 67 s.
"""

from __future__ import annotations

from typing import Annotated, Final

import numpy as np

from ncore_ray.arena.header import arena_at, check_index
from ncore_ray.engine.connection import Tcb
from ncore_ray.engine.http.exchange import Exchange
from ncore_ray.engine.partition import Engine, base_of
from ncore_ray.machine.jit import CHECKED, kernel
from ncore_ray.machine.memory import load64, store64
from ncore_ray.machine.record import I64, Record, address_of, offset_of, pointer_to, size_of

FIRST_BITS: Final = 4
"""The first bucket has all spans below 2⁴ µs."""
OCTAVES: Final = 22
BUCKETS: Final = 2 * OCTAVES + 2
"""... the last one all from 2²⁶ µs on."""
STEP_BITS: Final = 3
_STEPS: Final = 0x7FFF_FFFF
"""Noted instants are 31 bits of steps: spans of up to four hours are told apart."""


class Latency(Record):
    """Of one vServer at one engine."""

    total_us: I64
    """All spans together."""
    pad: I64
    times: Annotated[int, np.dtype(("<i8", (BUCKETS,)))]
    """Responses by their span."""


latency_at = pointer_to(Latency)
_SIZE: Final = size_of(Latency)
_TIMES: Final = offset_of(Latency, "times")


@kernel
def bucket_of_span(span_us: int) -> int:
    """Return the bucket of a span: 2k + 1 has those from 2ᵏ · 16 µs on, 2k + 2 those from 2ᵏ · 24 µs on."""
    octave = 0
    scaled = span_us >> FIRST_BITS
    if scaled == 0:
        return 0
    while scaled > 15:
        scaled >>= 4
        octave += 4
    while scaled > 1:
        scaled >>= 1
        octave += 1
    upper = (span_us >> (octave + FIRST_BITS - 1)) & 1
    return min(2 * octave + 1 + upper, BUCKETS - 1)


@kernel
def note_asked(engine: Engine, exchange: Exchange) -> int:
    """A request's head has been read."""
    exchange.asked_at = (engine.now >> STEP_BITS) & _STEPS
    return 0


@kernel
def note_answered(engine: Engine, client: Tcb, exchange: Exchange) -> int:
    """The head of its final response is queued."""
    span_us = (((engine.now >> STEP_BITS) - exchange.asked_at) & _STEPS) << STEP_BITS
    if CHECKED:
        check_index(client.vserver, arena_at(base_of(engine)).vserver_count)
    latency = latency_at(base_of(engine) + engine.latencies + client.vserver * _SIZE)
    latency.total_us += span_us
    word = address_of(latency) + _TIMES + 8 * bucket_of_span(span_us)
    return store64(word, load64(word) + 1)
