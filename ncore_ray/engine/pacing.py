"""The packet processing timer: an engine that breathes at the multiples of a period instead of whenever there is work.

Instants are multiples of the period on the monotonic clock: a late breath makes no later one late, and all engines keep
the same time. At its instant an engine breathes until nothing is left to do. Instants that pass meanwhile are skipped.
"""

from __future__ import annotations

from typing import Annotated, Final

import numpy as np

from ncore_ray.arena.core import Core
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load64, store64
from ncore_ray.machine.record import I64, Record, address_of, offset_of, pointer_to
from ncore_ray.machine.system import now_us, sleep_until

BUCKETS: Final = 20
"""Of errors: 0 µs, 1, 2 to 3, 4 to 7, … µs; the last one has all from 262,144 µs on."""


class Pace(Record):
    """The timer of one engine, and how well it keeps it; in the engine's partition."""

    period_us: I64
    """0: adaptive, the engine breathes as soon as there is work."""
    instant_at: I64
    """The latest instant, µs, or 0."""
    instants: I64
    missed_instants: I64
    """That passed while the engine was at work, or was not let run."""
    error_us: I64
    """By how much breaths began too late, all together."""
    error_max_us: I64
    errors: Annotated[int, np.dtype(("<i8", (BUCKETS,)))]
    """Instants by their error."""


pace_at = pointer_to(Pace)
_ERRORS: Final = offset_of(Pace, "errors")


@kernel
def next_instant(period_us: int, now: int) -> int:
    """Return the first multiple of the period after ``now``."""
    return (now // period_us + 1) * period_us


@kernel
def bucket_of(error_us: int) -> int:
    """Return the bucket of an error: the number of its bits."""
    bucket = 0
    while error_us > 0 and bucket < BUCKETS - 1:
        error_us >>= 1
        bucket += 1
    return bucket


@kernel
def note_instant(pace: Pace, instant_at: int, now: int) -> int:
    """Note that the breath of an instant begins ``now``."""
    error = max(now - instant_at, 0)
    if pace.instant_at:
        pace.missed_instants += max((instant_at - pace.instant_at) // pace.period_us - 1, 0)
    pace.instant_at = instant_at
    pace.instants += 1
    pace.error_us += error
    pace.error_max_us = max(pace.error_max_us, error)
    word = address_of(pace) + _ERRORS + 8 * bucket_of(error)
    return store64(word, load64(word) + 1)


@kernel
def await_instant(core: Core, pace: Pace, now: int, scratch: int) -> int:
    """Sleep until the next instant, whatever comes; return the clock. Who hands over packets need not ring the bell."""
    instant_at = next_instant(pace.period_us, now)
    while now < instant_at:  # a signal may end the sleep early
        core.sleeps += 1
        sleep_until(instant_at, scratch)
        now = now_us(scratch)
    note_instant(pace, instant_at, now)
    return now
