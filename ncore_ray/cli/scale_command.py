"""`ncore scale`: another number of packet engines, while the appliance works."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ncore_ray.cli.change_commands import Comment, author
from ncore_ray.cli.options import AsJson, OfAppliance, appliance
from ncore_ray.cli.output import print_json, print_line
from ncore_ray.errors import NcoreError

if TYPE_CHECKING:
    from ncore_ray.appliance.session import Appliance

_LOOK_S: Final = 0.05
_BEGIN_S: Final = 120.0
scale_app = typer.Typer(help="Another number of packet engines, while the appliance works.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    """Add this command to `ncore`."""
    root.add_typer(scale_app, name="scale")


@scale_app.command()
def engines(
    count: Annotated[int, typer.Argument(metavar="COUNT", min=1, max=64, help="How many there are to be.")],
    name: OfAppliance = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait also until the last flow of those that go has ended.")
    ] = False,
    comment: Comment = "",
    as_json: AsJson = False,
) -> None:
    """Let COUNT engines work. New ones get new flows as soon as they are there; those that go keep what they have.

        ncore scale engines 4

    Returns when new flows go to COUNT engines. Exit status 1 if that takes too long.
    """
    one = appliance(name)
    began_at = time.monotonic()
    done = one.ask("configure", "change", [f"set appliance engines={count}"], author(), comment, "/")
    last = one.ask("events")[-1]["number"]
    found = _follow(one, last, count, wait=wait, quiet=as_json)
    took_s = time.monotonic() - began_at
    if as_json:
        print_json({"version": done["version"], "seconds": round(took_s, 3), **found})
    else:
        _report(found, took_s)
    if found["taking_flows"] != count:
        raise typer.Exit(1)


def _follow(one: Appliance, last: int, count: int, *, wait: bool, quiet: bool) -> dict[str, Any]:
    """Tell what happens until it is as it should be; return how it is. Raises NcoreError."""
    end = time.monotonic() + _BEGIN_S
    while True:
        found: dict[str, Any] = one.ask("scaling")
        for event in one.ask("events", last):
            last = event["number"]
            if not quiet:
                print_line(f"  {event['text']}", "" if event["level"] == "info" else "yellow")
        if found["wanted"] != count:
            raise NcoreError(f"somebody else wants {found['wanted']} engines now")
        if found["settled"] or (not wait and found["taking_flows"] == count):
            return found
        if not wait and time.monotonic() > end:
            return found
        time.sleep(_LOOK_S)


def _report(found: dict[str, Any], took_s: float) -> None:
    going = [row["name"] for row in found["engines"] if row["state"] in ("leaving", "taken over")]
    engines = f"{found['taking_flows']} engine{'s' * (found['taking_flows'] != 1)}"
    print_line(f"New flows go to {engines}, after {took_s:.1f} s.", "green")
    if going:
        print_line(f"{', '.join(going)}: the flows that there are go on until they end (ncore status).")
