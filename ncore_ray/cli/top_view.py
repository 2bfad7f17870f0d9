"""The picture that `ncore top` shows: rates per engine, per vServer and per service."""

from __future__ import annotations

import time
from collections import deque
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ncore_ray.cli.figures import bar, bits, rate, span, sparkline
from ncore_ray.cli.output import cell_text, new_table
from ncore_ray.cli.rates import Rates

_HISTORY: Final = 40
_BAR: Final = 8
_WARM: Final = 0.7
_HOT: Final = 0.9

Plain = dict[str, Any]


class TopView:
    """Draws one picture for each new pair of answers; remembers the requests per second for a small curve."""

    def __init__(self) -> None:
        self._history: deque[float] = deque(maxlen=_HISTORY)

    def draw(self, status: Plain, rates: Rates) -> RenderableType:
        """Return the picture."""
        self._history.append(rates.total("vservers", "requests"))
        return Group(
            self._head(status, rates), _actors(status, rates), _vservers(status, rates), _services(rates, status)
        )

    def _head(self, status: Plain, rates: Rates) -> Panel:
        title = Text.assemble(" ", (status["appliance"], "bold"), " ", cell_text(status["state"]), " ")
        grid = Table.grid(padding=(0, 3))
        grid.add_row(
            *(Text.assemble((value, "bold"), (f" {label}", "bright_black")) for label, value in self._totals(rates))
        )
        curve = Text.assemble((sparkline(list(self._history)), "green"), ("  requests/s", "bright_black"))
        up = Text(f" up {span(time.time() - status['since'])} ", style="bright_black")
        return Panel(Group(grid, curve), title=title, title_align="left", subtitle=up, subtitle_align="right")

    @staticmethod
    def _totals(rates: Rates) -> list[tuple[str, str]]:
        return [
            ("requests/s", rate(rates.total("vservers", "requests"))),
            ("connections", f"{rates.total_now('vservers', 'connections'):,}"),
            ("new/s", rate(rates.total("vservers", "total_connections"))),
            ("from clients", bits(rates.total("vservers", "received_bytes"))),
            ("to clients", bits(rates.total("vservers", "sent_bytes"))),
        ]


def _table(title: str, *columns: str) -> Table:
    """Return a table over the whole width, the first column to the left."""
    table = new_table(title)
    table.expand = True
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 or column == "address" else "right", no_wrap=True)
    return table


def _busy(share: float) -> Text:
    style = "red" if share >= _HOT else "yellow" if share >= _WARM else "green"
    return Text.assemble((bar(share, _BAR), style), f" {share:4.0%}")


def _figure(text: str, style: str = "") -> Text:
    return Text(text, style="bright_black" if text == "0" else style)


def _actors(status: Plain, rates: Rates) -> Table:
    table = _table(
        "actors", "actor", "CPU", "busy", "packets\nin/s", "packets\nout/s", "out", "conn.", "new\n/s", "drops\n/s"
    )
    for actor in status["actors"]:
        if actor["name"] in rates.after["actors"]:
            table.add_row(*_actor_cells(actor, rates))
    return table


def _actor_cells(actor: Plain, rates: Rates) -> list[Text]:
    name = actor["name"]
    is_engine = name.startswith("engine-")
    mark = Text(name, style="bold" if is_engine else "")
    if actor["failure"]:
        mark = Text(f"● {name}", style="bold red")
    out = "forwarded_packets" if name == "distributor" else "sent_packets"
    accepted = rates.per_second("actors", name, "connections_accepted")
    return [
        mark,
        Text("any" if actor["cpu"] is None else str(actor["cpu"])),
        _busy(rates.busy(name)),
        _figure(rate(rates.per_second("actors", name, "received_packets"))),
        _figure(rate(rates.per_second("actors", name, out))),
        _figure(bits(rates.per_second("actors", name, "sent_bytes"))) if is_engine else Text(""),
        _figure(f"{rates.now('actors', name, 'live_connections'):,}") if is_engine else Text(""),
        _figure(rate(accepted)) if is_engine else Text(""),
        _figure(rate(rates.drops(name)), "yellow"),
    ]


def _vservers(status: Plain, rates: Rates) -> Table:
    table = _table("vServers", "vServer", "address", "conn.", "new\n/s", "requests\n/s", "in", "out", "errors\n/s")
    for row in status["vservers"]:
        name = row["name"]
        table.add_row(
            Text(name, style="bold"),
            f"{row['protocol']} {row['address']}",
            *_common(rates, "vservers", name),
            _figure(rate(rates.per_second("vservers", name, "errors")), "yellow"),
        )
    return table


def _common(rates: Rates, group: str, name: str) -> list[Text]:
    return [
        _figure(f"{rates.now(group, name, 'connections'):,}"),
        _figure(rate(rates.per_second(group, name, "total_connections"))),
        _figure(rate(rates.per_second(group, name, "requests"))),
        _figure(bits(rates.per_second(group, name, "received_bytes"))),
        _figure(bits(rates.per_second(group, name, "sent_bytes"))),
    ]


def _services(rates: Rates, status: Plain) -> Table:
    table = _table("services", "service", "address", "conn.", "new\n/s", "requests\n/s", "in", "out", "failures\n/s")
    for name, row in rates.after["services"].items():
        style = {"up": "green", "down": "bold red"}.get(row["health"], "yellow")
        table.add_row(
            Text.assemble(("● ", style), (name, "bold")),
            status["service_addresses"][name],
            *_common(rates, "services", name),
            _figure(rate(rates.per_second("services", name, "failures")), "yellow"),
        )
    return table
