"""The demo's command line, and the one whole run of it with everything around."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from ncore_ray.demo.command import read_options
from ncore_ray.demo.show import Load
from ncore_ray.lab.namespace import namespaces_of


def test_options_have_defaults() -> None:
    options = read_options([])
    assert (options.load, options.keep, options.json, options.engines) == (Load(), False, False, 2)
    assert options.load.connections >= 300


def test_options_are_read() -> None:
    options = read_options(["--keep", "--seconds", "3", "--requests", "10", "--rate", "0", "--engines", "1"])
    assert (options.load, options.keep, options.engines) == (Load(3.0, 10, 300, 0.0), True, 1)


@pytest.mark.network
@pytest.mark.ray
def test_whole_demo_passes_and_leaves_nothing(namespaces: None) -> None:
    before = namespaces_of("ncore-demo")
    line = [sys.executable, "-m", "ncore_ray.demo", "--json", "--seconds", "3", "--connections", "100"]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run(line, capture_output=True, text=True, timeout=150, env=environment, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    result = json.loads(done.stdout)
    assert result["passed"]
    assert [row["name"] for row in result["engines"]] == ["engine-0", "engine-1"]
    assert all(row["requests"] > 0 for row in result["servers"])
    assert {check["name"] for check in result["checks"] if check["passed"]} >= {
        "every flow was seen by exactly one engine",
        "every body arrived byte-exact",
        "every frame is accounted for",
    }
    assert result["dashboard"].startswith("http://")
    assert namespaces_of("ncore-demo") == before
