"""``python -m benchmarks.profile tcp_stream ncore-1-per-core``: where the time of a peer goes, per unit of its work.

Needs perf (package linux-perf) and a user who may use it. The case is a number, 0 by default.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.harness import Bed
from benchmarks.load import Load
from benchmarks.peers import known_peers, select
from benchmarks.scenarios import ON_THE_WIRE
from benchmarks.stacks import shares
from ncore_ray.lab.cpu import process_tree
from ncore_ray.lab.network import Layout, Network
from ncore_ray.lab.offload import KERNEL_DEFAULT

_PREFIX: Final = "ncore-profile"
_SECONDS: Final = 4.0
_SAMPLED_S: Final = 3.0
_PER_SECOND: Final = 1_999


def _start_perf(pids: Sequence[int], file: Path) -> subprocess.Popen[bytes]:
    named = ",".join(map(str, pids))
    command = ["perf", "record", "-q", "-g", "-F", str(_PER_SECOND), "-p", named, "-o", str(file)]
    return subprocess.Popen([*command, "--", "sleep", str(_SAMPLED_S)], stderr=subprocess.DEVNULL)


def _stacks(file: Path) -> str:
    command = ["perf", "script", "-i", str(file), "-F", "comm,ip,sym,dso"]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=True).stdout


def _measure(bed: Bed, number: int) -> tuple[Load, float, str]:
    """Return the load, the peer's CPU seconds, and what perf saw."""
    case = bed.scenario.cases[number]
    bed.scenario.load(bed, case, 1.0)
    pids = [pid for root in bed.peer.pids() for pid in process_tree(root)]
    with tempfile.TemporaryDirectory() as folder:
        before = bed.peer.cpu_seconds()
        perf = _start_perf(pids, Path(folder) / "perf.data")
        load = bed.scenario.load(bed, case, _SECONDS)
        cpu_seconds = bed.peer.cpu_seconds() - before
        perf.wait(30)
        return load, cpu_seconds, _stacks(Path(folder) / "perf.data")


def profile(scenario_name: str, peer_name: str, number: int = 0) -> None:
    """Print a table."""
    scenario, (peer,) = ON_THE_WIRE[scenario_name], select(known_peers(), [peer_name])
    layout = Layout(prefix=_PREFIX, servers=1, forwarding=peer.forwarding, host_offloads=KERNEL_DEFAULT)
    with Network(layout) as network:
        origin, service = scenario.serve(network)
        try:
            bed = Bed(scenario, peer, network, origin, peer.start(network, service))
            load, cpu_seconds, text = _measure(bed, number)
        finally:
            peer.stop()
    each = cpu_seconds * 1e6 / load.units
    print(f"{scenario.title}, {scenario.cases[number].name}, {peer.name}: {load.units / load.seconds:,.0f}", end=" ")
    print(f"{scenario.unit}/s, {each:,.1f} µs of CPU per {scenario.unit}\n\n| stage | share | µs/{scenario.unit} |")
    print("|---|---:|---:|")
    for name, share in shares(text):
        print(f"| {name} | {share:.1%} | {share * each:,.1f} |")


if __name__ == "__main__":
    profile(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 0)
