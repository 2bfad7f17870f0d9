"""The kernels of an engine, loaded and run once before there is anything for them to do: for a process that waits."""

from __future__ import annotations

import numpy as np

from ncore_ray.arena.core import Actor, Core
from ncore_ray.arena.header import Arena
from ncore_ray.engine.partition import Engine
from ncore_ray.engine.run import EngineLocal, engine_run
from ncore_ray.engine.takeover.local import TakeoverLocal
from ncore_ray.engine.takeover.run import take_over_kernel
from ncore_ray.engine.timer import WHEEL_SLOTS
from ncore_ray.machine.record import new, size_of, view

_ROOM = 4096


def warm_engine() -> None:
    """Load the loop of an engine and its take-over, and run both on an arena without anything in it."""
    cores, start = _ROOM, 2 * _ROOM
    array = np.zeros(3 * _ROOM + 4 * WHEEL_SLOTS, np.uint8)
    assert max(size_of(Arena), 2 * size_of(Core), size_of(Engine)) <= _ROOM
    view(Arena, array).cores = cores
    view(Core, array, cores + Actor.ENGINE * size_of(Core)).stop = 1
    engine = view(Engine, array, start)
    engine.offset, engine.actor, engine.wheel = start, Actor.ENGINE, 3 * _ROOM
    memory, local, address = new(EngineLocal)
    scratch = np.zeros(64, np.uint8)
    local.scratch = scratch.ctypes.data
    engine_run(array.ctypes.data + start, address)
    found, _, found_address = new(TakeoverLocal)
    take_over_kernel(array.ctypes.data + start, found_address, 0)
    del memory, found
