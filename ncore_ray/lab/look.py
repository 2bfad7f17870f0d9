"""Common looks of the demo: colours, numbers, bars."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

ACCENT = "cyan"
GOOD = "green"
BAD = "bold red"
SOFT = "bright_black"
_SPARKS = "▁▂▃▄▅▆▇█"
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def count(value: float) -> str:
    """Return a whole number with thin groups of thousands: 1,234,567."""
    return f"{value:,.0f}"


def size(value: float) -> str:
    """Return a number of bytes in the fitting unit."""
    for unit in ("B", "KB", "MB"):
        if abs(value) < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.2f} GB"


def bit_rate(value: float) -> str:
    """Return bits per second in the fitting unit."""
    return f"{value / 1e9:.2f} Gbit/s" if value >= 1e9 else f"{value / 1e6:.0f} Mbit/s"


def latency(value_us: float) -> str:
    """Return a latency given in µs, with three significant figures or so."""
    if value_us < 1000:
        return f"{value_us:.0f} µs"
    return f"{value_us / 1000:.2f} ms" if value_us < 100_000 else f"{value_us / 1000:.0f} ms"


def core(number: int | None) -> str:
    """Return a core's number, or a dash where there is none."""
    return "–" if number is None else str(number)


def bar(share: float, width: int, style: str = ACCENT) -> Text:
    """Return a horizontal bar of a share from 0 to 1, in eighths of a cell."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    full, rest = divmod(eighths, 8)
    filled = "█" * full + (_EIGHTHS[rest] if rest else "")
    return Text.assemble((filled, style), ("·" * (width - len(filled)), SOFT))


def sparkline(values: Sequence[float], width: int) -> Text:
    """Return the last values as a line of small bars that fills ``width`` cells from the right."""
    shown = list(values)[-width:]
    highest = max(shown, default=0.0) or 1.0
    marks = "".join(_SPARKS[round(value / highest * (len(_SPARKS) - 1))] for value in shown)
    return Text.assemble((" " * (width - len(shown)), SOFT), (marks, ACCENT))


def table(title: str, *columns: str) -> Table:
    """Return an empty table of the house's style; columns are right-aligned unless they begin with ``<``."""
    made = Table(
        title=title,
        box=box.SIMPLE_HEAD,
        title_justify="left",
        title_style=f"bold {ACCENT}",
        header_style="bold",
        border_style=SOFT,
        pad_edge=False,
        show_edge=False,
        padding=(0, 2, 0, 0),
        expand=True,
    )
    for column in columns:
        left = column.startswith("<")
        made.add_column(column.lstrip("<"), justify="left" if left else "right", no_wrap=True)
    return made
