"""wrk as the load: started on the client host, its figures read from a line that its own script prints."""

from __future__ import annotations

import json
import resource
from dataclasses import dataclass
from typing import Final

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
_SLACK_S: Final = 15.0


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


def run_wrk(network: Network, url: str, *, connections: int, seconds: float, threads: int = 1) -> WrkFigures:
    """Load a URL from the client host for ``seconds`` (whole seconds, at least 1). Raises ValueError, ProcessError."""
    script = network.folder / "figures.lua"
    script.write_text(_SCRIPT, encoding="ascii")
    whole = max(1, round(seconds))
    options = ["--latency", "-t", str(threads), "-c", str(connections), "-d", f"{whole}s", "--timeout", "5s"]
    before = _children_seconds()
    process = network.client.start(
        ["wrk", *options, "-s", str(script), url], name="wrk", lifetime_s=whole + _SLACK_S, read_output=True
    )
    output = "\n".join(process.lines())
    process.wait(_SLACK_S)
    return parse(output, _children_seconds() - before)


def _children_seconds() -> float:
    """User + system time of the children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
