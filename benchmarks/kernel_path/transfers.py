"""Transfers by independent programs at both ends: curl from nginx, iperf3 both ways."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from benchmarks.kernel_path.bed import ENDS, FILE, IPERF_PORT, WEB_PORT, Bed

_SLACK_S = 30.0


class TransferError(RuntimeError):
    """A transfer failed, or its bytes are not those of the server."""


@dataclass(frozen=True)
class Transfer:
    """What came of one."""

    size: int
    seconds: float
    digest: str = ""
    """SHA-256 of the bytes, which are those of the server."""

    @property
    def rate(self) -> float:
        """Bytes per second."""
        return self.size / self.seconds if self.seconds else 0.0


def download(bed: Bed, end: str, seconds: float) -> Transfer:
    """Fetch the file with curl for so long at the most; all bytes that came are compared. Raises TransferError."""
    target = bed.folder / "fetched"
    target.unlink(missing_ok=True)
    url = f"http://{ENDS[end]}:{WEB_PORT}/{FILE}"
    wanted = "%{size_download} %{time_total} %{http_code}"
    command = ["curl", "-s", "-o", str(target), "--max-time", f"{seconds:g}", "-w", wanted, url]
    process = bed.client.start(command, name="curl", lifetime_s=seconds + _SLACK_S, read_output=True)
    words = " ".join(map(str, process.lines())).split()
    process.wait(_SLACK_S)
    bed.client.running.remove(process)
    if len(words) != 3 or words[2] != "200":
        raise TransferError(f"curl from the {end} says {' '.join(words) or process.log_tail() or 'nothing'}")
    got = target.read_bytes()
    digest = hashlib.sha256(got).hexdigest()
    if digest != hashlib.sha256(bed.content[: len(got)]).hexdigest():
        raise TransferError(f"the {end} sent other bytes than the server")
    return Transfer(int(words[0]), float(words[1]), digest)


def iperf(bed: Bed, end: str, seconds: float, *, to_client: bool) -> Transfer:
    """Send with iperf3 in one direction; iperf3 checks no bytes. Raises TransferError."""
    command = ["iperf3", "--client", ENDS[end], "--port", str(IPERF_PORT), "--time", f"{seconds:g}", "--json"]
    command += ["--reverse"] if to_client else []
    process = bed.client.start(command, name="iperf3", lifetime_s=seconds + _SLACK_S, read_output=True)
    output = "\n".join(process.lines())
    process.wait(_SLACK_S)
    bed.client.running.remove(process)
    begin = output.find("{")
    found: dict[str, Any] = json.loads(output[begin:]) if begin >= 0 else {"error": output[-200:]}
    if "error" in found:
        raise TransferError(f"iperf3 by way of the {end} says: {found['error']}")
    received = found["end"]["sum_received"]
    return Transfer(int(received["bytes"]), float(received["seconds"]))
