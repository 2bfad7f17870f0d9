"""`ncore dashboards …`: the dashboards for Grafana, written to a folder or sent to a Grafana."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ncore_ray.cli.output import print_line

app = typer.Typer(no_args_is_help=True, help="Dashboards for Grafana.")


def register(root: typer.Typer) -> None:
    """Add these commands to `ncore`."""
    root.add_typer(app, name="dashboards")


@app.callback()
def dashboards() -> None:
    """Dashboards for Grafana."""


@app.command()
def export(folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the files go.")]) -> None:
    """Write the dashboards as JSON files, to import by hand or to provision Grafana with."""
    from ncore_ray.dashboards.files import write_all

    for path in write_all(folder):
        print_line(str(path))


@app.command()
def push(
    url: Annotated[str, typer.Option("--url", help="Of the Grafana, such as http://localhost:3000.")],
    token: Annotated[
        str, typer.Option("--token", envvar="GRAFANA_TOKEN", help="Of a service account that may write dashboards.")
    ],
    folder: Annotated[str, typer.Option("--folder", help="Title of Grafana's folder for them.")] = "ncore_ray",
) -> None:
    """Send the dashboards to a Grafana; those of an earlier push are replaced."""
    from ncore_ray.dashboards.push import push_all

    for place in push_all(url, token, folder):
        print_line(place)
