"""`ncore status` and `ncore events`: how appliances are, and what happened to them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ncore_ray.cli.options import AsJson, Name, appliance
from ncore_ray.cli.output import Row, Rows, cell_text, console, print_drawn, print_json, print_line, print_rows
from ncore_ray.errors import NcoreError

if TYPE_CHECKING:
    from ncore_ray.appliance.session import Appliance


def register(root: typer.Typer) -> None:
    """Add these commands to `ncore`."""
    root.command()(status)
    root.command()(events)


def status(name: Name = None, as_json: AsJson = False) -> None:
    """Show how an appliance is: its vServers, services and actors; with several and no NAME, a line for each.

    Exit status 1 if an actor has failed.
    """
    from ncore_ray.appliance import session

    node = session.connect()
    known, dead = session.names(), session.remains()
    if name is None and len(known) + len(dead) > 1:
        healthy = _print_overview([_overview_of(one, session.find(one)) for one in known], dead, as_json)
    else:
        healthy = _print_one(session.find(name).ask("status"), node.dashboard, as_json)
    if not healthy:
        raise typer.Exit(1)


def _print_one(found: dict[str, Any], dashboard: str, as_json: bool) -> bool:
    from ncore_ray.cli.summary import actor_rows, service_rows, summary

    failures = [f"{actor['name']}: {actor['failure']}" for actor in found["actors"] if actor["failure"]]
    if as_json:
        print_json({**found, "dashboard": dashboard})
        return not failures
    print_drawn(summary(found, dashboard))
    print_rows([service_rows(found), actor_rows(found)])
    for address, mac in found.get("given_up", {}).items():
        print_line(f"GIVEN UP  {address}: the host {mac} has it, too", "bold red")
    for failure in failures:
        print_line(f"FAILED  {failure}", "bold red")
    return not failures


def _overview_of(name: str, one: Appliance) -> dict[str, Any]:
    try:
        found: dict[str, Any] = one.ask("overview", timeout_s=5.0)
    except NcoreError:
        return {"appliance": name, "state": "dead"}
    return found


def _print_overview(found: list[dict[str, Any]], dead: list[str], as_json: bool) -> bool:
    found = found + [{"appliance": name, "state": "dead"} for name in dead]
    if as_json:
        print_json({"appliances": found})
    else:
        print_rows([Rows("appliances", [_overview_row(row) for row in found])])
    return not any(row["state"] in ("dead", "degraded") for row in found)


def _overview_row(row: dict[str, Any]) -> Row:
    from ncore_ray.cli.figures import span

    return {
        "appliance": row["appliance"],
        "state": row["state"],
        "for": span(time.time() - row["since"]) if row.get("since") else None,
        "engines": row.get("engines"),
        "vservers": row.get("vservers"),
        "services_up": row.get("services_up"),
    }


def events(
    name: Name = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new events until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what happened to an appliance: services that went up or down, actors that failed.

    With --json and --follow, one JSON object per line.
    """
    one = appliance(name)
    found = one.ask("events")
    if not follow:
        _print_events(found, as_json)
        return
    try:
        _follow(one, found, _print_json_line if as_json else print_event)
    except KeyboardInterrupt:
        return


def _print_events(found: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json({"events": found})
        return
    for event in found:
        print_event(event)


def _follow(one: Appliance, found: list[dict[str, Any]], tell: Callable[[dict[str, Any]], None]) -> None:
    """Tell events, old and new, until the appliance is taken down. Raises NcoreError when its management dies."""
    from ncore_ray.management.events import farewell

    last = 0
    while True:
        for event in found:
            tell(event)
            last = event["number"]
            if event["text"] == farewell(one.name):
                return
        found = one.ask("wait_events", last, 5.0)


def _print_json_line(event: dict[str, Any]) -> None:
    typer.echo(json.dumps(event, ensure_ascii=False))


def print_event(event: dict[str, Any]) -> None:
    """Print one event, an error loudly."""
    from rich.text import Text

    clock = time.strftime("%H:%M:%S", time.localtime(event["at"]))
    style = {"error": "bold white on red", "warning": "yellow"}.get(event["level"], "")
    level = cell_text(event["level"])
    level.pad_right(9 - len(level))
    line = Text.assemble((clock, "bright_black"), "  ", level, "  ", (event["text"], style))
    console().print(line, soft_wrap=True)
