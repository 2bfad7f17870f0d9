"""The table of `ncore stat` that shows how long clients wait for the first byte of a response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.table import Table

_COLUMNS: Final = (
    ("mean", "mean_us"),
    ("50 %", "p50_us"),
    ("90 %", "p90_us"),
    ("99 %", "p99_us"),
    ("99.9 %", "p999_us"),
)


def latency_tables(found: Mapping[str, Mapping[str, Any]]) -> list[Table]:
    """Return a table with a row for each vServer that has answered, or none."""
    from ncore_ray.cli.output import new_table

    if not found:
        return []
    table = new_table("from the head of a request to the head of its response; so many are quicker")
    table.add_column("vServer", style="bold")
    for title in ("responses", *(title for title, _ in _COLUMNS)):
        table.add_column(title, justify="right", no_wrap=True)
    for name, row in found.items():
        table.add_row(name, f"{row['responses']:,}", *(shown(row[key]) for _, key in _COLUMNS))
    return [table]


def shown(span_us: float) -> str:
    """Return a span for people: ``170 µs``, ``2.4 ms``, ``1.20 s``."""
    if span_us < 1_000:
        return f"{span_us:.0f} µs"
    return f"{span_us / 1_000:.1f} ms" if span_us < 1_000_000 else f"{span_us / 1_000_000:.2f} s"
