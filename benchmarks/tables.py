"""Results as tables: for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Callable

from rich import box
from rich.table import Table
from rich.text import Text

from benchmarks.harness import Effort, Result, Summary

CPU_NOTE = (
    "CPU/request: user + system time of the proxy's own processes only. CPU, all: client, proxy and server together. "
    "Medians over the rounds; × is the median of the ratios to {base} in the same round."
)


def note(result: Result) -> str:
    """Return how to read the table, and a warning when the machine was not quiet or not steady."""
    text = CPU_NOTE.format(base=result.base)
    busiest = max(m.others_busy for m in result.measurements)
    speeds = [m.calibration_us for m in result.measurements]
    swing = max(speeds) / min(speeds)
    if busiest >= Effort.quiet_below or swing >= _STEADY:
        text += (
            f" The machine was shared: other programs kept up to {busiest:.1f} cores busy, and the speed of a core "
            f"changed by a factor of {swing:.1f}; trust the ratios more than the figures."
        )
    return text


def _micro(value: float) -> str:
    return f"{value:,.0f} µs" if value < 10_000 else f"{value / 1000:,.1f} ms"


def _fine(value: float) -> str:
    return f"{value:.1f} µs" if value else "–"


def _megabytes(value: float) -> str:
    return f"{value / 1e6:,.0f} MB" if value else "–"


_STEADY = 1.25

Column = tuple[str, str, Callable[[float], str], bool]


def _columns(unit: str) -> list[Column]:
    """Return heading, figure, format, and whether the ratio is shown too."""
    return [
        (f"{unit}s/s", "rate", lambda value: f"{value:,.0f}", True),
        ("p50", "p50_us", _micro, True),
        ("p99", "p99_us", _micro, False),
        ("p99.9", "p999_us", _micro, False),
        (f"CPU/{unit}", "cpu_us", _fine, True),
        ("CPU, all", "cpu_all_us", _fine, False),
        ("memory", "memory_bytes", _megabytes, False),
        ("errors", "errors", lambda value: f"{value:.0f}", False),
    ]


def _cells(summary: Summary, columns: list[Column], base: str) -> list[str]:
    cells = []
    for _, figure, shown, with_ratio in columns:
        text = shown(summary.median[figure])
        ratio = summary.ratio.get(figure)
        if with_ratio and summary.peer != base and ratio and summary.median[figure]:
            text += f" ({ratio:.2f}×)"
        cells.append(text)
    return cells


def rich_table(result: Result) -> Table:
    """Return the result for the terminal."""
    columns = _columns(result.unit)
    table = Table(title=result.title, box=box.SIMPLE_HEAD, title_style="bold cyan", title_justify="left")
    table.add_column("case", no_wrap=True)
    table.add_column("peer", no_wrap=True)
    for heading, *_ in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    last = ""
    for summary in result.summaries():
        if last and summary.case != last:
            table.add_section()
        name = "" if summary.case == last else summary.case
        style = "red" if summary.median["errors"] else ""
        peer = Text(summary.peer, style="bold" if summary.peer == result.base else "")
        table.add_row(name, peer, *_cells(summary, columns, result.base), style=style)
        last = summary.case
    table.caption = note(result)
    table.caption_justify = "left"
    return table


def markdown(result: Result) -> str:
    """Return the result for the README."""
    columns = _columns(result.unit)
    lines = [
        "| case | peer | " + " | ".join(heading for heading, *_ in columns) + " |",
        "|---|---|" + "---:|" * len(columns),
    ]
    for summary in result.summaries():
        cells = _cells(summary, columns, result.base)
        lines.append(f"| {summary.case} | {summary.peer} | " + " | ".join(cells) + " |")
    facts = result.facts
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    where = f"{facts['cores']} cores of {facts['processor']}, Linux {facts['kernel']}, {versions}"
    rounds = max(summary.rounds for summary in result.summaries())
    how = f"{rounds} rounds of {result.seconds:g} s each, revision {facts['revision']}, {where}."
    lines += ["", f"{how} {note(result)}", ""]
    return "\n".join(lines)
