"""`ncore add`, `set`, `bind`, `apply`, `rollback` …: change the configuration of an appliance that runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ncore_ray.cli.options import AsJson, OfAppliance, appliance
from ncore_ray.cli.output import print_json, print_line
from ncore_ray.errors import NcoreError

if TYPE_CHECKING:
    from ncore_ray.appliance.session import Appliance

Words = Annotated[list[str], typer.Argument(metavar="KIND [NAME] …", help="The rest of the command.")]
Comment = Annotated[str, typer.Option("--comment", "-m", metavar="TEXT", help="Why; kept with the version.")]

_HELP: Final = {
    "add": """Add a service, a vServer or a NIC.

        ncore add service web3 address=10.1.0.4:80 weight=2

        ncore add vserver app address=10.1.0.101:80 protocol=HTTP services=web1,web3
    """,
    "set": """Set keys of a service or vServer, or of a section such as timeouts.

        ncore set service web1 weight=3

        ncore set vserver www method=leastconnection timeouts.header=4s
    """,
    "unset": """Let keys be as by default again.

        ncore unset service web1 monitor
    """,
    "rm": """Remove a service, a vServer or a NIC: what has begun goes on, nothing new begins.

        ncore rm vserver app
    """,
    "move": """Give a service, vServer or NIC another place in the list.

        ncore move vserver app first
    """,
    "bind": """Let a vServer use a service.

        ncore bind www web3
    """,
    "unbind": """Let a vServer no longer use a service: what has begun there goes on.

        ncore unbind www web2
    """,
}


def register(root: typer.Typer) -> None:
    """Add these commands to `ncore`."""
    for verb, text in _HELP.items():
        root.command(verb, help=text)(_verb(verb))
    root.command()(apply)
    root.command()(rollback)


def _verb(verb: str) -> Callable[..., None]:
    def command(words: Words, name: OfAppliance = None, comment: Comment = "", as_json: AsJson = False) -> None:
        from ncore_ray.config.language import parse_words, to_text

        line = to_text(parse_words([verb, *words]))
        change(appliance(name), [line], comment, as_json)

    return command


def change(one: Appliance, commands: list[str], comment: str, as_json: bool) -> None:
    """Make some changes, and tell what was done."""
    _report(one.ask("configure", "change", commands, author(), comment, str(Path.cwd())), as_json)


def apply(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="YAML, or a script of commands; - is standard input.")],
    name: OfAppliance = None,
    comment: Comment = "",
    as_json: AsJson = False,
) -> None:
    """Make the configuration of a running appliance what a YAML file says, or do the commands of a script.

    All of it at one instant, on all engines, or nothing. What cannot change while it runs is told key by key (`ncore
    diff FILE` tells it before).

        ncore apply edge.yaml --comment "more weight for web1"
    """
    if path.suffix in (".yaml", ".yml"):
        from ncore_ray.config.load import dump, load

        text = dump(load(path))
        _report(appliance(name).ask("configure", "apply", text, str(path), author(), comment), as_json)
        return
    from ncore_ray.config.language import parse_script, to_text

    commands = list(map(to_text, parse_script(_read(path))))
    change(appliance(name), commands, comment or f"apply {path}", as_json)


def _read(path: Path) -> str:
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise NcoreError(f"{path} cannot be read: {error}") from None


def rollback(
    version: Annotated[int, typer.Argument(metavar="VERSION", min=1, help="As `ncore history` lists them.")],
    name: OfAppliance = None,
    comment: Comment = "",
    as_json: AsJson = False,
) -> None:
    """Make the configuration of a running appliance what a former version was. That is a new version."""
    _report(appliance(name).ask("configure", "rollback", version, author(), comment), as_json)


def author() -> str:
    """Return who gives commands here."""
    from ncore_ray.management.store import author as found

    return found()


def _report(done: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(done)
        return
    if not done["commands"]:
        print_line(f"Nothing to do: version {done['version']} says that already.", "green")
        return
    for command in done["commands"]:
        print_line(f"  {command}")
    if done["late"]:
        actors = ", ".join(map(str, done["late"]))
        print_line(f"Version {done['version']} is stored, but not acknowledged by actor {actors} yet.", "yellow")
        return
    times = f"{done['acknowledged_ms']:.1f} ms after the commit, {done['total_ms']:.0f} ms in all"
    print_line(f"Version {done['version']} is in force: acknowledged by all engines {times}.", "green")
