"""``python -m benchmarks.simulation [TABLE…]``: simulate, and print the tables beside what was accepted."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table as RichTable

from benchmarks.simulation import snapshot
from benchmarks.simulation.tables import Table, all_tables, measure

_console = Console(stderr=True)


def _rich_table(table: Table, found: snapshot.Figures, accepted: snapshot.Figures) -> RichTable:
    columns = list(dict.fromkeys(cell.column for cell in table.cells))
    unit = f", {table.unit}" if table.unit else ""
    shown = RichTable("", *columns, title=f"{table.title}{unit}")
    for row, figures in found.items():
        cells = []
        for column in columns:
            before = accepted.get(row, {}).get(column)
            is_news = before is not None and snapshot.differs(before, figures[column])
            cells.append(f"{figures[column]:g}" + (f" [yellow](was {before:g})" if is_news else ""))
        shown.add_row(row, *cells)
    return shown


def main(
    tables: Annotated[list[str] | None, typer.Argument(help="Tables to make; none: all.")] = None,
    accept: Annotated[bool, typer.Option(help="Keep the figures, in the documentation too.")] = False,
) -> None:
    """Simulate streams through a packet engine over bad paths; the same figures in every run of the same source."""
    known = all_tables()
    if unknown := set(tables or ()) - set(known):
        raise typer.BadParameter(f"no table {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    accepted = snapshot.load() if snapshot.SNAPSHOT.exists() else {}
    found = {}
    with _console.status("") as status:
        for name in tables or known:
            found[name] = measure(known[name], status.update)
            Console(width=None if sys.stdout.isatty() else 130).print(
                _rich_table(known[name], found[name], accepted.get(name, {}))
            )
    if accept:
        snapshot.save(found)
        snapshot.write_documentation(known)


if __name__ == "__main__":
    typer.run(main)
