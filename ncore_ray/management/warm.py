"""What a management loads before it is needed, so that nothing has to be found when it takes over."""

from __future__ import annotations

import importlib
from typing import Final

from ncore_ray.arena.layout import PAGE, Bytes
from ncore_ray.compilation import PARTS
from ncore_ray.machine.jit import JIT

_KERNELS: Final = ("put_in_force", "claim", "ring_bell", "add_address", "index_vserver", "drain_notes")
_MODULES: Final = ("exporter", "ray_instruments", "vitals", "thread")


def warm_management(array: Bytes) -> None:
    """Load the kernels and modules that a management calls, and map the arena's pages."""
    from numba import int64

    for name in _MODULES:
        importlib.import_module(f"ncore_ray.metrics.{name}")
    for module, name, arguments in (entry for part in PARTS.values() for entry in part):
        if JIT and name in _KERNELS:
            getattr(importlib.import_module(module), name).compile((int64,) * arguments)
    int(array[::PAGE].sum())
