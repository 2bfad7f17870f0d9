"""`ncore shell`: commands one after the other, with completion."""

from __future__ import annotations

import cmd
import shlex
from typing import TYPE_CHECKING, Any

import typer

from ncore_ray.cli.options import Name, appliance
from ncore_ray.cli.output import print_error, print_line
from ncore_ray.errors import NcoreError

if TYPE_CHECKING:
    from ncore_ray.appliance.session import Appliance
    from ncore_ray.config.model import Configuration

LOOKS = ("show", "history", "export", "diff", "apply", "rollback")
"""Commands that take the appliance as an option, or as their argument."""
_END = ("exit", "quit", "EOF")


def register(root: typer.Typer) -> None:
    """Add this command to `ncore`."""
    root.command()(shell)


def shell(name: Name = None) -> None:
    """Type commands for one appliance, one after the other; Tab completes them, exit or Ctrl-D ends.

    add, set, unset, rm, move, bind, unbind; show, diff, apply, history, rollback, export.
    """
    one = appliance(name)
    print_line(f"{one.name}: Tab completes, help lists the commands, exit ends.")
    try:
        Shell(one).cmdloop()
    except KeyboardInterrupt:
        print_line("")


class Shell(cmd.Cmd):
    """Reads lines and does them."""

    def __init__(self, one: Appliance, **streams: Any) -> None:
        super().__init__(**streams)
        self.one = one
        self.prompt = f"{one.name}> "

    def configuration(self) -> Configuration:
        """Return the configuration that the appliance works by."""
        from ncore_ray.config.load import parse

        return parse(self.one.ask("configuration"), "running")

    def onecmd(self, line: str) -> bool:
        """Do a line; return whether it was the last."""
        words = line.split()
        if not words:
            return False
        if words[0] in _END:
            return True
        try:
            self._do(words, line)
        except NcoreError as error:
            print_error(str(error))
        return False

    def _do(self, words: list[str], line: str) -> None:
        from ncore_ray.cli.change_commands import change
        from ncore_ray.config.language import USAGE, parse_command, to_text

        if words[0] == "help":
            self._help()
        elif words[0] in LOOKS:
            self._look(line)
        elif words[0] in USAGE:
            change(self.one, [to_text(parse_command(line))], "", as_json=False)
        else:
            raise NcoreError(f"there is no command {words[0]} here (help lists them)")

    def _help(self) -> None:
        from ncore_ray.config.language import USAGE

        for form in (*USAGE.values(), *LOOKS, "exit"):
            print_line(form)

    def _look(self, line: str) -> None:
        """Do a command as `ncore` itself does it."""
        from ncore_ray.cli.main import app

        try:
            words = shlex.split(line)
        except ValueError as error:
            raise NcoreError(f"{line}: {error}") from None
        named = [self.one.name] if words[0] in ("history", "export") else ["--appliance", self.one.name]
        try:
            app([*words, *named], standalone_mode=False)
        except Exception as error:  # what typer says of a wrong line has no public name
            if not hasattr(error, "format_message"):
                raise
            print_error(error.format_message())

    def completenames(self, text: str, *ignored: Any) -> list[str]:
        """Return the commands that begin so."""
        from ncore_ray.config.language import USAGE

        return [verb for verb in (*USAGE, *LOOKS, "help", "exit") if verb.startswith(text)]

    def completedefault(self, *arguments: Any) -> list[str]:
        """Return the words that begin so and may stand where the cursor is."""
        from ncore_ray.cli.completion import candidates

        text, line, begins_at, _ = arguments
        start = line.rfind(" ", 0, begins_at) + 1  # readline breaks words at signs that names may have
        typed = line[start:begins_at] + text
        found = candidates(line[:start].split(), self.configuration())
        return [word[begins_at - start :] for word in found if word.startswith(typed)]
