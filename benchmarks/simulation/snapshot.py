"""The figures as they were when they were last accepted, in git beside the code that makes them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

from benchmarks.simulation.tables import Table

SNAPSHOT: Final = Path(__file__).with_name("snapshot.json")
DOCUMENT: Final = SNAPSHOT.parents[2] / "docs" / "tcp.md"
MARKED: Final = re.compile("(<!-- simulation -->)\n(.*?\n?)(<!-- /simulation -->)", re.DOTALL)
TOLERANCE: Final = 0.02
"""Another libm may round a cubic root differently, and one packet may then go out a tick later."""
Figures = dict[str, dict[str, float]]
"""Row → column → figure."""


def load() -> dict[str, Figures]:
    """Return the accepted figures of all tables."""
    found: dict[str, Figures] = json.loads(SNAPSHOT.read_text())
    return found


def save(tables: dict[str, Figures]) -> None:
    """Accept the figures of some tables, and keep those of the others."""
    known = load() if SNAPSHOT.exists() else {}
    SNAPSHOT.write_text(json.dumps(known | tables, indent=1, ensure_ascii=False) + "\n")


def differs(accepted: float, found: float) -> bool:
    """Return whether a figure is another one than was accepted."""
    return abs(found - accepted) > TOLERANCE * max(abs(accepted), 1e-9)


def markdown(table: Table, figures: Figures) -> str:
    """Return a table of accepted figures for the documentation."""
    columns = list(dict.fromkeys(cell.column for cell in table.cells))
    unit = f" ({table.unit})" if table.unit else ""
    lines = [f"| {table.title}{unit} | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
    lines += [f"| {row} | {' | '.join(f'{values[name]:g}' for name in columns)} |" for row, values in figures.items()]
    return "\n".join(lines)


def documentation(tables: dict[str, Table]) -> str:
    """Return all accepted tables as they stand in the documentation."""
    accepted = load()
    return "\n\n".join(markdown(table, accepted[name]) for name, table in tables.items())


def write_documentation(tables: dict[str, Table]) -> None:
    """Put the accepted tables where they belong."""
    text = DOCUMENT.read_text()
    DOCUMENT.write_text(MARKED.sub(lambda found: f"{found[1]}\n{documentation(tables)}\n{found[3]}", text))
