"""`ncore config …`: look at configuration files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from ncore_ray.cli.options import AsJson, ConfigPath
from ncore_ray.cli.output import Row, Rows, print_json, print_line, print_rows

if TYPE_CHECKING:
    from ncore_ray.config.model import Configuration, Service
    from ncore_ray.config.problems import ConfigurationError

app = typer.Typer(no_args_is_help=True, help="Look at configuration files.")


def register(root: typer.Typer) -> None:
    """Add these commands to `ncore`."""
    root.add_typer(app, name="config")
    root.command()(plan)


@app.callback()
def config() -> None:
    """Look at configuration files."""


@app.command()
def check(path: ConfigPath, as_json: AsJson = False) -> None:
    """Check a configuration and show what it would build; every problem is listed with its line."""
    from ncore_ray.config.load import load
    from ncore_ray.config.problems import ConfigurationError

    try:
        configuration = load(path)
    except ConfigurationError as error:
        if not as_json:
            raise
        print_json({"valid": False, "problems": _problem_rows(error)})
        raise typer.Exit(2) from None
    tables = summary_tables(configuration)
    tables.append(plan_rows(configuration))
    if as_json:
        print_json({"valid": True, **{table.name: list(table.rows) for table in tables}})
    else:
        print_rows(tables)
        print_line(f"{path}: the configuration is valid.", "green")


def plan(path: ConfigPath, as_json: AsJson = False) -> None:
    """Show the plan of a configuration: core and function of each actor, its memory, and what that holds.

    The cores are those of this machine. Exit status 2 if the arena is too small.
    """
    from ncore_ray.config.load import load

    print_rows([plan_rows(load(path))], as_json=as_json)


def plan_rows(configuration: Configuration) -> Rows:
    """Return the plan as a table. Raises NcoreError when the arena is too small."""
    from ncore_ray.blueprint.plan import plan_of
    from ncore_ray.cli.figures import volume

    rows: list[Row] = [
        {
            "name": row.name,
            "core": "any" if row.core is None else str(row.core),
            "function": row.function,
            "memory": volume(row.memory),
            "memory_bytes": row.memory,
            "connections": row.connections,
            "frames": row.frames,
        }
        for row in plan_of(configuration)
    ]
    return Rows("plan", rows)


def _problem_rows(error: ConfigurationError) -> list[dict[str, str | int]]:
    return [
        {"file": one.file, "line": one.line, "column": one.column, "key": one.key, "problem": one.text}
        for one in error.problems
    ]


def summary_tables(configuration: Configuration) -> list[Rows]:
    """Return tables of what an appliance with this configuration consists of."""
    return [
        _appliance_rows(configuration),
        _nic_rows(configuration),
        _service_rows(configuration),
        _vserver_rows(configuration),
    ]


def _appliance_rows(configuration: Configuration) -> Rows:
    from ncore_ray.config.units import format_size, format_time

    appliance, distribution = configuration.appliance, configuration.distribution
    row: Row = {
        "name": appliance.name,
        "engines": appliance.engines,
        "cores": "auto" if appliance.cores is None else list(appliance.cores),
        "arena": format_size(appliance.arena),
        "timer": "adaptive" if appliance.timer is None else format_time(appliance.timer),
        "placement": distribution.placement.value,
        "parallelism": distribution.parallelism.value,
        "algorithm": distribution.algorithm.value,
        "key": [field.value for field in distribution.key],
    }
    return Rows("appliance", [row])


def _nic_rows(configuration: Configuration) -> Rows:
    rows: list[Row] = [
        {
            "name": nic.name,
            "driver": nic.driver.value,
            "interface": nic.interface if nic.uses_interface else None,
            "netns": nic.netns,
            "addresses": [str(address) for address in nic.addresses],
            "gateway": str(nic.gateway) if nic.gateway else None,
            "mtu": nic.mtu,
            "faults": nic.faults is not None,
            **_engines_cell(nic.engines),
        }
        for nic in configuration.nics
    ]
    return Rows("nics", rows)


def _engines_cell(engines: tuple[int, ...] | None) -> Row:
    """Return the engines of a vServer or NIC, if the configuration names them."""
    return {} if engines is None else {"engines": list(engines)}


def _service_rows(configuration: Configuration) -> Rows:
    rows: list[Row] = [
        {
            "name": service.name,
            "address": str(service.address),
            "weight": service.weight,
            "monitor": _monitor_text(service),
            "vservers": [one.name for one in configuration.vservers if service.name in one.services],
        }
        for service in configuration.services
    ]
    return Rows("services", rows)


def _monitor_text(service: Service) -> str:
    """Return what the monitor of a service does, in a few words."""
    from ncore_ray.config.servers import HttpMonitor
    from ncore_ray.config.units import format_time

    if service.monitor is None:
        return "none"
    target = f" GET {service.monitor.path}" if isinstance(service.monitor, HttpMonitor) else ""
    return f"{service.monitor.type}{target} every {format_time(service.monitor.interval)}"


def _vserver_rows(configuration: Configuration) -> Rows:
    rows: list[Row] = [
        {
            "name": vserver.name,
            "address": str(vserver.address),
            "protocol": vserver.protocol.value,
            "method": vserver.method.value,
            "services": list(vserver.services),
            **_engines_cell(vserver.engines),
        }
        for vserver in configuration.vservers
    ]
    return Rows("vservers", rows)
