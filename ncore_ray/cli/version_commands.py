"""`ncore show`, `diff`, `history`, `export`: the configuration of an appliance as it is, and as it was."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ncore_ray.cli.options import AsJson, Name, OfAppliance, appliance
from ncore_ray.cli.output import Row, Rows, print_json, print_line, print_rows
from ncore_ray.errors import NcoreError

if TYPE_CHECKING:
    from ncore_ray.config.model import Configuration


Number = Annotated[int | None, typer.Option("--version", "-v", metavar="VERSION", min=1, help="A former version.")]


def register(root: typer.Typer) -> None:
    """Add these commands to `ncore`."""
    root.command()(show)
    root.command()(diff)
    root.command()(history)
    root.command()(export)


def show(
    kind: Annotated[str | None, typer.Argument(metavar="[KIND]", help="service, vserver, nic, timeouts …")] = None,
    entry: Annotated[str | None, typer.Argument(metavar="[ENTRY]", help="Name of one: all its keys.")] = None,
    name: OfAppliance = None,
    as_json: AsJson = False,
) -> None:
    """Show the configuration that an appliance works by now: all of it, one kind, or all keys of one entry.

    ncore show service web1
    """
    from ncore_ray.cli.config_commands import summary_tables
    from ncore_ray.config.load import parse

    configuration = parse(appliance(name).ask("configuration"), "running")
    tables = summary_tables(configuration) if kind is None else [_table(configuration, kind, entry)]
    print_rows(tables, as_json=as_json)


def _table(configuration: Configuration, kind: str, entry: str | None) -> Rows:
    """Return the table of a kind, or of all keys of one entry or section."""
    from ncore_ray.cli.config_commands import summary_tables
    from ncore_ray.config.change import LISTS, SINGLES
    from ncore_ray.config.expect import alternatives, suggestion

    kind = next((one for one, section in LISTS.items() if section == kind), kind)
    if kind not in LISTS and kind not in SINGLES:
        known = [*LISTS, *SINGLES]
        raise NcoreError(f"there is no kind {kind}{suggestion(kind, known)}, only {alternatives(known)}")
    if kind in LISTS and entry is None:
        return next(table for table in summary_tables(configuration) if table.name == LISTS[kind])
    return _keys(configuration, kind, entry)


def _keys(configuration: Configuration, kind: str, entry: str | None) -> Rows:
    from ncore_ray.config.change import LISTS
    from ncore_ray.config.diff import flat
    from ncore_ray.config.expect import suggestion

    data: Any = getattr(configuration, LISTS.get(kind, kind))
    if entry is not None and kind in LISTS:
        found = {one.name: one for one in data}
        if entry not in found:
            raise NcoreError(f"there is no {kind} {entry}{suggestion(entry, found)}")
        data = found[entry]
    rows: list[Row] = [
        {"key": key, "value": list(map(str, value)) if isinstance(value, tuple) else value}
        for key, value in flat(data.model_dump(mode="json")).items()
    ]
    return Rows(f"{kind} {entry}" if entry else kind, rows)


def diff(
    path: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="A YAML file.")] = None,
    version: Number = None,
    name: OfAppliance = None,
    as_json: AsJson = False,
) -> None:
    """Show the commands that lead from what runs to what a file, or a former version, says; nothing is changed.

    Exit status 1 if there are any.
    """
    one = appliance(name)
    if (path is None) == (version is None):
        raise NcoreError("expected a FILE or --version: what is to be compared with what runs?")
    if path is not None:
        from ncore_ray.config.load import dump, load

        text, source = dump(load(path)), str(path)
    else:
        text, source = one.ask("configure", "version", version)["configuration"], f"version {version}"
    found = one.ask("configure", "preview", text, source)
    if as_json:
        print_json(found)
    else:
        _print_difference(found)
    if found["commands"]:
        raise typer.Exit(1)


def _print_difference(found: dict[str, list[str]]) -> None:
    for command in found["commands"]:
        print_line(command)
    for reason in found["restart"]:
        print_line(reason, "yellow")
    if not found["commands"]:
        print_line("There is no difference.", "green")


def history(
    name: Name = None,
    limit: Annotated[int, typer.Option("--limit", "-l", metavar="COUNT", min=1, help="Only the latest.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the versions of an appliance's configuration, newest first: who changed what, when and why.

    Those of an appliance that does not run are read from its store.
    """
    rows: list[Row] = [
        {
            "version": found["number"],
            "at": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(found["at"])),
            "author": found["author"],
            "comment": found["comment"],
            "changes": found["commands"],
        }
        for found in _versions(name, limit)
    ]
    print_rows([Rows("versions", rows)], as_json=as_json)


def export(
    name: Name = None,
    version: Number = None,
) -> None:
    """Print a version of an appliance's configuration as YAML; the latest, unless one is named."""
    if version is None:
        found = _versions(name, 1)
        if not found:
            raise NcoreError("the store has no version")
        typer.echo(found[0]["configuration"], nl=False)
    else:
        typer.echo(_ask_or_open(name, "version", version)["configuration"], nl=False)


def _versions(name: str | None, limit: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = _ask_or_open(name, "versions", limit)
    return found


def _ask_or_open(name: str | None, what: str, argument: int) -> Any:
    """Ask the appliance's configuration service; if it does not run, look into its store."""
    from ncore_ray.management.store import SqliteStore, store_path

    try:
        return appliance(name).ask("configure", what, argument)
    except NcoreError:
        if name is None or not store_path(name).exists():
            raise
    store = SqliteStore(store_path(name))
    try:
        found = store.versions(argument) if what == "versions" else [store.version(argument)]
    finally:
        store.close()
    rows = [version.plain() for version in found]
    return rows if what == "versions" else rows[0]
