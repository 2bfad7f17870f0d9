"""`ncore chaos`: put faults into a running appliance, and check that it does not matter."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ncore_ray.cli.options import AsJson, Name, appliance
from ncore_ray.cli.output import console, print_json, print_line


def register(root: typer.Typer) -> None:
    """Add this command to `ncore`."""
    root.command()(chaos)


def chaos(
    name: Name = None,
    url: Annotated[
        list[str] | None,
        typer.Option("--url", metavar="URL", help="What the checking load downloads; may be repeated."),
    ] = None,
    duration: Annotated[float, typer.Option(min=1, max=86_400, metavar="SECONDS", help="How long.")] = 60.0,
    every: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="From one fault to the next.")] = 5.0,
    count: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="End after so many faults, before the time is over.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides what happens to whom.")] = 1,
    fault: Annotated[
        list[str] | None, typer.Option("--fault", metavar="KIND", help="kill, stop or pause; may be repeated.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only", metavar="NAME", help="Actors whose names begin so, such as engine or management; may be repeated."
        ),
    ] = None,
    clients: Annotated[int, typer.Option(min=1, max=10_000, help="Clients of the load.")] = 200,
    rate: Annotated[float, typer.Option(min=0, help="Downloads/s of all clients; 0: as fast as they can.")] = 0.0,
    netns: Annotated[str | None, typer.Option(metavar="NAME", help="Network namespace of the load.")] = None,
    least: Annotated[float, typer.Option(min=0, max=100, metavar="PERCENT", help="So many have to be whole.")] = 99.9,
    stall: Annotated[float, typer.Option(min=0, metavar="MS", help="The median stall has to be shorter.")] = 300.0,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="A .json or .md file to write.")] = None,
    as_json: AsJson = False,
) -> None:
    """Kill and stop actors of a running appliance by chance, one at a time, and check what has to be true all the same.

    Each may be struck: engines, distributor, readers, the arena's owner, and the management if another one waits.

    With --url beside a load of its own that checks every byte, else beside the load that there is.

        ncore chaos --url http://10.1.0.100/file --duration 60 --every 5 --only engine --report chaos.md

    Exit status 1 if something was not as it has to be.
    """
    from ncore_ray.chaos.report import table, write
    from ncore_ray.chaos.run import Plan, Run, words_of

    whats = words_of(fault or ["kill"])
    shares = {"least": least / 100, "stall_s": stall / 1000}
    names = tuple(only or ())
    plan = Plan(duration, every, count, seed, whats, names, tuple(url or ()), clients, rate, netns, **shares)
    outcome = Run(appliance(name), plan, lambda text: None if as_json else print_line(f"  {text}")).run()
    if report is not None:
        write(outcome, report)
    if as_json:
        print_json(outcome.plain())
    else:
        console().print(table(outcome))
    if not outcome.passed:
        raise typer.Exit(1)
