"""Histograms of each vServer and service at each engine: how long responses take.

The time begins when a request's head has been read whole. It ends when the head of the final response is queued for the
client (for the vServer, and for the service that answered): the choice of a server, a new connection to it, the
request's way, what the server needs, and the way back. A second histogram of the vServer ends when the last byte is
queued, which a client that reads slowly puts off. Responses that the appliance makes itself are in none, and what is
cut off, or becomes a tunnel, has no last byte. The clock is that of the breaths and is noted in steps of 8 µs, so a
span is exact to a breath's length and 8 µs. Two buckets for each power of two, from 16 µs to 67 s.
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
from ncore_ray.machine.record import I64, Record, offset_of, pointer_to, size_of

FIRST_BITS: Final = 4
"""The first bucket has all spans below 2⁴ µs."""
OCTAVES: Final = 22
BUCKETS: Final = 2 * OCTAVES + 2
"""... the last one all from 2²⁶ µs on."""
STEP_BITS: Final = 3
_STEPS: Final = 0x7FFF_FFFF
"""Noted instants are 31 bits of steps: spans of up to four hours are told apart."""


class Latency(Record):
    """Of one vServer or service at one engine."""

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
def note_answered(engine: Engine, client: Tcb, server: Tcb, exchange: Exchange) -> int:
    """The head of its final response is queued."""
    span_us = _span_since(engine, exchange)
    place = 8 * bucket_of_span(span_us)
    if CHECKED:
        check_index(client.vserver, arena_at(base_of(engine)).vserver_count)
        check_index(server.service, arena_at(base_of(engine)).service_count)
    _add(base_of(engine) + engine.latencies + client.vserver * _SIZE, span_us, place)
    return _add(base_of(engine) + engine.service_latencies + server.service * _SIZE, span_us, place)


@kernel
def note_whole(engine: Engine, client: Tcb, exchange: Exchange) -> int:
    """The last byte of its response is queued."""
    span_us = _span_since(engine, exchange)
    if CHECKED:
        check_index(client.vserver, arena_at(base_of(engine)).vserver_count)
    return _add(base_of(engine) + engine.whole_latencies + client.vserver * _SIZE, span_us, 8 * bucket_of_span(span_us))


@kernel
def _span_since(engine: Engine, exchange: Exchange) -> int:
    return (((engine.now >> STEP_BITS) - exchange.asked_at) & _STEPS) << STEP_BITS


@kernel
def _add(histogram: int, span_us: int, place: int) -> int:
    """Count a response in the bucket that lies at a place behind the first one."""
    latency_at(histogram).total_us += span_us
    word = histogram + _TIMES + place
    return store64(word, load64(word) + 1)
