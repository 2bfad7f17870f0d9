"""What commands print: tables for people, the same rows as JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

Cell = str | int | float | bool | None | list[str] | list[int]
Row = Mapping[str, Cell]

_WIDTH_OF_FILES: Final = 200
"""Columns when the output is no terminal, so that long rows stay on one line."""


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
    console = _console()
    for table in tables:
        if table.rows:
            console.print(_table(table))


def print_json(value: object) -> None:
    """Print a value as JSON on stdout, indented."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_error(text: str) -> None:
    """Print a sentence (or one per line) in red on stderr."""
    _console(stderr=True).print(Text(text, style="red"), soft_wrap=True)


def print_line(text: str, style: str = "") -> None:
    """Print a sentence on stdout."""
    _console().print(Text(text, style=style), soft_wrap=True)


def _console(*, stderr: bool = False) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, width=None if stream.isatty() else _WIDTH_OF_FILES)


def _table(table: Rows) -> Table:
    """Return the table as rich draws it, numbers to the right."""
    drawn = Table(title=table.name, title_justify="left", title_style="bold")
    for key, value in table.rows[0].items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        drawn.add_column(key.replace("_", " "), justify="right" if is_number else "left")
    for row in table.rows:
        drawn.add_row(*(Text(_shown(value)) for value in row.values()))
    return drawn


def _shown(value: Cell) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return "–" if value is None else str(value)
