"""CPU time of processes, from ``/proc``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class _Stat:
    parent: int
    ticks: int


def _read_stat(pid: int) -> _Stat | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    after_name = text.rpartition(")")[2].split()  # the name may hold spaces and parentheses
    # Fields 4 (parent) and 14 to 17 (user and system time, own and of children waited for) of proc(5).
    return _Stat(int(after_name[1]), sum(int(field) for field in after_name[11:15]))


def process_tree(root: int) -> list[int]:
    """Return the ids of a process and all its living descendants; empty when it has ended."""
    stats = {int(name): _read_stat(int(name)) for name in os.listdir("/proc") if name.isdigit()}
    if stats.get(root) is None:
        return []
    tree = [root]
    for pid in tree:  # grows while we walk
        tree.extend(child for child, stat in stats.items() if stat is not None and stat.parent == pid)
    return tree


def cpu_seconds(*roots: int) -> float:
    """Return user + system time in s of the given processes and their descendants, all threads together.

    Descendants that have ended count once their parent has waited for them. Resolution: one clock tick (10 ms).
    """
    pids = {pid for root in roots for pid in process_tree(root)}
    stats = [_read_stat(pid) for pid in pids]
    return sum(stat.ticks for stat in stats if stat is not None) / _TICKS_PER_S


def machine_cpu_seconds() -> float:
    """Return the busy time in s of all cores since boot, soft interrupts and other people's work included."""
    first = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(field) for field in first[:8])
    return (user + nice + system + irq + softirq + steal) / _TICKS_PER_S
