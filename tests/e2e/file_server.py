"""nginx as a server that closes often."""

from __future__ import annotations

from pathlib import Path

from ncore_ray.lab.pattern import patterned
from tests.e2e.bed import Bed

NGINX = """\
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr error;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 10.2.0.2:8081; root {folder}; keepalive_requests 7; }}
}}
"""


def serve_file(bed: Bed) -> Path:
    """Serve a file of 100,000 bytes; a connection is closed after seven requests. Return the folder."""
    folder = bed.folder / "nginx"
    folder.mkdir(mode=0o755)
    for parent in folder.parents:
        if parent.stat().st_mode & 0o1 == 0:
            parent.chmod(parent.stat().st_mode | 0o1)  # nginx's worker is another user
    (folder / "file").write_bytes(patterned(1, 100_000))
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder))
    server = bed.network.servers[0].start(["nginx", "-c", str(folder / "nginx.conf")], name="nginx")
    server.wait_port("10.2.0.2", 8081)
    return folder
