"""The server of the benchmarks: nginx that answers from memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.nginx import nginx_arguments, nginx_http
from ncore_ray.lab.network import Network
from ncore_ray.lab.process import Process

BODY = "The quick brown fox jumps over the lazy dogs.."
assert len(BODY) == 46


def start_nginx_origin(network: Network, bodies: Mapping[str, int] | None = None) -> Process:
    """Start nginx on the first server: ``/`` gives 46 bytes, each path of ``bodies`` so many bytes.

    Bodies are files with a hole and no contents, so that the largest takes no room on the disk.
    """
    server = network.servers[0]
    root = network.folder / "bodies"
    root.mkdir(exist_ok=True)
    for path, size in (bodies or {}).items():
        make_body(root / path.strip("/"), size)
    text = f"""
    server {{
        listen {server.address}:80 backlog=65535;
        default_type text/plain;
        sendfile on;
        sendfile_max_chunk 512k;
        tcp_nopush on;
        open_file_cache max=100;
        root {root};
        location = / {{ return 200 "{BODY}"; }}
    }}"""
    file = network.folder / "origin.conf"
    file.write_text(nginx_http(network.folder, "origin", text), encoding="utf-8")
    process = server.start(nginx_arguments(file), name="origin", lifetime_s=900.0)
    process.wait_port(server.address, 80)
    return process


def make_body(file: Path, size: int) -> None:
    """Make a file of zeros."""
    with file.open("wb") as stream:
        stream.truncate(size)
