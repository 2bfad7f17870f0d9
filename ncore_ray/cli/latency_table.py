"""The tables of `ncore stat` that show how long clients wait for responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.table import Table

Found = Mapping[str, Mapping[str, Any]]
_COLUMNS: Final = (
    ("mean", "mean_us"),
    ("50 %", "p50_us"),
    ("90 %", "p90_us"),
    ("99 %", "p99_us"),
    ("99.9 %", "p999_us"),
)


def latency_tables(vservers: Found, services: Found) -> list[Table]:
    """Return a table for each kind of times: to the head and the end of a response, and by service; or none."""
    whole = {name: row["whole"] for name, row in vservers.items() if row["whole"]["responses"]}
    kinds = (
        ("vServer", "from the head of a request to the head of its response; so many are quicker", vservers),
        ("vServer", "from the head of a request to the last byte of its response", whole),
        ("service", "from the head of a request to the head of its response", services),
    )
    return [_table(*kind) for kind in kinds if kind[2]]


def _table(subject: str, title: str, found: Found) -> Table:
    from ncore_ray.cli.output import new_table

    table = new_table(title)
    table.add_column(subject, style="bold")
    for column in ("responses", *(title for title, _ in _COLUMNS)):
        table.add_column(column, justify="right", no_wrap=True)
    for name, row in found.items():
        table.add_row(name, f"{row['responses']:,}", *(shown(row[key]) for _, key in _COLUMNS))
    return table


def shown(span_us: float) -> str:
    """Return a span for people: ``170 µs``, ``2.4 ms``, ``1.20 s``."""
    if span_us < 1_000:
        return f"{span_us:.0f} µs"
    return f"{span_us / 1_000:.1f} ms" if span_us < 1_000_000 else f"{span_us / 1_000_000:.2f} s"
