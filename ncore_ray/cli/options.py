"""Arguments and options that several commands share, and the appliance that they mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ncore_ray.appliance.session import Appliance

ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="The YAML file of an appliance.")]
Name = Annotated[
    str | None, typer.Argument(metavar="[NAME]", help="The appliance; may be left out when there is only one.")
]
OfAppliance = Annotated[
    str | None,
    typer.Option("--appliance", "-a", metavar="NAME", help="The appliance; may be left out when there is only one."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


def appliance(name: str | None) -> Appliance:
    """Attach to the running Ray and return the appliance of a name, or the only one. Raises NcoreError."""
    from ncore_ray.appliance import session

    session.connect()
    return session.find(name)
