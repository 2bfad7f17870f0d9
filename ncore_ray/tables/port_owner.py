"""Which engine owns a source port that the appliance uses towards servers.

One byte per port, so that the engine of a server's reply is known from the destination port alone.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.header import arena_at
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load8

PORTS: Final = 65536
FIRST_PORT: Final = 16384
"""Ports below are never used towards servers, so that they stay free for VIPs on the same address."""
NO_OWNER: Final = 255


@kernel
def port_owner(base: int, port: int) -> int:
    """Return the number of the engine (0 …) that owns a port, or NO_OWNER."""
    return load8(base + arena_at(base).port_owners + port)


def port_ranges(engines: int) -> list[tuple[int, int]]:
    """Return the first port and the number of ports of each engine: equal parts of the ports from FIRST_PORT on."""
    each = (PORTS - FIRST_PORT) // engines
    return [(FIRST_PORT + k * each, each) for k in range(engines)]
