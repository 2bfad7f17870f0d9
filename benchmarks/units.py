"""How figures are written: headings and values, for tables, the README and plots."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_PER_SECOND: Final = {"MB": "MB/s", "idle connection": "opened/s"}
NAMES: Final = {
    "rate": "rate",
    "p50_us": "p50",
    "p99_us": "p99",
    "p999_us": "p99.9",
    "cpu_us": "CPU",
    "cpu_all_us": "CPU, all",
    "memory_bytes": "memory",
    "memory_each": "memory each",
    "kernel_each": "kernel, all hosts",
}


def rate_heading(unit: str) -> str:
    """Return what a rate is called: ``requests/s``, ``MB/s``."""
    return _PER_SECOND.get(unit, f"{unit}s/s")


def count(value: float) -> str:
    """Return a rate or a number of things."""
    return f"{value:,.0f}"


def micro(value: float) -> str:
    """Return a latency in µs."""
    if not value:
        return "–"
    return f"{value:,.0f} µs" if value < 10_000 else f"{value / 1000:,.1f} ms"


def fine(value: float) -> str:
    """Return CPU time in µs."""
    if not value:
        return "–"
    return f"{value:.1f} µs" if value < 1000 else f"{value / 1000:,.1f} ms"


def size(value: float) -> str:
    """Return bytes."""
    if not value:
        return "–"
    return f"{value / 1e6:,.0f} MB" if abs(value) >= 1e6 else f"{value / 1e3:,.1f} kB"


FORMATS: Final[dict[str, Callable[[float], str]]] = {
    "rate": count,
    "p50_us": micro,
    "p99_us": micro,
    "p999_us": micro,
    "cpu_us": fine,
    "cpu_all_us": fine,
    "memory_bytes": size,
    "memory_each": size,
    "kernel_each": size,
    "errors": count,
}


def figure_name(figure: str, unit: str) -> str:
    """Return what a figure is called in a scenario of a unit: ``requests/s``, ``CPU/request``."""
    if figure == "rate":
        return rate_heading(unit)
    return f"CPU/{unit}" if figure == "cpu_us" else NAMES[figure]
