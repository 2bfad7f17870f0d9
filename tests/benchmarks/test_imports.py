"""Whoever measures needs no test tools: benchmarks run with the packages of the extra ``bench``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import benchmarks

ROOM = Path(benchmarks.__file__).parent
IMPORT_ALL = """
import importlib, sys
for missing in ("pytest", "hypothesis", "tests"):
    sys.modules[missing] = None
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


def test_no_benchmark_needs_the_tests_or_their_tools() -> None:
    names = sorted(f"benchmarks.{path.stem}" for path in ROOM.glob("*.py") if path.stem != "plots")
    assert "benchmarks.forwarding" in names
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, *names], cwd=ROOM.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
