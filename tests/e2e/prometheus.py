"""A Prometheus of this test's own, asked by its HTTP API."""

from __future__ import annotations

import contextlib
import json
import math
import socket
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ncore_ray.lab.process import Process, find_program

MISSING = find_program("prometheus") is None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Prometheus:
    """Asks a running Prometheus."""

    def __init__(self, url: str) -> None:
        self.url = url

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=10):
                return True
        except OSError:  # nobody there yet, or 503
            return False

    def ask(self, path: str, **arguments: str) -> Any:
        """Return what an API call answers."""
        query = urllib.parse.urlencode(arguments)
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=10) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Return the series of an expression as they are now, without those that are no numbers."""
        rows = self.ask("query", query=expression)["result"]
        found = [(row["metric"], float(row["value"][1])) for row in rows]
        return [(labels, value) for labels, value in found if math.isfinite(value)]


@contextlib.contextmanager
def running(configuration: str, folder: Path) -> Iterator[Prometheus]:
    """Run a Prometheus with a configuration."""
    (folder / "prometheus.yml").write_text(configuration)
    port = free_port()
    line = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    line += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
    with Process(line, log=folder / "prometheus.log", lifetime_s=300) as process:
        made = Prometheus(f"http://127.0.0.1:{port}")
        process.wait_until(made.is_ready, "Prometheus is not ready", timeout_s=30)
        yield made
