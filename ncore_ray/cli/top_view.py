"""The picture that `ncore top` shows: rates per engine, per vServer and per service."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ncore_ray.cli.figures import bar, bits, rate, span, sparkline
from ncore_ray.cli.output import cell_text, new_table
from ncore_ray.cli.rates import Rates

_HISTORY: Final = 24
_BAR: Final = 8
_WARM: Final = 0.7
_HOT: Final = 0.9

Plain = dict[str, Any]


_CURVES: Final[Mapping[str, Callable[[Rates], float]]] = {
    "requests/s": lambda rates: rates.total("vservers", "requests"),
    "connections": lambda rates: rates.total_now("vservers", "connections"),
    "to clients": lambda rates: rates.total("vservers", "sent_bytes"),
    "busy": lambda rates: sum(rates.busy(actor) for actor in rates.after["cores"] if actor.startswith("engine-")),
}
_SERIES: Final = {"requests/s": "requests", "connections": "connections", "to clients": "sent_bytes"}


def _past(sample: Mapping[str, Any], name: str) -> float:
    """Return what a sample of the history says for a curve."""
    if name in _SERIES:
        return float(sample.get(_SERIES[name], 0))
    return sum(float(value) for key, value in sample.items() if key.startswith("busy_us.")) / 1e6


def _curve(name: str, values: Iterable[float]) -> Text:
    return Text.assemble((sparkline(list(values)), "green"), (f" {name}", "bright_black"))


class TopView:
    """Draws one picture for each new pair of answers; remembers what it needs for some small curves."""

    def __init__(self, history: Mapping[str, Any] | None = None) -> None:
        """``history`` is what the management has kept of the last seconds: the curves begin with it."""
        past = history["samples"] if history else []
        self._curves: dict[str, deque[float]] = {
            name: deque((_past(sample, name) for sample in past), maxlen=_HISTORY) for name in _CURVES
        }

    def draw(self, status: Plain, rates: Rates) -> RenderableType:
        """Return the picture."""
        for name, read in _CURVES.items():
            self._curves[name].append(read(rates))
        return Group(
            self._head(status, rates), _actors(status, rates), _vservers(status, rates), _services(rates, status)
        )

    def _head(self, status: Plain, rates: Rates) -> Panel:
        title = Text.assemble(" ", (status["appliance"], "bold"), " ", cell_text(status["state"]), " ")
        grid = Table.grid(padding=(0, 3))
        grid.add_row(
            *(Text.assemble((value, "bold"), (f" {label}", "bright_black")) for label, value in self._totals(rates))
        )
        curves = Table.grid(padding=(0, 3))
        curves.add_row(*(_curve(name, values) for name, values in self._curves.items()))
        up = Text(f" up {span(time.time() - status['since'])} ", style="bright_black")
        return Panel(Group(grid, curves), title=title, title_align="left", subtitle=up, subtitle_align="right")

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
