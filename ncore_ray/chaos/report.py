"""The report of a run: Markdown and JSON for files, a table for the terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from ncore_ray.chaos.run import Outcome
from ncore_ray.errors import NcoreError
from ncore_ray.lab import look
from ncore_ray.lab.report import check_table


def markdown(outcome: Outcome) -> str:
    """Return the report as Markdown."""
    found, stall = outcome.plain(), outcome.plain()["stalls_s"]
    lines = [f"# Chaos in {outcome.appliance}", "", _summary(found), ""]
    lines += ["| check | passed | found |", "|---|---|---|"]
    lines += [f"| {one.name} | {'yes' if one.passed else '**no**'} | {_cell(one.detail)} |" for one in outcome.checks]
    lines += ["", "| at | fault | flows | back after | said |", "|---:|---|---:|---:|---|"]
    first = outcome.faults[0].at if outcome.faults else 0.0
    for fault in outcome.faults:
        back = "–" if fault.repaired_s is None else f"{fault.repaired_s * 1000:.0f} ms"
        lines.append(
            f"| {fault.at - first:.1f} s | {fault.what} {fault.actor} | {len(fault.flows):,} | {back} |"
            f" {_cell(fault.said)} |"
        )
    if stall["flows"]:
        spans = ", ".join(f"{name} {_ms(stall[name])}" for name in ("p50", "p90", "p99", "max"))
        lines += ["", f"Stalls of {stall['flows']:,} flows of actors that were struck: {spans}."]
    if outcome.engines:
        lines += ["", _flows(outcome)]
    return "\n".join(lines) + "\n"


def _flows(outcome: Outcome) -> str:
    """Return what each engine had of the flows: where clients wait for their answers, the slower one holds more."""
    parts = [f"{name} {began:,} began, {held:.0f} at a time" for name, (began, held) in outcome.engines.items()]
    return f"Flows: {'; '.join(parts)}."


def _summary(found: dict[str, Any]) -> str:
    plan = found["plan"]
    verdict = "All checks passed" if found["passed"] else "A check failed"
    words = f"{verdict}: {len(found['faults'])} faults in {found['seconds']:.0f} s (seed {plan['seed']})"
    if found["downloads"]:
        words += f", {found['whole']:,} of {found['downloads']:,} downloads whole, {found['bytes'] / 1e6:,.0f} MB"
    return words + "."


def _ms(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds * 1000:.0f} ms"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def table(outcome: Outcome) -> RenderableType:
    """Return the report for the terminal."""
    made = look.table("Faults", "at", "<fault", "flows", "back", "<said")
    first = outcome.faults[0].at if outcome.faults else 0.0
    for fault in outcome.faults:
        cells = (f"{fault.at - first:.1f} s", f"{fault.what} {fault.actor}", look.count(len(fault.flows)))
        made.add_row(*cells, _ms(fault.repaired_s), Text(fault.said, style=look.SOFT))
    summary = Text(_summary(outcome.plain()), style="bold" if outcome.passed else look.BAD)
    flows = Text(_flows(outcome) if outcome.engines else "", style=look.SOFT)
    return Group(made, Text(), check_table(outcome.checks), Text(), flows, summary)


def write(outcome: Outcome, path: Path) -> None:
    """Write the report to a file: JSON if it is called so, else Markdown. Raises NcoreError."""
    text = json.dumps(outcome.plain(), indent=1, ensure_ascii=False) if path.suffix == ".json" else markdown(outcome)
    try:
        path.write_text(text)
    except OSError as error:
        raise NcoreError(f"{path} cannot be written: {error.strerror}") from None
