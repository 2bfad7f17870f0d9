"""What to try by hand while the demo is kept running."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Final

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from ncore_ray.demo.stage import Stage
from ncore_ray.lab import look
from ncore_ray.lab.network import VIP

VIP_URL: Final = f"http://{VIP}"
TOKEN: Final = Path.home() / ".ray" / "auth_token"


def commands(stage: Stage) -> list[tuple[str, str]]:
    """Return what each command shows, and the command, ready to paste into another terminal."""
    client = stage.network.client
    url = f"http://{VIP}"
    return [
        ("which server answers", client.command_text(["curl", "-i", f"{url}/headers"])),
        ("a large body", client.command_text(["curl", "-o", "/dev/null", f"{url}/bytes/100000000"])),
        ("an upload", client.command_text(["curl", "-d", "hello", f"{url}/echo?back=1"])),
        ("counters", _ncore(stage, "stat")),
        ("connections", _ncore(stage, "flows")),
        ("live view", _ncore(stage, "top")),
        ("why this engine", _ncore(stage, f"explain '10.1.0.2:40000 -> {VIP}:80'")),
        ("more engines", _ncore(stage, "scale engines 4")),
        ("kill engines under load", _ncore(stage, _chaos(client.namespace.name))),
    ]


def _chaos(netns: str) -> str:
    return f"chaos --url '{VIP_URL}/bytes/1000000' --clients 50 --duration 20 --only engine --netns {netns}"


def _ncore(stage: Stage, arguments: str) -> str:
    line = f"{stage.ray.environment}{_program()} {arguments}"
    if os.environ.get("NCORE_LAB_USER_NAMESPACE"):
        return f"nsenter --target {os.getpid()} --user --mount --net --preserve-credentials env {line}"
    return line


def _program() -> str:
    """Return the `ncore` command of this environment, as short as it can be written here."""
    beside = Path(sys.executable).with_name("ncore")
    if shutil.which("ncore") == str(beside) or not beside.exists():
        return "ncore"
    return str(beside.relative_to(Path.cwd())) if beside.is_relative_to(Path.cwd()) else str(beside)


def hints(stage: Stage, width: int) -> RenderableType:
    """Return the panel of commands."""
    parts: list[RenderableType] = [Text("The load is over; everything goes on running. In another terminal:"), Text()]
    for what, line in commands(stage):
        parts.append(Text.assemble((f"# {what}\n", look.SOFT), (line, look.ACCENT)))
    parts += [Text(), Text.assemble("Ray dashboard  ", (stage.site.dashboard, f"underline {look.ACCENT}"))]
    if TOKEN.exists():
        parts.append(Text(f"(it asks for the token in {TOKEN})", style=look.SOFT))
    parts.append(Text("Ctrl-C takes everything down.", style="bold"))
    title = Text(" try it ", style=f"bold {look.ACCENT}")
    return Panel(Group(*parts), title=title, padding=(1, 2), border_style=look.SOFT, width=width)
