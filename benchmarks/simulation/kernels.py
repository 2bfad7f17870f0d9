"""What the simulation asks of an engine beside breathing."""

from __future__ import annotations

from ncore_ray.engine.partition import engine_at
from ncore_ray.engine.timer import time_to_next
from ncore_ray.machine.jit import entry_kernel


@entry_kernel
def time_to_timer(engine_address: int) -> int:
    """Return the µs from the engine's last breath until a timer may be due, 20 ms at the most."""
    return time_to_next(engine_at(engine_address))
