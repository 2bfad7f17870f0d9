"""What commands print: tables for people, the same rows as JSON for programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import typer
from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

Cell = str | int | float | bool | None | list[str] | list[int]
Row = Mapping[str, Cell]

_WIDTH_OF_FILES: Final = 200
"""Columns when the output is no terminal, so that long rows stay on one line (`COLUMNS` sets another width)."""
_LONG: Final = ("failure", "problem")
"""Columns of sentences, which may take several lines."""
_NOTHING: Final = "–"
_STYLES: Final = {
    "up": "green",
    "running": "green",
    "info": "green",
    "down": "bold red",
    "failed": "bold red",
    "degraded": "bold red",
    "error": "bold red",
    "dead": "bold red",
    "draining": "yellow",
    "starting": "yellow",
    "warning": "yellow",
    "unknown": "yellow",
}
"""Words that say how something is: they get a dot and a colour."""


@dataclass(frozen=True)
class Rows:
    """One table. All rows have the same keys: they are the column titles (``_`` becomes a space) and JSON's keys."""

    name: str
    """Title of the table, and its key in JSON."""
    rows: Sequence[Row]


def print_rows(tables: Sequence[Rows], *, as_json: bool = False) -> None:
    """Print tables for a person or, ``as_json``, one JSON object with the same rows on stdout."""
    if as_json:
        print_json({table.name: [dict(row) for row in table.rows] for table in tables})
        return
    for table in tables:
        if table.rows:
            print_drawn(draw(table))


def print_json(value: object) -> None:
    """Print a value as JSON on stdout, indented."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_error(text: str) -> None:
    """Print a sentence (or one per line) in red on stderr."""
    console(stderr=True).print(Text(text, style="red"), soft_wrap=True)


def print_line(text: str, style: str = "") -> None:
    """Print a sentence on stdout."""
    console().print(Text(text, style=style), soft_wrap=True)


def print_drawn(*parts: RenderableType) -> None:
    """Print what rich draws on stdout."""
    for part in parts:
        console().print(part)


def console(*, stderr: bool = False) -> Console:
    """Return a console for stdout or stderr as it is now."""
    stream = sys.stderr if stderr else sys.stdout
    fixed = None if stream.isatty() else int(os.environ.get("COLUMNS") or _WIDTH_OF_FILES)
    return Console(stderr=stderr, highlight=False, width=fixed)


def new_table(title: str | None = None) -> Table:
    """Return an empty table in the style of all tables."""
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.ROUNDED,
        border_style="bright_black",
        header_style="bold cyan",
    )


def draw(table: Rows) -> Table:
    """Return the table as rich draws it, numbers to the right."""
    drawn = new_table(table.name)
    for key, value in table.rows[0].items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        is_list = isinstance(value, list) or key in _LONG
        title = key.replace("_", "\n" if is_number else " ")
        drawn.add_column(title, justify="right" if is_number else "left", no_wrap=not is_list)
    for row in table.rows:
        drawn.add_row(*(cell_text(value) for value in row.values()))
    return drawn


def cell_text(value: Cell) -> Text:
    """Return a value as it stands in a table."""
    if isinstance(value, str) and value in _STYLES:
        return Text.assemble(("● ", _STYLES[value]), value)
    return Text(_shown(value), style="bright_black" if value is None or value == 0 else "")


def _shown(value: Cell) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.1f}"
    return _NOTHING if value is None or value == "" else str(value)
