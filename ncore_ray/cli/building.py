"""What `run` and `deploy` have in common: a configuration that can be built, and a Ray to build it on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ncore_ray.cli.output import console, print_line

if TYPE_CHECKING:
    from ncore_ray.config.model import Configuration


def checked_configuration(path: Path, faults: list[str], traces: list[str]) -> Configuration:
    """Return the configuration of a file with what the command line changes; nothing has been started yet.

    Raises:
        NcoreError: it is wrong, or its arena is too small for what it asks.
    """
    from ncore_ray.cli.overrides import overridden
    from ncore_ray.config.load import load

    configuration = load(path)
    if faults or traces:
        configuration = overridden(configuration, faults, traces)
    with step("Checking"):
        from ncore_ray.blueprint.build import draw

        draw(configuration)
    return configuration


@contextlib.contextmanager
def step(text: str, *, say: bool = False) -> Iterator[None]:
    """Show what is being done: a spinner on a terminal; elsewhere, if ``say``, a line."""
    screen = console()
    if screen.is_terminal:
        with screen.status(f"{text} …"):
            yield
    else:
        if say:
            print_line(f"{text} …")
        yield
