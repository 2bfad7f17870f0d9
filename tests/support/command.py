"""The `ncore` command: in this process, and as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from typer.testing import CliRunner, Result

from ncore_ray.cli.main import app
from ncore_ray.management.processes import wait_until

NCORE: Final = (sys.executable, "-m", "ncore_ray.cli.main")


def ncore(*arguments: str | Path) -> Result:
    """Run a command in this process, 100 columns wide; an exception is a failure."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "100"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def data(*arguments: str) -> Any:
    """Return what a command, which has to succeed, prints with `--json`."""
    result = ncore(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


class Command:
    """An `ncore` process whose output goes to a file."""

    def __init__(self, folder: Path, *arguments: str | Path) -> None:
        self._path = folder / "out.txt"
        with self._path.open("w") as file:
            words = [*NCORE, *map(str, arguments)]
            self.process = subprocess.Popen(words, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)

    @property
    def text(self) -> str:
        """What it has said so far."""
        return self._path.read_text()

    def wait_for(self, words: str, timeout_s: float = 120.0) -> None:
        """Wait until it has said something."""
        assert wait_until(lambda: words in self.text or self.process.poll() is not None, timeout_s), self.text
        assert words in self.text

    def end(self, number: int) -> int:
        """Send a signal to it and all that it started, as a terminal does, and return its exit status."""
        os.killpg(self.process.pid, number)
        return self.process.wait(60)

    def abandon(self) -> None:
        """Let a test that fails leave nothing to the next one."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)
