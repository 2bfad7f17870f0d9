"""`ncore metrics`: where Prometheus finds the metrics, and its configuration."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from ncore_ray.cli.options import AsJson
from ncore_ray.cli.output import Row, Rows, print_json, print_rows


def register(root: typer.Typer) -> None:
    """Add this command to `ncore`."""
    root.command()(metrics)


def metrics(
    as_configuration: Annotated[
        bool, typer.Option("--prometheus", help="Print a prometheus.yml that scrapes this Ray.")
    ] = False,
    interval: Annotated[
        str, typer.Option("--interval", metavar="SPAN", help="How often that Prometheus shall look.")
    ] = "10s",
    as_json: AsJson = False,
) -> None:
    """Show the pages on which Ray offers the metrics of all appliances to Prometheus."""
    from ncore_ray.appliance import session
    from ncore_ray.appliance.prometheus import find_targets, prometheus_yaml

    session.connect()
    targets = find_targets()
    if as_configuration:
        typer.echo(prometheus_yaml(targets, interval), nl=False)
    elif as_json:
        print_json(asdict(targets))
    else:
        rows: list[Row] = [{"what": "page to scrape", "where": page} for page in targets.pages]
        rows += [{"what": "file that names all pages", "where": targets.discovery}] if targets.discovery else []
        print_rows([Rows("metrics", rows)])
