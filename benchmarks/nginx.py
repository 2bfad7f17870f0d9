"""nginx: its command line, the frame of its configuration files, and whether it knows TCP and UDP (module stream)."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

from ncore_ray.lab.process import find_program

_MODULE = "ngx_stream_module.so"
_BUILT_IN = re.compile(r"--with-stream(\s|$)")
_MODULES_PATH = re.compile(r"--modules-path=(\S+)")


def nginx_arguments(file: Path) -> list[str]:
    """Return the command line that runs nginx with a configuration file."""
    return ["nginx", "-e", "stderr", "-c", str(file)]


def _frame(folder: Path, name: str, rest: str, first: str = "") -> str:
    return f"""{first}daemon off;
master_process off;
pid {folder}/{name}.pid;
error_log stderr error;
events {{ worker_connections 16384; }}
{rest}
"""


def nginx_http(folder: Path, name: str, inside_http: str) -> str:
    """Return a configuration for HTTP that writes only below ``folder``: one worker, no log, keep-alive for ever."""
    temporary = "\n".join(
        f"    {kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    http = f"""http {{
{temporary}
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 60s;
    tcp_nodelay on;
{inside_http}
}}"""
    return _frame(folder, name, http)


def nginx_stream(folder: Path, name: str, inside_stream: str) -> str:
    """Return a configuration for TCP and UDP."""
    module = stream_module()
    load = f"load_module {module};\n" if module else ""
    return _frame(folder, name, f"stream {{\n{inside_stream}\n}}", load)


@cache
def _build_options() -> str:
    program = find_program("nginx")
    if program is None:
        return ""
    return subprocess.run([program, "-V"], capture_output=True, text=True, timeout=10).stderr


def stream_module(options: str | None = None) -> Path | None:
    """Return the file of the module stream; None when it is built in, or is not there at all."""
    options = _build_options() if options is None else options
    found = _MODULES_PATH.search(options)
    file = Path(found.group(1)) / _MODULE if found else Path(_MODULE)
    return file if not _BUILT_IN.search(options) and file.exists() else None


def has_stream(options: str | None = None) -> bool:
    """Tell whether nginx can balance TCP and UDP."""
    options = _build_options() if options is None else options
    return bool(_BUILT_IN.search(options)) or stream_module(options) is not None
