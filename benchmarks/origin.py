"""The server of the benchmarks: nginx that answers from memory."""

from __future__ import annotations

from benchmarks.peers import nginx_arguments, nginx_configuration
from ncore_ray.lab.network import Network
from ncore_ray.lab.process import Process

BODY = "The quick brown fox jumps over the lazy dogs.."
assert len(BODY) == 46


def start_nginx_origin(network: Network, locations: str = "") -> Process:
    """Start nginx on the first server: ``/`` gives 46 bytes; ``locations`` adds ``location`` blocks."""
    server = network.servers[0]
    text = f"""
    server {{
        listen {server.address}:80 backlog=65535;
        default_type text/plain;
        location = / {{ return 200 "{BODY}"; }}
{locations}
    }}"""
    file = network.folder / "origin.conf"
    file.write_text(nginx_configuration(network.folder, text), encoding="utf-8")
    process = server.start(nginx_arguments(file), name="origin", lifetime_s=900.0)
    process.wait_port(server.address, 80)
    return process
