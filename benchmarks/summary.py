"""The one table that says it all: a row per goal, made from the kept results (``results/*.json``)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from benchmarks.goals import REASONS, Goal
from benchmarks.units import FORMATS, figure_name

Kept = Mapping[str, dict[str, Any]]
"""Results as JSON values, by scenario."""
_HEADINGS: Final = ("scenario", "figure", "appliance", "HAProxy", "nginx", "no proxy", "ratio", "wanted", "reached")
_OTHERS: Final = ("haproxy", "nginx", "direct")
_NONE: Final = "–"
_USUAL_BASE: Final = "haproxy"


def goal_of(verdict: Mapping[str, Any]) -> Goal:
    """Return the goal of a kept verdict."""
    return Goal(verdict["figure"], verdict["at_least"], verdict["at_most"], verdict["placement"])


def _shown(result: Mapping[str, Any], case: str, peer: str, figure: str) -> str:
    """Return the median of a figure as text."""
    for row in result["medians"]:
        if (row["case"], row["peer"]) == (case, peer) and row["median"][figure]:
            return FORMATS[figure](row["median"][figure])
    return _NONE


def _wire_rows(result: Mapping[str, Any]) -> Iterable[list[str]]:
    for verdict in result["verdicts"]:
        case, figure, peer = verdict["case"], verdict["figure"], verdict["peer"]
        what = figure_name(figure, result["unit"])
        if verdict["placement"]:
            what += f", placement {verdict['placement']}"
        yield [
            f"{result['title']}, {case}",
            what,
            f"{_shown(result, case, peer, figure)} ({peer.removeprefix('ncore-')})",
            *(_shown(result, case, other, figure) for other in _OTHERS),
            f"{verdict['ratio']:.2f} ×" + ("" if result["base"] == _USUAL_BASE else f" {result['base']}"),
            str(goal_of(verdict)),
            _answer(verdict["reached"]),
        ]


def _answer(reached: bool) -> str:
    return "yes" if reached else f"no ([why](docs/{REASONS}))"


def _memory_rows(result: Mapping[str, Any]) -> Iterable[list[str]]:
    for target in result.get("targets", []):
        answer = _answer(target["reached"])
        yield [result["title"], target["what"], target["found"], *[_NONE] * 4, target["wanted"], answer]


def summary_rows(results: Kept, order: Iterable[str]) -> list[list[str]]:
    """Return the cells of the table, scenarios in the given order."""
    rows: list[list[str]] = []
    for name in order:
        if name in results:
            kept = results[name]
            rows += _wire_rows(kept) if "verdicts" in kept else _memory_rows(kept)
    return rows


def summary_table(results: Kept, order: Iterable[str]) -> str:
    """Return the table as Markdown."""
    lines = [f"| {' | '.join(_HEADINGS)} |", "|---|---|" + "---:|" * (len(_HEADINGS) - 3) + "---|"]
    lines += [f"| {' | '.join(row)} |" for row in summary_rows(results, order)]
    return "\n".join(lines)


def fill(text: str, contents: Mapping[str, str]) -> str:
    """Put contents between the markers ``<!-- bench:NAME -->`` and ``<!-- /bench -->``; names without one are kept."""

    def put(found: re.Match[str]) -> str:
        begin, name, end = found.group(1), found.group(2), found.group(4)
        return f"{begin}{contents[name].strip()}\n{end}" if name in contents else found.group(0)

    return re.sub(r"(<!-- bench:(\w+) -->\n)(.*?)(<!-- /bench -->)", put, text, flags=re.DOTALL)
