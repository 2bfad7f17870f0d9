"""``python -m benchmarks.attack [ATTACK…]``: attacks on an engine in simulated time, and a table of what they did."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.attack.kinds import KINDS
from benchmarks.attack.siege import Dimensions, Outcome, Siege

LEAST_SUCCESS = 0.99


def is_well(outcome: Outcome) -> bool:
    """Return whether the engine stood the attack."""
    kept = outcome.kept_connections or outcome.kept_frames or outcome.unaccounted
    return outcome.success >= LEAST_SUCCESS and not kept


def _row(name: str, outcome: Outcome) -> list[str]:
    causes = sorted(outcome.causes.items(), key=lambda item: -item[1])[:4]
    return [
        name,
        f"{outcome.attack_packets:,}",
        f"{outcome.success:.1%} of {outcome.clients}",
        f"{outcome.most_connections}",
        f"{outcome.least_free_frames}",
        "nothing"
        if is_well(outcome)
        else f"{outcome.kept_connections} / {outcome.kept_frames} / {outcome.unaccounted}",
        ", ".join(f"{cause} {count:,}" for cause, count in causes),
    ]


def main(
    attacks: Annotated[list[str] | None, typer.Argument(help="Attacks; none: all.")] = None,
    seconds: Annotated[float, typer.Option(help="Simulated seconds of each.")] = 10.0,
    rate: Annotated[int, typer.Option(help="Attacking packets per simulated ms.")] = 20,
    seed: Annotated[int, typer.Option(help="Of all that is left to chance.")] = 1,
) -> None:
    """Attack an engine beside clients that behave well. Exit status 1 if they suffer, or something is kept."""
    if unknown := set(attacks or ()) - set(KINDS):
        raise typer.BadParameter(f"no attack {', '.join(sorted(unknown))}; there are: {', '.join(KINDS)}")
    columns = (
        "attack",
        "packets",
        "clients served",
        "most connections",
        "least free frames",
        "kept",
        "counted, mostly",
    )
    table, well = Table(*columns), True
    console = Console()
    for name in attacks or KINDS:
        console.print(f"{name} …", end="\r")
        dimensions = Dimensions(seconds=seconds, rate=rate, clients=round(20 * seconds))
        outcome = Siege(KINDS[name], dimensions, seed).run()
        well = well and is_well(outcome)
        table.add_row(*_row(name, outcome))
    console.print(table)
    if not well:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
