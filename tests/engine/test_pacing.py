"""The packet processing timer: instants are multiples of the period, and the histogram tells how late breaths began."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncore_ray.arena.core import Core, core_at
from ncore_ray.config.appliance import TIMER_PERIODS
from ncore_ray.engine.pacing import BUCKETS, Pace, await_instant, bucket_of, next_instant, note_instant, pace_at
from ncore_ray.lab.dry.engine import EngineLab
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.machine.record import new
from ncore_ray.machine.system import monotonic_us
from ncore_ray.management.timers import bound_of, pace_view, quantile_bound, timer_of, timers

TEXT = """
appliance: {name: lab, engines: 2, arena: 64MiB, timer: %s}
nics: [{name: nc0, driver: memory, addresses: [10.1.0.10/24]}]
"""
periods = st.sampled_from(TIMER_PERIODS)
clocks = st.integers(0, 1 << 50)


@entry_kernel
def instant_after(period_us: int, now: int) -> int:
    return next_instant(period_us, now)


@entry_kernel
def bucket(error_us: int) -> int:
    return bucket_of(error_us)


@entry_kernel
def note(pace_address: int, instant_at: int, now: int) -> int:
    return note_instant(pace_at(pace_address), instant_at, now)


@entry_kernel
def wait(core_address: int, pace_address: int, now: int, scratch: int) -> int:
    return await_instant(core_at(core_address), pace_at(pace_address), now, scratch)


@given(periods, clocks)
def test_next_instant_is_the_first_multiple_after_now(period: int, now: int) -> None:
    instant = instant_after(period, now)
    assert instant % period == 0
    assert now < instant <= now + period


@given(periods, clocks, st.integers(1, 100))
def test_instants_do_not_drift(period: int, start: int, late: int) -> None:
    """However late within the period each breath begins, the hundredth instant is where it belongs."""
    instant = instant_after(period, start)
    first = instant
    for turn in range(100):
        instant = instant_after(period, instant + (late * turn) % period)
    assert instant == first + 100 * period


@given(st.integers(0, 1 << 40))
def test_bucket_has_errors_from_half_its_bound_on(error: int) -> None:
    found = bucket(error)
    assert 0 <= found < BUCKETS
    assert error <= bound_of(found) or found == BUCKETS - 1
    assert found == 0 or error > bound_of(found - 1)


def test_histogram_is_that_of_the_errors_and_missed_instants_are_counted() -> None:
    seed = 20261126
    chance = random.Random(seed)
    lab = EngineLab(TEXT % "5ms")
    pace, address = pace_view(lab.array, 1), lab.base + lab.engine(1).pace
    errors, missed, instant = Counter[int](), 0, 1_000_000
    for _ in range(500):
        skipped = chance.choice((0, 0, 0, 1, 7))
        error = int(chance.expovariate(0.001))
        instant += 5_000 * (1 + skipped)
        note(address, instant, instant + error)
        missed += skipped if pace.instants > 1 else 0
        errors[error.bit_length()] += 1
    found = timer_of(lab.array, 1)
    assert found["errors"] == [errors[number] for number in range(BUCKETS)], f"seed {seed}"
    assert (found["instants"], found["missed_instants"], found["period_us"]) == (500, missed, 5_000)
    assert found["error_max_us"].bit_length() == max(errors)
    assert timers(lab.array).keys() == {"engine-0", "engine-1"}
    assert timer_of(lab.array, 0)["instants"] == 0


def test_adaptive_engines_have_no_timer() -> None:
    assert timers(EngineLab(TEXT % "adaptive").array) == {}


@pytest.mark.parametrize(
    ("errors", "share", "bound"),
    [([], 0.95, 0), ([0, 0, 0], 0.95, 0), ([95, 5, 0], 0.95, 0), ([94, 6, 0], 0.95, 1), ([0, 0, 0, 1], 0.5, 7)],
)
def test_quantile_is_a_bound(errors: list[int], share: float, bound: int) -> None:
    assert quantile_bound(errors, share) == bound


def test_waiting_ends_at_the_instant_and_not_before() -> None:
    """The clock is the real one: nothing is said of how late it may be."""
    memory, pace, pace_address = new(Pace)
    core_memory, core, core_address = new(Core)
    scratch = np.zeros(2, np.int64)
    pace.period_us = 1_000
    for turn in range(1, 6):
        before = monotonic_us()
        after = wait(core_address, pace_address, before, scratch.ctypes.data)
        assert before < pace.instant_at <= after <= monotonic_us()
        assert pace.instant_at % 1_000 == 0
        assert (pace.instants, core.sleeps, core.asleep) == (turn, turn, 0)
    del memory, core_memory
