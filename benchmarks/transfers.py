"""One large body by curl: how many bytes come through within the time of a measurement, 1 GB at the most."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from benchmarks.load import Load
from benchmarks.origin import make_body
from benchmarks.programs import run_on_client
from ncore_ray.lab.network import Network

SIZE: Final = 1_000_000_000
_TIME_IS_OVER: Final = 28
"""curl's exit status when --max-time ended the transfer: what came until then counts."""


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Return a folder that is removed when this program ends."""
    return tempfile.TemporaryDirectory(prefix="ncore-bench-body-")


@cache
def gigabyte() -> Path:
    """Return a file of 1 GB that is one hole: kept for the whole run, so that it is read from the page cache."""
    file = Path(_folder().name) / "1g"
    make_body(file, SIZE)
    return file


@dataclass(frozen=True)
class Transfer:
    """What curl says of one transfer."""

    transferred_bytes: int
    seconds: float
    error: str
    """Empty when all went well, also when the time was over first."""


def parse(output: str) -> Transfer:
    """Read what ``curl --write-out '%{json}'`` printed. Raises ValueError when that is not there."""
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if not lines:
        raise ValueError(f"curl printed no figures: {output.strip()[-400:]}")
    raw = json.loads(lines[-1])
    error = "" if raw["exitcode"] in (0, _TIME_IS_OVER) else str(raw["errormsg"])
    if raw["http_code"] not in (0, 200):
        error = error or f"status {raw['http_code']}"
    return Transfer(int(raw["size_download"]) + int(raw["size_upload"]), float(raw["time_total"]), error)


def run_curl(network: Network, url: str, seconds: float, upload: Path | None = None) -> Load:
    """Fetch or send one body for at most ``seconds``; the unit is MB. Raises ValueError, ProcessError."""
    options = ["--silent", "--show-error", "--output", "/dev/null", "--write-out", "%{json}\n"]
    options += ["--max-time", f"{seconds:g}"]
    if upload is not None:
        options += ["--upload-file", str(upload), "--header", "Expect:"]
    output, cpu_seconds = run_on_client(network, ["curl", *options, url], seconds)
    found = parse(output)
    return Load(
        units=found.transferred_bytes / 1e6,
        seconds=found.seconds,
        errors=1 if found.error or not found.transferred_bytes else 0,
        cpu_seconds=cpu_seconds,
    )
