"""The table of `ncore stat` that shows how well engines keep the packet processing timer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from ncore_ray.cli.figures import bar

if TYPE_CHECKING:
    from rich.table import Table

_BAR: Final = 8


def timer_tables(timers: Mapping[str, Mapping[str, Any]]) -> list[Table]:
    """Return a table with a column for each engine that has a timer, or none."""
    from ncore_ray.cli.output import new_table

    if not timers:
        return []
    table = new_table("packet processing timer: how late the breaths began")
    table.add_column("instants")
    for name in timers:
        table.add_column(name, justify="right", no_wrap=True)
    for title, cells in [*_head_rows(list(timers.values())), *_histogram([row["errors"] for row in timers.values()])]:
        table.add_row(title, *cells)
    return [table]


def _head_rows(timers: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    return [
        ("period", [f"{timer['period_us'] // 1000} ms" for timer in timers]),
        ("number", [f"{timer['instants']:,}" for timer in timers]),
        ("missed (at work)", [f"{timer['missed_instants']:,}" for timer in timers]),
        ("error, mean", [_error(timer["error_mean_us"], timer["period_us"]) for timer in timers]),
        ("error, 95 % below", [_error(timer["error_p95_us"], timer["period_us"]) for timer in timers]),
        ("error, largest", [_error(timer["error_max_us"], timer["period_us"]) for timer in timers]),
    ]


def _error(error_us: float, period_us: int) -> str:
    return f"{error_us:,.0f} µs = {100 * error_us / period_us:.1f} %"


def _histogram(columns: Sequence[Sequence[int]]) -> list[tuple[str, list[str]]]:
    """Return a row for each size of error, from the least to the largest that there was."""
    used = [bucket for bucket in range(len(columns[0])) if any(errors[bucket] for errors in columns)]
    buckets = range(used[0], used[-1] + 1) if used else range(0)
    last = len(columns[0]) - 1
    return [(_size(bucket, last), [_share(errors[bucket], sum(errors)) for errors in columns]) for bucket in buckets]


def _size(bucket: int, last: int) -> str:
    low = 1 << bucket - 1 if bucket else 0
    if bucket == last:
        return f"{low:,} µs and more"
    return f"{low:,} µs" if bucket < 2 else f"{low:,} to {(1 << bucket) - 1:,} µs"


def _share(count: int, total: int) -> str:
    share = count / max(total, 1)
    return f"{count:,} {bar(share, _BAR)} {100 * share:5.1f} %"
