"""`ncore stat`: counters of every actor, vServer and service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ncore_ray.cli.history_table import seconds_of
from ncore_ray.cli.latency_table import latency_tables
from ncore_ray.cli.options import AsJson, Name, appliance
from ncore_ray.cli.output import console, print_drawn, print_json
from ncore_ray.cli.timer_table import timer_tables

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

_BORDER: Final = 3
"""Columns of the screen between two columns of a table."""
_ALWAYS: Final = ("health", "connections", "requests", "received_bytes", "sent_bytes")
"""Columns of vServers and services that are shown even if they are 0."""
_TITLES: Final = {
    "connections": "conn.",
    "busy": "conn.\nbusy",
    "idle_connections": "conn.\nidle",
    "total_connections": "conn.\ntotal",
    "received_bytes": "bytes\nin",
    "sent_bytes": "bytes\nout",
    "failed_probes": "probes\nfailed",
}
_GROUPS: Final = (("engines", "engine-"), ("flow distributor", "distributor"), ("NICs", "nic-"))

Numbers = Mapping[str, Any]


def register(root: typer.Typer) -> None:
    """Add this command to `ncore`."""
    root.command()(stat)


def stat(
    name: Name = None,
    everything: Annotated[bool, typer.Option("--all", "-a", help="Also the counters that are 0.")] = False,
    watch: Annotated[
        float | None, typer.Option("--watch", "-w", metavar="SECONDS", min=0.1, help="Show them again and again.")
    ] = None,
    history: Annotated[
        str | None,
        typer.Option("--history", metavar="SPAN", help="Instead, how it was in the last 90s, 15m, 6h … (rates)."),
    ] = None,
    period: Annotated[
        str | None, typer.Option("--period", metavar="1s|10s|1m", help="With --history: from which ring.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the counters per actor, per vServer and per service since the start; those that are 0 are left out.

    Every packet that is not passed on is counted under its cause: look for drop_… (yellow).
    """
    one = appliance(name)
    if history is not None:
        _show_history(one.ask("statistics", *history_arguments(history, period)), as_json)
    elif as_json:
        print_json(one.ask("stat"))
    elif watch is None:
        print_drawn(*tables(one.ask("stat"), everything))
    else:
        _watch(lambda: tables(one.ask("stat"), everything), watch)


def history_arguments(span: str, period: str | None) -> tuple[float, int | None]:
    """Return the seconds that the options mean. Raises NcoreError."""
    return seconds_of(span, "--history"), None if period is None else int(seconds_of(period, "--period"))


def _show_history(found: Mapping[str, Any], as_json: bool) -> None:
    from ncore_ray.cli.history_table import history_table

    if as_json:
        print_json(found)
    else:
        print_drawn(history_table(found))


def _watch(make: Any, seconds: float) -> None:
    from rich.console import Group

    from ncore_ray.cli.live import show_live

    show_live(lambda: Group(*make()), seconds)


def tables(found: Mapping[str, Any], everything: bool, width: int | None = None) -> list[Table]:
    """Return the tables of an answer to `stat`, for a screen of ``width`` columns (None: this one)."""
    drawn = [
        _list("vServers", "vServer", found["vservers"], everything),
        _list("services", "service", found["services"], everything),
    ]
    for title, prefix in _GROUPS:
        actors = {name: numbers for name, numbers in found["actors"].items() if name.startswith(prefix)}
        drawn += _matrices(title, actors, everything, width or console().width)
    drawn += latency_tables(found["latencies"], found["service_latencies"])
    drawn += timer_tables(found["timers"])
    return [table for table in drawn if table.row_count]


def _list(title: str, head: str, rows: Mapping[str, Numbers], everything: bool) -> Table:
    """Return a table with a row for each thing and a column for each counter."""
    from ncore_ray.cli.output import new_table

    keys = [
        key
        for key in next(iter(rows.values()), {})
        if everything or key in _ALWAYS or any(row[key] for row in rows.values())
    ]
    table = new_table(title)
    table.add_column(head, style="bold", no_wrap=True)
    for key in keys:
        title = _TITLES.get(key, key.replace("_", "\n"))
        table.add_column(title, justify="left" if key == "health" else "right", no_wrap=True)
    for name, row in rows.items():
        table.add_row(name, *(_cell(key, row[key]) for key in keys))
    return table


def _cell(key: str, value: Any) -> Text:
    from ncore_ray.cli.figures import volume
    from ncore_ray.cli.output import cell_text

    return cell_text(volume(value) if key.endswith("_bytes") and value else value)


def _matrices(title: str, actors: Mapping[str, Numbers], everything: bool, width: int) -> list[Table]:
    """Return tables with a row for each counter and a column for each actor, so many as fit beside each other."""
    names = list(actors)
    step = _fitting(actors, width)
    parts = [names[start : start + step] for start in range(0, len(names), step)]
    return [_matrix(title, {name: actors[name] for name in part}, everything) for part in parts]


def _fitting(actors: Mapping[str, Numbers], width: int) -> int:
    """Return how many columns of actors, and one of sums, fit beside the names of the counters."""
    key = max((len(key) for numbers in actors.values() for key in numbers), default=0)
    number = max((len(f"{value:,}") for numbers in actors.values() for value in numbers.values()), default=0)
    column = max(number + 1, *(len(name) for name in actors), 0) + _BORDER
    return max((width - key - _BORDER - 1) // column - 1, 1)


def _matrix(title: str, actors: Mapping[str, Numbers], everything: bool) -> Table:
    from ncore_ray.cli.output import cell_text, new_table

    table = new_table(title)
    table.add_column("counter")
    for name in actors:
        table.add_column(name, justify="right", no_wrap=True)
    if len(actors) > 1:
        table.add_column("total", justify="right", style="bold")
    for key in _keys(list(actors.values())):
        values = [numbers.get(key, 0) for numbers in actors.values()]
        if everything or any(values):
            cells = [cell_text(value) for value in [*values, sum(values)][: len(table.columns) - 1]]
            table.add_row(key, *cells, style="yellow" if key.startswith("drop_") and any(values) else "")
    return table


def _keys(rows: Sequence[Numbers]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))
