"""Memory of processes and of the kernel, from ``/proc``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

_MAPPING = re.compile(r"^[0-9a-f]+-[0-9a-f]+ \S+ \S+ (\S+) (\d+)\s*(.*)$")
_SHARED_MEMORY = "/dev/shm/"


def parse_smaps(text: str) -> tuple[int, dict[str, int]]:
    """Read ``/proc/PID/smaps``.

    Returns the proportional bytes (a page shared by n processes counts 1/n) of all mappings but those of files in
    shared memory, and the bytes that the process has mapped of each such file.
    """
    proportional, shared, file = 0, dict[str, int](), ""
    for line in text.splitlines():
        if found := _MAPPING.match(line):
            device, inode, path = found.groups()
            file = f"{device}/{inode}" if path.startswith(_SHARED_MEMORY) else ""
        elif file and line.startswith("Rss:"):
            shared[file] = shared.get(file, 0) + 1024 * int(line.split()[1])
        elif not file and line.startswith("Pss:"):
            proportional += 1024 * int(line.split()[1])
    return proportional, shared


def memory_once(pids: Iterable[int]) -> int:
    """Return the memory of some processes; a file in shared memory, as Ray's store is one, counts whole and once.

    Its proportional share would count only a part: Ray's own processes map it too. Whoever has most of it mapped
    tells how large it is. A process that has ended counts 0.
    """
    total, files = 0, dict[str, int]()
    for pid in pids:
        proportional, shared = parse_smaps(_smaps(pid))
        total += proportional
        for file, size in shared.items():
            files[file] = max(files.get(file, 0), size)
    return total + sum(files.values())


def _smaps(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def kernel_bytes() -> int:
    """Return what the kernel's own objects take in the whole machine: sockets of every host are among them."""
    text = Path("/proc/meminfo").read_text(encoding="ascii")
    return sum(1024 * int(value) for value in re.findall(r"^Slab:\s+(\d+) kB", text, re.MULTILINE))
