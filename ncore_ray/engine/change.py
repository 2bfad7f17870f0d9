"""The mark on what an engine is changing, for the successor of one that dies in the middle of it.

An engine changes one connection at a time, with its peer, and now and then with others: one that it takes, one that it
destroys. Before the first store it writes down which; after the last it wipes that out. So whatever the instant of its
death, a successor knows the connections that it may not trust; everything else is whole. What is derived from the
connections (index, wheel, lists, free frames) needs no mark: it is made anew (`takeover`).

The order of these stores against all others is kept by a fence for the compiler, which costs no instruction: that
suffices, as a process that is killed leaves memory as after one of its instructions.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.partition import TOUCHED, Engine
from ncore_ray.machine.atomic import compiler_fence
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load64, store64
from ncore_ray.machine.record import address_of, offset_of

NEW_ONE: Final = -1
"""Instead of a number: the connection that is changed is yet to be taken."""
_TOUCHED: Final = offset_of(Engine, "touched")


@kernel
def begin_change(engine: Engine, number: int) -> int:
    """Mark the connection of a number (plus 1), or NEW_ONE, before the first store that changes it."""
    engine.touched_count = 0
    compiler_fence()
    engine.changing = number
    return compiler_fence()


@kernel
def end_change(engine: Engine) -> int:
    """Wipe out the mark after the last store."""
    compiler_fence()
    engine.changing = 0
    return 0


@kernel
def touched_connection(engine: Engine, place: int) -> int:
    """Return the number of a connection that was touched; ``place`` counts from 0."""
    return load64(address_of(engine) + _TOUCHED + 8 * place)


@kernel
def touch(engine: Engine, index: int) -> int:
    """Add another connection, by its number, to those that are being changed."""
    store64(address_of(engine) + _TOUCHED + 8 * (engine.touched_count % TOUCHED), index)
    compiler_fence()
    engine.touched_count += 1
    return compiler_fence()
