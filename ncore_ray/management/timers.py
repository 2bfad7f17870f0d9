"""How well the engines keep the packet processing timer, read from the arena."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes
from ncore_ray.engine.pacing import Pace
from ncore_ray.engine.partition import Engine
from ncore_ray.machine.record import view


def pace_view(array: Bytes, index: int) -> Pace:
    """Return the live record of an engine's timer."""
    arena = view(Arena, array)
    return view(Pace, array, view(Engine, array, arena.engines + index * arena.engine_stride).pace)


def bound_of(bucket: int) -> int:
    """Return the largest error, µs, that a bucket stands for (the last one has all larger ones as well)."""
    return (1 << bucket) - 1


def quantile_bound(errors: Sequence[int], share: float) -> int:
    """Return an error, µs, that at least a share of the instants does not exceed; 0 without any."""
    wanted, seen = share * sum(errors), 0
    for bucket, count in enumerate(errors):
        seen += count
        if seen >= wanted:
            return bound_of(bucket)
    return 0


def timer_of(array: Bytes, index: int) -> dict[str, Any]:
    """Return the timer of an engine: its period and the histogram of the actual instants' errors."""
    pace = pace_view(array, index)
    errors = [int(count) for count in pace.errors]  # type: ignore[attr-defined]
    return {
        "period_us": pace.period_us,
        "instants": pace.instants,
        "missed_instants": pace.missed_instants,
        "error_mean_us": round(pace.error_us / max(pace.instants, 1), 1),
        "error_max_us": pace.error_max_us,
        "error_p95_us": min(quantile_bound(errors, 0.95), pace.error_max_us),
        "errors": errors,
    }


def timers(array: Bytes) -> dict[str, dict[str, Any]]:
    """Return the timers of the engines that have one, by the names of the actors."""
    engines = range(view(Arena, array).engine_count)
    return {f"engine-{index}": timer_of(array, index) for index in engines if pace_view(array, index).period_us}
