"""The picture of `ncore stat --history`: the last samples of the main counters, and curves of all of them."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from ncore_ray.cli.figures import bits, rate, sparkline
from ncore_ray.errors import NcoreError

if TYPE_CHECKING:
    from rich.table import Table

_UNITS: Final = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_LAST: Final = 12
"""Samples that are shown as figures."""
_CURVE: Final = 60
_COLUMNS: Final = (
    ("requests\n/s", "requests", rate),
    ("conn.\nnew/s", "new_connections", rate),
    ("conn.\nopen", "connections", rate),
    ("from\nclients", "received_bytes", bits),
    ("to\nclients", "sent_bytes", bits),
    ("errors\n/s", "errors", rate),
    ("packets\nin/s", "received_packets", rate),
    ("packets\nout/s", "sent_packets", rate),
    ("drops\n/s", "dropped_packets", rate),
)


def seconds_of(text: str, option: str) -> float:
    """Return a span of an option in seconds: ``90s``, ``15m``, ``6h``. Raises NcoreError."""
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(s|m|min|h|d)", text)
    if match is None or float(match[1]) == 0:
        raise NcoreError(f"{option}: found {text}, expected a span such as 90s, 15m or 6h")
    return float(match[1]) * _UNITS[match[2]]


def history_table(found: Mapping[str, Any]) -> Table:
    """Return a table with the latest samples, and below them a curve of each column."""
    from ncore_ray.cli.output import new_table

    samples: Sequence[Mapping[str, Any]] = found["samples"]
    table = new_table(f"{len(samples)} samples, {found['period_s']} s from one to the next")
    table.add_column("until", no_wrap=True)
    for title, _, _ in _COLUMNS:
        table.add_column(title, justify="right", no_wrap=True)
    for sample in samples[-_LAST:]:
        clock = time.strftime("%H:%M:%S", time.localtime(sample["at"]))
        table.add_row(clock, *(form(sample.get(key, 0.0)) for _, key, form in _COLUMNS))
    if len(samples) > 1:
        table.add_section()
        table.add_row("all", *(_curve(samples, key) for _, key, _ in _COLUMNS), style="green")
    return table


def _curve(samples: Sequence[Mapping[str, Any]], key: str) -> str:
    """Return a curve of one counter over all samples, of few enough bars that all columns fit."""
    values = [float(sample.get(key, 0.0)) for sample in samples]
    width = min(len(values), _CURVE // len(_COLUMNS) + 2)
    step = len(values) / width
    parts = [values[int(k * step) : max(int((k + 1) * step), int(k * step) + 1)] for k in range(width)]
    return sparkline([sum(part) / len(part) for part in parts])
