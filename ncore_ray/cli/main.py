"""The `ncore` command. Each group of sub-commands is a file beside this one, registered below.

`ncore --help` has to be quick: command files import Ray, numba and the rest of the project inside their functions.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ncore_ray import __version__
from ncore_ray.cli import (
    api_command,
    change_commands,
    chaos_command,
    compile_command,
    config_commands,
    dashboards_commands,
    deploy_commands,
    flows_commands,
    metrics_command,
    run_command,
    scale_command,
    shell_command,
    stat_command,
    status_commands,
    top_command,
    version_commands,
)
from ncore_ray.cli.output import print_error
from ncore_ray.errors import NcoreError

FAILED = 2
"""Exit status after an error that is told in a sentence."""


class _Commands(TyperGroup):
    """Runs a command; turns errors that a person can do something about into red sentences and status 2."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except NcoreError as error:
            print_error(str(error))
            raise typer.Exit(FAILED) from None


app = typer.Typer(
    name="ncore",
    cls=_Commands,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_FILES = (
    run_command,
    deploy_commands,
    status_commands,
    stat_command,
    top_command,
    flows_commands,
    change_commands,
    version_commands,
    scale_command,
    chaos_command,
    shell_command,
    api_command,
    metrics_command,
    dashboards_commands,
    config_commands,
    compile_command,
)
for file in _FILES:
    file.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ncore {__version__}")
        raise typer.Exit


@app.callback()
def ncore(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """An application delivery controller (load balancer) whose packet engines are [bold]Ray[/bold] actors."""


def main() -> None:
    """Run the command line (the entry point of the package)."""
    app()


if __name__ == "__main__":
    main()
