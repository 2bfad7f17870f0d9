"""How long clients wait for a response, read from the arena's histograms."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes
from ncore_ray.engine.latency.bounds import quantile_us
from ncore_ray.engine.latency.histogram import BUCKETS, Latency
from ncore_ray.machine.record import table, view
from ncore_ray.management.counters import engine_view
from ncore_ray.management.directory import Row

_SHARES = {"p50_us": 0.5, "p90_us": 0.9, "p99_us": 0.99, "p999_us": 0.999}


def latencies(array: Bytes, rows: Iterable[Row]) -> dict[str, dict[str, Any]]:
    """Return the times of each vServer that has answered: of all engines together, and the numbers of each.

    Those are to the head of the response; ``whole`` are to its last byte.
    """
    named = [row for row in rows if not row.draining]
    whole = _of(array, "whole_latencies", named)
    return {
        name: row | {"whole": whole.get(name) or summary([0] * BUCKETS, 0)}
        for name, row in _of(array, "latencies", named).items()
    }


def service_latencies(array: Bytes, rows: Iterable[Row]) -> dict[str, dict[str, Any]]:
    """Return the times of each service that has answered, to the head of the response."""
    return _of(array, "service_latencies", [row for row in rows if not row.draining])


def _of(array: Bytes, region: str, rows: Iterable[Row]) -> dict[str, dict[str, Any]]:
    arena = view(Arena, array)
    count = arena.service_count if region.startswith("service") else arena.vserver_count
    tables = [
        table(Latency, array, getattr(engine_view(array, engine), region), count)
        for engine in range(arena.engine_count)
    ]
    found = {}
    for row in rows:
        times = np.array([one["times"][row.number] for one in tables], np.int64)
        if times.any():
            total_us = sum(int(one["total_us"][row.number]) for one in tables)
            found[row.name] = summary(times.sum(axis=0).tolist(), total_us) | {
                "engines": {f"engine-{engine}": int(one.sum()) for engine, one in enumerate(times)}
            }
    return found


def summary(times: list[int], total_us: int) -> dict[str, Any]:
    """Return what a histogram says: number, mean and quantiles in µs, and its buckets."""
    count = sum(times)
    quantiles = {name: round(quantile_us(times, share), 1) for name, share in _SHARES.items()}
    return {"responses": count, "mean_us": round(total_us / max(count, 1), 1), **quantiles, "times": times}
