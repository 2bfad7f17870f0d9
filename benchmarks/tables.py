"""Results as tables: for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rich import box
from rich.table import Table
from rich.text import Text

from benchmarks.goals import REASONS
from benchmarks.harness import Effort
from benchmarks.result import Result, Summary
from benchmarks.units import FORMATS, figure_name

CPU_NOTE = (
    "CPU/{unit}: user + system time of the proxy's own processes only. CPU, all: client, proxy and server together. "
    "Medians over the rounds; × is the median of the ratios to {base} in the same round."
)
_STEADY = 1.25
_MISSED: Final = "not reached (docs/performance.md says why)"
_MISSED_LINK: Final = f"not reached ([why]({REASONS}))"
_SHOWN: Final = (
    *("rate", "p50_us", "p99_us", "p999_us", "cpu_us", "cpu_all_us"),
    *("memory_each", "kernel_each", "memory_bytes", "errors"),
)
_WITH_RATIO: Final = ("rate", "p50_us", "cpu_us", "memory_each")


def note(result: Result) -> str:
    """Return how to read the table, what was left out, and a warning when the machine was not quiet or not steady."""
    text = CPU_NOTE.format(unit=result.unit, base=result.base)
    busiest = max((m.others_busy for m in result.measurements), default=0.0)
    speeds = [m.calibration_us for m in result.measurements] or [1.0]
    swing = max(speeds) / min(speeds)
    if busiest >= Effort.quiet_below or swing >= _STEADY:
        text += (
            f" The machine was shared: other programs kept up to {busiest:.1f} cores busy, and the speed of a core "
            f"changed by a factor of {swing:.1f}; trust the ratios more than the figures."
        )
    if result.failures:
        text += (
            " Left out: " + "; ".join(dict.fromkeys(failure.partition("\n")[0] for failure in result.failures)) + "."
        )
    return text


def _figures(summaries: Sequence[Summary]) -> list[str]:
    """Return the figures that say anything here, in order."""
    return [name for name in _SHOWN if name == "errors" or any(row.median[name] for row in summaries)]


def _cells(summary: Summary, figures: list[str], base: str) -> list[str]:
    cells = []
    for figure in figures:
        text = FORMATS[figure](summary.median[figure])
        ratio = summary.ratio.get(figure)
        if figure in _WITH_RATIO and summary.peer != base and ratio and summary.median[figure]:
            text += f" ({ratio:.2f}×)"
        cells.append(text)
    return cells


def rich_table(result: Result) -> Table:
    """Return the result for the terminal."""
    summaries = result.summaries()
    figures = _figures(summaries)
    table = Table(title=result.title, box=box.SIMPLE_HEAD, title_style="bold cyan", title_justify="left")
    table.add_column("case", no_wrap=True)
    table.add_column("peer", no_wrap=True)
    for figure in figures:
        table.add_column(_heading(figure, result.unit), justify="right", no_wrap=True)
    last = ""
    for summary in summaries:
        if last and summary.case != last:
            table.add_section()
        name = "" if summary.case == last else summary.case
        style = "red" if summary.median["errors"] else ""
        peer = Text(summary.peer, style="bold" if summary.peer == result.base else "")
        table.add_row(name, peer, *_cells(summary, figures, result.base), style=style)
        last = summary.case
    table.caption = "\n".join([note(result), *_verdict_lines(result)])
    table.caption_justify = "left"
    return table


def _heading(figure: str, unit: str) -> str:
    return figure if figure == "errors" else figure_name(figure, unit)


def _verdict_lines(result: Result) -> list[str]:
    """Return one line per goal: what, by whom, how much of what was wanted."""
    lines = []
    for verdict in result.verdicts():
        what = f"{verdict.case}, {figure_name(verdict.goal.figure, result.unit)}"
        if verdict.goal.placement:
            what += f", placement {verdict.goal.placement}"
        reached = "reached" if verdict.is_met else _MISSED
        lines.append(f"{what}: {verdict.ratio:.2f} × {result.base} ({verdict.peer}), wanted {verdict.goal}: {reached}")
    return lines


def markdown(result: Result) -> str:
    """Return the result for the documentation."""
    summaries = result.summaries()
    figures = _figures(summaries)
    headings = [_heading(figure, result.unit) for figure in figures]
    lines = ["| case | peer | " + " | ".join(headings) + " |", "|---|---|" + "---:|" * len(figures)]
    for summary in summaries:
        cells = _cells(summary, figures, result.base)
        lines.append(f"| {summary.case} | {summary.peer} | " + " | ".join(cells) + " |")
    lines += ["", *(f"- {line.replace(_MISSED, _MISSED_LINK)}" for line in _verdict_lines(result))]
    rounds = max((summary.rounds for summary in summaries), default=0)
    segments = "large segments as Linux has them" if result.large_segments else "no frame larger than the MTU"
    how = f"{rounds} rounds of {result.seconds:g} s each, {segments}, {where(result.facts)}"
    lines += ["", f"{how} {note(result)}", ""]
    return "\n".join(lines)


def where(facts: dict[str, Any]) -> str:
    """Return in one sentence on what something was measured."""
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    return (
        f"revision {facts['revision']}, {facts['cores']} cores of {facts['processor']}, Linux {facts['kernel']}, "
        f"{versions}."
    )
