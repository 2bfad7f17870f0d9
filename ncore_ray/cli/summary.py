"""An appliance at a glance: what `run`, `deploy` and `status` show of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ncore_ray.cli.figures import span
from ncore_ray.cli.output import Row, Rows, cell_text

_STATE_BORDERS: Final = {"running": "green", "draining": "yellow", "degraded": "red"}


def summary(status: dict[str, Any], dashboard: str) -> Panel:
    """Return a panel that names what the appliance consists of."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold cyan", no_wrap=True)
    grid.add_column()
    for label, lines in _parts(status, dashboard):
        grid.add_row(label, Text("\n").join(lines))
    title = Text.assemble(" ", (status["appliance"], "bold"), " ", cell_text(status["state"]), " ")
    border = _STATE_BORDERS.get(status["state"], "yellow")
    return Panel(grid, title=title, title_align="left", border_style=border, padding=(1, 2), expand=False)


def _parts(status: dict[str, Any], dashboard: str) -> list[tuple[str, list[Text]]]:
    connections = status["dimensions"]["connections"] * status["engines"]
    return [
        ("vServers", _vservers(status)),
        ("engines", [Text(_engines(status["actors"]))]),
        ("NICs", _nics(status["nics"])),
        ("arena", [Text(f"{status['arena_bytes'] >> 20:,} MiB, room for {connections:,} connections")]),
        ("runs", [Text(_running(status))]),
        ("dashboard", [_link(dashboard)]),
        ("metrics", [_link(status["metrics"])]),
    ]


def _link(url: str) -> Text:
    return Text(url or "–", style="underline" if url else "")


def _running(status: dict[str, Any]) -> str:
    way = "detached" if status["detached"] else "in the foreground"
    return f"{way}, for {span(time.time() - status['since'])}, from {status['configuration']}"


def _vservers(status: dict[str, Any]) -> list[Text]:
    rows = status["vservers"]
    widths = [max(len(str(row[key])) for row in rows) for key in ("name", "protocol", "address")] if rows else []
    lines = []
    for row in rows:
        words = [str(row[key]).ljust(width) for key, width in zip(("name", "protocol", "address"), widths, strict=True)]
        lines.append(Text.assemble((words[0], "bold"), f"  {words[1]}  {words[2]}  → ", _services(status, row)))
    return lines or [Text("none")]


def _services(status: dict[str, Any], vserver: dict[str, Any]) -> Text:
    names = [_service(name, status["services"][name]) for name in vserver["services"]]
    return Text.assemble(Text(", ").join(names), (f"  {vserver['method']}", "bright_black"))


def _service(name: str, health: str) -> Text:
    return Text(name, style={"up": "green", "down": "bold red"}.get(health, ""))


def _engines(actors: Sequence[dict[str, Any]]) -> str:
    cpus = [actor["cpu"] for actor in actors if actor["kind"] == "PacketEngine"]
    where = ", ".join("any" if cpu is None else str(cpu) for cpu in cpus)
    return f"{len(cpus)}, pinned to CPU{'s' if len(cpus) > 1 else ''} {where}"


def _nics(nics: Sequence[dict[str, Any]]) -> list[Text]:
    lines = []
    for nic in nics:
        place = f" {nic['interface']}" if nic["interface"] not in (None, nic["name"]) else ""
        place += f" in {nic['netns']}" if nic["netns"] else ""
        wrapped = "".join([_faults_text(nic["faults"]), f"  trace → {nic['trace']}" if nic["trace"] else ""])
        text = f"  {nic['driver']}{place}  {', '.join(nic['addresses'])}"
        lines.append(Text.assemble((nic["name"], "bold"), text, (wrapped, "yellow")))
    return lines


def _faults_text(faults: dict[str, Any] | None) -> str:
    if faults is None:
        return ""
    return "  faults " + ",".join(f"{key}={value}" for key, value in faults.items())


def actor_rows(status: dict[str, Any]) -> Rows:
    """Return the actors, with what became of them."""
    rows: list[Row] = [
        {
            "actor": actor["name"],
            "kind": actor["kind"],
            "state": actor["state"],
            "process": str(actor["process"]),
            "CPU": None if actor["cpu"] is None else str(actor["cpu"]),
            "breaths": actor["breaths"],
            "busy_s": None if actor["busy_us"] is None else round(actor["busy_us"] / 1e6, 1),
            "restarts": actor.get("restarts", 0),
            "failure": actor["failure"],
        }
        for actor in status["actors"]
    ]
    for seldom in ("failure", "restarts"):
        if not any(row[seldom] for row in rows):
            rows = [{key: value for key, value in row.items() if key != seldom} for row in rows]
    return Rows("actors", rows)


def service_rows(status: dict[str, Any]) -> Rows:
    """Return the services with their health."""
    rows: list[Row] = [
        {
            "service": name,
            "health": health,
            "address": status["service_addresses"][name],
            "vservers": [row["name"] for row in status["vservers"] if name in row["services"]],
        }
        for name, health in status["services"].items()
    ]
    return Rows("services", rows)
