"""Something drawn again and again until Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ncore_ray.cli.output import console

if TYPE_CHECKING:
    from rich.console import RenderableType


def show_live(make: Callable[[], RenderableType], seconds: float) -> None:
    """Show what ``make`` returns, anew every so many seconds, until Ctrl-C: on a terminal in place, else below."""
    from rich.live import Live

    screen = console()
    try:
        if not screen.is_terminal:
            while True:
                screen.print(make())
                time.sleep(seconds)
        with Live(console=screen, screen=True, auto_refresh=False) as live:
            while True:
                live.update(make(), refresh=True)
                time.sleep(seconds)
    except KeyboardInterrupt:
        return
