"""A program that builds an appliance which is to last. It is killed as soon as it has done so.

python -m tests.e2e.driver NAME STORE < CONFIGURATION
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from ncore_ray.appliance import session
from ncore_ray.config.load import parse
from ncore_ray.lab.process import python_module

_BUILT: Final = "built\n"


def create_and_die(text: str, name: str, store: Path) -> tuple[session.Appliance, int]:
    """Have an appliance built by another process, which gets SIGKILL then; return the appliance and that process."""
    line = python_module("tests.e2e.driver", name, str(store))
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdin is not None
        assert driver.stdout is not None
        driver.stdin.write(text)
        driver.stdin.close()
        try:
            assert driver.stdout.readline() == _BUILT, "the appliance was not built"
        finally:
            os.kill(driver.pid, signal.SIGKILL)
    return session.find(name), driver.pid


def main() -> None:
    """Build it, say so, and wait for the end."""
    name, store = sys.argv[1:]
    session.connect()
    session.create(parse(sys.stdin.read(), name), name, detached=True, store=Path(store))
    sys.stdout.write(_BUILT)
    sys.stdout.flush()
    signal.pause()


if __name__ == "__main__":
    main()
