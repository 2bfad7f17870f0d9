"""wrk as the load: started on the client host, its figures read from a line that its own script prints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.load import Load
from benchmarks.programs import run_on_client
from ncore_ray.lab.network import Network

_MARK: Final = "FIGURES "
_SCRIPT: Final = (
    """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('"""
    + _MARK
    + """{"requests":%d,"microseconds":%d,"bytes":%d,"errors":%d,"p50":%d,"p99":%d,"p999":%d,"max":%d}\\n',
    summary.requests, summary.duration, summary.bytes, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9), latency.max))
end
"""
)


@dataclass(frozen=True)
class WrkFigures:
    """What one run of wrk found. Latencies in µs; errors: connect, read, write, status other than 2xx/3xx, time-out."""

    requests: int
    seconds: float
    received_bytes: int
    errors: int
    p50_us: float
    p99_us: float
    p999_us: float
    max_us: float
    cpu_seconds: float

    @property
    def requests_per_s(self) -> float:
        """Completed requests per second."""
        return self.requests / self.seconds

    def as_load(self) -> Load:
        """Return it with requests as the unit."""
        return Load(
            units=self.requests,
            seconds=self.seconds,
            p50_us=self.p50_us,
            p99_us=self.p99_us,
            p999_us=self.p999_us,
            errors=self.errors,
            cpu_seconds=self.cpu_seconds,
        )


def parse(output: str, cpu_seconds: float = 0.0) -> WrkFigures:
    """Read what wrk printed. Raises ValueError with wrk's last words when the figures are not there."""
    lines = [line for line in output.splitlines() if line.startswith(_MARK)]
    if not lines:
        raise ValueError(f"wrk printed no figures: {output.strip()[-400:]}")
    raw = json.loads(lines[0].removeprefix(_MARK))
    return WrkFigures(
        requests=raw["requests"],
        seconds=raw["microseconds"] / 1e6,
        received_bytes=raw["bytes"],
        errors=raw["errors"],
        p50_us=raw["p50"],
        p99_us=raw["p99"],
        p999_us=raw["p999"],
        max_us=raw["max"],
        cpu_seconds=cpu_seconds,
    )


def run_wrk(
    network: Network, url: str, *, connections: int, seconds: float, threads: int = 1, headers: Sequence[str] = ()
) -> WrkFigures:
    """Load a URL from the client host for ``seconds`` (whole seconds, at least 1). Raises ValueError, ProcessError."""
    script = network.folder / "figures.lua"
    script.write_text(_SCRIPT, encoding="ascii")
    whole = max(1, round(seconds))
    options = ["--latency", "-t", str(threads), "-c", str(connections), "-d", f"{whole}s", "--timeout", "5s"]
    fields = [word for header in headers for word in ("-H", header)]
    return parse(*run_on_client(network, ["wrk", *options, *fields, "-s", str(script), url], whole))
