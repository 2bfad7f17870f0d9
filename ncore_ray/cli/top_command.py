"""`ncore top`: an appliance at work, live."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ncore_ray.cli.options import AsJson, Name, appliance
from ncore_ray.cli.output import print_drawn, print_json

if TYPE_CHECKING:
    from ncore_ray.cli.rates import Rates


def register(root: typer.Typer) -> None:
    """Add this command to `ncore`."""
    root.command()(top)


def top(
    name: Name = None,
    interval: Annotated[float, typer.Option("--interval", "-i", metavar="SECONDS", min=0.1)] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="One picture, of the first interval, and done.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what an appliance does, live: busy engines, rates per vServer and per service. Ctrl-C ends it.

    With --json, the rates of one interval.
    """
    from ncore_ray.cli.live import show_live
    from ncore_ray.cli.rates import Rates
    from ncore_ray.cli.top_view import TopView

    one = appliance(name)
    before = one.ask("stat")
    time.sleep(min(interval, 1.0) if not (once or as_json) else interval)
    rates = Rates(before, one.ask("stat"))
    view = TopView(one.ask("statistics", 60.0))
    if as_json:
        print_json(as_data(rates))
    elif once:
        print_drawn(view.draw(one.ask("status"), rates))
    else:
        looks = [before, rates.after]
        show_live(lambda: view.draw(one.ask("status"), _next(looks, one.ask("stat"))), interval)


def _next(looks: list[Mapping[str, Any]], new: Mapping[str, Any]) -> Rates:
    """Return the rates since the last look."""
    from ncore_ray.cli.rates import Rates

    looks[:] = [looks[-1], new]
    return Rates(*looks)


def as_data(rates: Rates) -> dict[str, Any]:
    """Return every counter's growth per second, and how busy each actor was."""
    groups: dict[str, Any] = {"seconds": rates.seconds, "busy": {}}
    for group in ("actors", "vservers", "services"):
        groups[group] = {
            name: {key: round(rates.per_second(group, name, key), 3) for key, value in row.items() if _counts(value)}
            for name, row in rates.after[group].items()
        }
    groups["busy"] = {actor: round(rates.busy(actor), 4) for actor in rates.after["cores"]}
    return groups


def _counts(value: object) -> bool:
    return isinstance(value, int)
