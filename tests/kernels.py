"""The kernels that the unit tests run, compiled with index checks before the tests run on all cores.

Else each of pytest's workers would compile them for itself, the whole packet engine among them. Two processes share the
work: within one, a kernel that several entries call is typed once. ``NUMBA_BOUNDSCHECK=1 python -m tests.kernels``
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parent.parent
ENGINE: Final = ("ncore_ray.engine.run:breathe_once", "benchmarks.rig_kernels:rigs_run", "tests/engine")
REST: Final = (
    "ncore_ray/flow",
    "ncore_ray/nic",
    "ncore_ray/tables",
    "ncore_ray/engine/handover",
    "ncore_ray/engine/remote",
    "benchmarks.forwarding:forward_many",
    *(f"tests/{room}" for room in ("arena", "blueprint", "flow", "machine", "nic", "tables", "wire")),
)
"""Kernels, and folders all of whose entry kernels are meant."""
PARTS: Final = {"engine": ENGINE, "rest": REST}


def modules_with_entries(folder: str) -> list[str]:
    """Return the names of the modules in a folder that have an entry kernel."""
    paths = sorted((ROOT / folder).rglob("*.py"))
    names = [path.relative_to(ROOT).with_suffix("") for path in paths if "\n@entry_kernel\n" in path.read_text()]
    return [".".join(name.parts) for name in names]


def entries_of(module: str) -> list[Any]:
    """Return the entry kernels that a module defines."""
    from numba.core.registry import CPUDispatcher

    found = vars(importlib.import_module(module)).values()
    return [kernel for kernel in found if type(kernel) is CPUDispatcher and kernel.py_func.__module__ == module]


def entries(source: str) -> list[Any]:
    """Return the entry kernels that an item of a part names."""
    module, _, name = source.partition(":")
    if name:
        return [getattr(importlib.import_module(module), name)]
    return [kernel for found in modules_with_entries(source) for kernel in entries_of(found)]


def compile_part(part: str) -> None:
    """Compile all entry kernels of a part; their arguments are integers and addresses."""
    from numba import int64

    for source in PARTS[part]:
        for kernel in entries(source):
            kernel.compile((int64,) * kernel.py_func.__code__.co_argcount)


def main() -> int:
    """Compile the parts that the command line names; without any, all of them at once."""
    if len(sys.argv) > 1:
        for part in sys.argv[1:]:
            compile_part(part)
        return 0
    children = [subprocess.Popen([sys.executable, "-m", "tests.kernels", part]) for part in PARTS]
    codes = [child.wait() for child in children]
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())
