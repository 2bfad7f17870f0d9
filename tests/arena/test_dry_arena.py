"""Arenas of tests: what they take of the process."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

from ncore_ray.lab.dry.arena import make_arena


def test_arenas_that_nobody_uses_do_not_use_up_the_mappings() -> None:
    gc.collect()
    before = mappings()
    gc.disable()
    try:
        for _ in range(130):
            ring: list[Any] = [make_arena()]
            ring.append(ring)  # only the collector finds it
        assert mappings() - before < 110 * per_arena()
    finally:
        gc.enable()


def per_arena() -> int:
    before, one = mappings(), make_arena()
    return mappings() - before if one else 0


def mappings() -> int:
    return Path("/proc/self/maps").read_text().count("\n")
