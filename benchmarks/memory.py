"""Memory of processes, from ``/proc``."""

from __future__ import annotations

from pathlib import Path


def proportional_bytes(pid: int) -> int:
    """Return the proportional set size: a page shared by n processes counts 1/n. 0 when the process has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    kilobytes = [int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")]
    return 1024 * sum(kilobytes)
