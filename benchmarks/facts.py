"""On what a result was measured: revision, machine, versions. Nothing that names a host or a folder."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from ncore_ray.lab.process import find_program

_VERSION_OPTIONS = {"wrk": "-v", "nginx": "-v", "haproxy": "-v", "iperf3": "--version", "curl": "--version"}
_PACKAGES = ("ray", "numba", "numpy")


def gather() -> dict[str, Any]:
    """Return the facts as JSON values."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": _revision(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "versions": {**_program_versions(), **_package_versions()},
    }


def _output(*command: str) -> str:
    """Return what a short command prints, on either stream; empty when it cannot run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, cwd=Path(__file__).parent)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr


def _revision() -> str:
    """Return the git revision, with ``+`` when tracked files of the package or the benchmarks were changed."""
    revision = _output("git", "rev-parse", "--short=12", "HEAD").strip()
    root = Path(__file__).parent.parent
    paths = [str(root / "ncore_ray"), str(root / "benchmarks")]
    changed = _output("git", "status", "--porcelain", "--untracked-files=no", "--", *paths)
    return revision + ("+" if changed.strip() else "")


def _processor() -> str:
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found.group(1) if found else platform.machine()


def _program_versions() -> dict[str, str]:
    versions = {}
    for name, option in _VERSION_OPTIONS.items():
        if program := find_program(name):
            found = re.search(r"\d+\.\d+[\w.]*", _output(program, option))
            versions[name] = found.group(0) if found else "?"
    return versions


def _package_versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in _PACKAGES}
