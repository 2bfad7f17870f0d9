"""How many of everything fit into the arena that a configuration asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ncore_ray.arena.frame import FRAME_SIZE, FrameMeta
from ncore_ray.arena.layout import ArenaError
from ncore_ray.config.model import Configuration
from ncore_ray.engine.connection import Tcb
from ncore_ray.engine.http.exchange import Exchange
from ncore_ray.engine.http.message.body import Body
from ncore_ray.machine.record import size_of

_FRAME: Final = FRAME_SIZE + size_of(FrameMeta) + 4
_CONNECTION: Final = size_of(Tcb) + size_of(Exchange) + size_of(Body) + 16
_FRAMES_PER_CONNECTION: Final = 2
"""When the number of connections is left to us: what the proxied pair of an average request holds."""
_MIN_NIC_FRAMES: Final = 256
_MAX_NIC_FRAMES: Final = 4096
_MIN_FRAMES: Final = 64
_MIN_CONNECTIONS: Final = 16
_FIXED: Final = 2 << 20
"""Header, small tables, and the padding of regions to pages."""
_FLOW: Final = 100
"""Bytes of the flow table for each flow that it is made for."""


@dataclass(frozen=True)
class Dimensions:
    """Capacities of an arena."""

    nic_frames: int
    """Per NIC: a power of two, and the capacity of every ring."""
    engine_frames: int
    connections: int
    """Per engine."""


def _nic_frames(arena: int, nics: int) -> int:
    """Return the frames of a NIC: about an eighth of the arena for all NICs."""
    wanted = arena // 8 // (nics * _FRAME)
    frames = _MIN_NIC_FRAMES
    while frames * 2 <= min(wanted, _MAX_NIC_FRAMES):
        frames *= 2
    return frames


def dimensions_of(configuration: Configuration) -> Dimensions:
    """Return the capacities for a configuration.

    Raises:
        ArenaError: the arena is too small for the connections asked for, or for anything at all.
    """
    nics, engines = len(configuration.nics), configuration.appliance.engines
    arena = configuration.appliance.arena
    nic_frames = _nic_frames(arena, nics)
    rings = nics + engines + (1 + engines) * nics + 2 * engines * nics
    taken = _FIXED + nics * nic_frames * _FRAME + rings * (8 * nic_frames + 512)
    taken += configuration.distribution.flows * _FLOW + configuration.limits.neighbours * 128
    each = (arena - taken) // engines - 2**18
    connections = configuration.limits.connections
    if connections is None:
        connections = max(each // (_CONNECTION + _FRAMES_PER_CONNECTION * _FRAME), 0)
    frames = (each - connections * _CONNECTION) // _FRAME
    if connections < _MIN_CONNECTIONS or frames < _MIN_FRAMES:
        raise ArenaError(
            f"appliance.arena: {arena >> 20} MiB is too small for {engines} engines, {nics} NICs and"
            f" {connections} connections per engine; give it more, or lower limits.connections or distribution.flows"
        )
    return Dimensions(nic_frames, frames, connections)
