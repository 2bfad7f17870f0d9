"""Scenarios without a wire: parts of the appliance measured by themselves, over NICs in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from rich import box
from rich.table import Table

from benchmarks.tables import where


@dataclass(frozen=True)
class Target:
    """What was wanted, what came of it, and whether that is enough."""

    what: str
    wanted: str
    found: str
    is_met: bool

    def __str__(self) -> str:
        return f"{self.what}: {self.found}, wanted {self.wanted}: {'reached' if self.is_met else 'not reached'}"

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"what": self.what, "wanted": self.wanted, "found": self.found, "reached": self.is_met}


@dataclass
class MemoryResult:
    """A table, what was wanted of it, and how to read it."""

    scenario: str
    title: str
    headings: list[str]
    rows: list[list[str]]
    targets: list[Target]
    note: str
    figures: dict[str, Any]
    """The same as numbers."""
    facts: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        head = {"scenario": self.scenario, "title": self.title, "facts": self.facts, "note": self.note}
        targets = [target.as_json() for target in self.targets]
        return {**head, "targets": targets, "figures": self.figures, "headings": self.headings, "rows": self.rows}

    def rich_table(self) -> Table:
        """Return the result for the terminal."""
        table = Table(title=self.title, box=box.SIMPLE_HEAD, title_style="bold cyan", title_justify="left")
        for place, heading in enumerate(self.headings):
            table.add_column(heading, justify="right" if place else "left", no_wrap=True)
        for row in self.rows:
            table.add_row(*row)
        table.caption = "\n".join([self.note, *map(str, self.targets)])
        table.caption_justify = "left"
        return table

    def markdown(self) -> str:
        """Return the result for the documentation."""
        lines = [f"| {' | '.join(self.headings)} |", "|---|" + "---:|" * (len(self.headings) - 1)]
        lines += [f"| {' | '.join(row)} |" for row in self.rows]
        lines += ["", *(f"- {target}" for target in self.targets)]
        return "\n".join([*lines, "", f"{self.note} Measured with {where(self.facts)}", ""])


class MemoryScenario(Protocol):
    """One file of this folder."""

    name: str
    title: str

    def run(self, rounds: int) -> MemoryResult:
        """Measure so many times; the medians count."""
