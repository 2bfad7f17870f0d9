"""All entry kernels of the data plane, compiled ahead of the actors that run them, once, with news of the progress.

Two processes share the work: the packet engine's kernels take about as long as all others together. Each writes what it
compiled to the cache on disk (`ncore_ray.machine.jit.cache_folder`), from which every actor loads it.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ncore_ray.errors import NcoreError
from ncore_ray.machine.jit import JIT, cache_folder

PARTS: Final[dict[str, tuple[tuple[str, str, int], ...]]] = {
    "packet engine": (
        ("ncore_ray.engine.run", "engine_run", 2),
        ("ncore_ray.engine.takeover.run", "take_over_kernel", 3),
        ("ncore_ray.engine.handover.run", "freeze_kernel", 4),
        ("ncore_ray.engine.handover.run", "thaw_kernel", 4),
        ("ncore_ray.engine.handover.run", "withdraw_kernel", 2),
    ),
    "distributor and NICs": (
        ("ncore_ray.flow.breath", "distributor_run", 2),
        ("ncore_ray.flow.explain", "_write_probe", 8),
        ("ncore_ray.flow.explain", "_decide_copy", 4),
        ("ncore_ray.nic.reader", "reader_run", 3),
        ("ncore_ray.nic.writer", "writer_run", 3),
        ("ncore_ray.nic.writer", "ring_bell", 2),
        ("ncore_ray.nic.queue", "queue_push", 5),
        ("ncore_ray.nic.queue", "queue_drain", 3),
        ("ncore_ray.nic.recover", "rebuild_free", 2),
        ("ncore_ray.nic.recover", "recover_writer", 2),
        ("ncore_ray.engine.access.ring", "drain_notes", 2),
        ("ncore_ray.messages.ring", "put_message", 4),
        ("ncore_ray.messages.ring", "take_message", 5),
        ("ncore_ray.messages.ring", "await_message", 6),
        ("ncore_ray.flow.repair", "recover_decider", 2),
        ("ncore_ray.tables.own_address", "add_address", 6),
        ("ncore_ray.tables.service", "index_vserver", 3),
        ("ncore_ray.tables.settings", "put_in_force", 2),
        ("ncore_ray.arena.lease", "claim", 2),
    ),
}
"""Part → (module, entry kernel, number of its 64-bit arguments)."""
EXPECTED: Final = {"packet engine": 1040, "distributor and NICs": 330}
"""Kernels of each part, about: what the progress is measured against."""
_DONE: Final = "done"

Progress = Callable[[str, int, int], None]
"""Called with a part, the kernels compiled so far, and about how many there are."""


class CompilationError(NcoreError):
    """Kernels that could not be compiled."""


def _marker(part: str) -> Path:
    return cache_folder() / f"{part.replace(' ', '-')}.{_DONE}"


def is_compiled() -> bool:
    """Return whether the cache holds every kernel of exactly this source."""
    return not JIT or all(_marker(part).exists() for part in PARTS)


def compile_part(part: str, tell: Callable[[int], None]) -> None:
    """Compile the entry kernels of one part in this process; ``tell`` is called with the number of kernels so far."""
    from numba import int64

    from ncore_ray.machine import compiler

    compiler.on_compiled = tell
    for module, name, arguments in PARTS[part]:
        entry: Any = getattr(importlib.import_module(module), name)
        entry.compile((int64,) * arguments)
    _marker(part).touch()


def compile_all(progress: Progress) -> None:
    """Compile whatever the cache does not hold yet, part by part in processes of their own.

    Raises:
        CompilationError: a part failed; with the last line that it said.
    """
    command = [sys.executable, "-m", "ncore_ray.compilation"]
    waiting = [part for part in PARTS if not _marker(part).exists()]
    children = {
        part: subprocess.Popen([*command, part], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for part in waiting
    }
    try:
        _follow(children, progress)
    finally:
        for child in children.values():
            if child.poll() is None:
                child.kill()
                child.wait()


def _follow(children: dict[str, subprocess.Popen[str]], progress: Progress) -> None:
    import selectors

    selector = selectors.DefaultSelector()
    for part, child in children.items():
        selector.register(child.stdout, selectors.EVENT_READ, part)  # type: ignore[arg-type]
    while selector.get_map():
        for key, _ in selector.select():
            line = key.fileobj.readline()  # type: ignore[union-attr]
            if line:
                progress(key.data, int(line), max(int(line), EXPECTED[key.data]))
            else:
                selector.unregister(key.fileobj)
    for part, child in children.items():
        _, errors = child.communicate()
        if child.returncode != 0:
            last = (errors.strip().splitlines() or ["no word of why"])[-1]
            raise CompilationError(f"the kernels of the {part} cannot be compiled: {last}")
        progress(part, EXPECTED[part], EXPECTED[part])


def main() -> None:
    """Compile the part that the command line names, printing the number of kernels as they get ready."""
    compile_part(sys.argv[1], lambda count: print(count, flush=True))


if __name__ == "__main__":
    main()
