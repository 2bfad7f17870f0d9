"""How many of everything fit into the arena that a configuration asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ncore_ray.arena.frame import FRAME_SIZE, FrameMeta
from ncore_ray.arena.layout import PAGE, ArenaError
from ncore_ray.blueprint.parallelism import has_links, has_transactions
from ncore_ray.config.model import Configuration, Placement
from ncore_ray.engine.connection import Tcb
from ncore_ray.engine.http.exchange import Exchange
from ncore_ray.engine.http.message.body import Body
from ncore_ray.engine.remote.link import HALF_SIZE
from ncore_ray.engine.tcp.blocks import BLOCK_SIZE, CONNECTIONS_PER_BLOCK
from ncore_ray.engine.transaction.turn import TURN_SIZE
from ncore_ray.machine.record import size_of

_FRAME: Final = FRAME_SIZE + size_of(FrameMeta) + 4
_CONNECTION: Final = size_of(Tcb) + size_of(Exchange) + size_of(Body) + 24 + BLOCK_SIZE // CONNECTIONS_PER_BLOCK
"""With its share of the hash index and the work list, whose sizes are powers of two: 24 bytes at the most; and of the
blocks of spans."""
_FRAMES_PER_CONNECTION: Final = 2
"""When the number of connections is left to us: what the proxied pair of an average request holds."""
_LINKED_CONNECTION: Final = 2 * HALF_SIZE
"""Added for each other engine, where virtual connections lead to it: a half's place in the table of all engines is
wasted on the engine itself, hence twice."""
_LINKED_FRAME: Final = 16
"""Likewise: the place on the ring home, whose size is a power of two."""
_LINKED_PADDING: Final = 2 * PAGE
_MIN_NIC_FRAMES: Final = 256
_MAX_NIC_FRAMES: Final = 4096
_MIN_FRAMES: Final = 64
_MIN_CONNECTIONS: Final = 16
_PADDING: Final = 16 * PAGE
"""Of an engine's regions to whole pages."""


@dataclass(frozen=True)
class Dimensions:
    """Capacities of an arena."""

    nic_frames: int
    """Per receive queue: a power of two, and the capacity of every ring."""
    engine_frames: int
    connections: int
    """Per engine."""
    messages: int = 4096
    """Capacity of a ring of messages between two engines: a power of two."""
    uneven: tuple[tuple[int, int], ...] = ()
    """Connections and frames of each engine, where not all have the same."""

    def of_engine(self, index: int) -> tuple[int, int]:
        """Return how many connections and frames an engine has."""
        return self.uneven[index] if self.uneven else (self.connections, self.engine_frames)


def deciders_of(configuration: Configuration) -> int:
    """Return how many actors may distribute: the distributor, or every engine for its own receive queues."""
    return 1 if configuration.distribution.placement is Placement.CORE else configuration.appliance.engine_room


def _nic_frames(arena: int, queues: int) -> int:
    """Return the frames of a receive queue: about an eighth of the arena for all queues."""
    wanted = arena // 8 // (queues * _FRAME)
    frames = _MIN_NIC_FRAMES
    while frames * 2 <= min(wanted, _MAX_NIC_FRAMES):
        frames *= 2
    return frames


def dimensions_of(configuration: Configuration, measure: Callable[[Dimensions], int]) -> Dimensions:
    """Return the capacities for a configuration.

    Args:
        configuration: what is asked for.
        measure: returns the bytes of the whole layout with given capacities.

    Raises:
        ArenaError: the arena is too small for the connections asked for, or for anything at all.
    """
    engines, arena = configuration.appliance.engine_room, configuration.appliance.arena
    nic_frames = _nic_frames(arena, configuration.nic_room * deciders_of(configuration))
    least = Dimensions(nic_frames, _MIN_FRAMES, _MIN_CONNECTIONS)
    room = arena - measure(least)
    shares = [configuration.override(k).memory for k in range(engines)]
    split = [_split(configuration, room * share // sum(shares) - _PADDING) for share in shares]
    connections, frames = min(split)
    if connections < _MIN_CONNECTIONS or min(frames for _, frames in split) < _MIN_FRAMES:
        raise ArenaError(
            f"appliance.arena: {arena >> 20} MiB is too small for {engines} engines, {configuration.nic_room} NICs and"
            f" {connections} connections per engine; give it more, or lower limits.connections or distribution.flows"
        )
    if len(set(shares)) == 1:
        return Dimensions(nic_frames, frames, connections)
    return Dimensions(nic_frames, frames, connections, uneven=tuple(split))


def _split(configuration: Configuration, each: int) -> tuple[int, int]:
    """Return the connections and frames that fit into an engine's memory."""
    others = configuration.appliance.engine_room - 1 if has_links(configuration) else 0
    others += has_transactions(configuration)  # an engine's link to itself
    connection, frame = _CONNECTION + others * _LINKED_CONNECTION, _FRAME + others * _LINKED_FRAME
    connection += TURN_SIZE * has_transactions(configuration)
    each -= others * _LINKED_PADDING
    connections = configuration.limits.connections
    if connections is None:
        connections = max(each // (connection + _FRAMES_PER_CONNECTION * frame), 0)
    return connections, (each - connections * connection) // frame
