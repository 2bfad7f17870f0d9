"""One large download: curl → peer → nginx that sends a file from the page cache; 1 GB, or what the time allows."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import transfers
from benchmarks.goals import Goal
from benchmarks.harness import Bed
from benchmarks.load import Case, Load
from benchmarks.origin import start_nginx_origin
from benchmarks.peers import USUAL, Protocol, Service
from ncore_ray.lab.network import Network
from ncore_ray.lab.process import Process


class HttpDownload:
    """The scenario."""

    name = "http_download"
    title = "HTTP, one download of 1 GB"
    unit = "MB"
    cases: Sequence[Case] = (Case("1 connection", 1, "/1g", (Goal("rate", 1.0),)),)
    protocol = Protocol.HTTP
    base = "haproxy"
    peers: Sequence[str] = USUAL
    programs: Sequence[str] = ("curl", "nginx")

    def serve(self, network: Network) -> tuple[Process, Service]:
        """One nginx; the file's name in its folder is a link to the one of the whole run."""
        process = start_nginx_origin(network)
        (network.folder / "bodies" / "1g").symlink_to(transfers.gigabyte())
        return process, Service(self.protocol, (f"{network.servers[0].address}:80",))

    def load(self, bed: Bed, case: Case, seconds: float) -> Load:
        """One curl."""
        return transfers.run_curl(bed.network, f"http://{bed.endpoint}{case.target}", seconds)


SCENARIO = HttpDownload()
