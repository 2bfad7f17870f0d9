"""The choice among the services of a vServer."""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.partition import Engine, base_of, service_stats, vserver_stats
from ncore_ray.machine.atomic import load_acquire
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.record import address_of
from ncore_ray.tables.service import (
    HEALTH_OFFSET,
    Health,
    Method,
    MonitorKind,
    binding_of,
    service_of,
    vserver_of,
    watch_of,
)

NO_SERVICE: Final = -1
_SCALE: Final = 1 << 20


@kernel
def is_usable(base: int, service_index: int) -> int:
    """Return 1 if a service may be given work."""
    service = service_of(base, service_index)
    if service.monitor == MonitorKind.NONE:
        return 1
    return 1 if load_acquire(address_of(watch_of(base, service_index)) + HEALTH_OFFSET) == Health.UP else 0


@kernel
def choose_service(engine: Engine, vserver_index: int, avoid: int) -> int:
    """Return the number of the service for the next connection or request, or NO_SERVICE.

    ``avoid`` names a service that has just failed (or NO_SERVICE): it is chosen only if there is no other.
    """
    vserver = vserver_of(base_of(engine), vserver_index)
    if vserver.method == Method.LEAST_CONNECTION:
        chosen = _least_connection(engine, vserver_index, avoid)
    else:
        chosen = _round_robin(engine, vserver_index, avoid)
    if chosen == NO_SERVICE and avoid != NO_SERVICE and is_usable(base_of(engine), avoid):
        return avoid
    return chosen


@kernel
def _round_robin(engine: Engine, vserver_index: int, avoid: int) -> int:
    """Weighted: each service is chosen as often in a row as its weight says."""
    base = base_of(engine)
    vserver = vserver_of(base, vserver_index)
    stats = vserver_stats(engine, vserver_index)
    if stats.cursor >= vserver.bindings:  # it had more until a moment ago
        stats.cursor = 0
        stats.credit = 0
    for _ in range(vserver.bindings + 1):
        binding = binding_of(base, vserver.first_binding + stats.cursor)
        if stats.credit < binding.weight and binding.service != avoid and is_usable(base, binding.service):
            stats.credit += 1
            return binding.service
        stats.cursor = (stats.cursor + 1) % vserver.bindings
        stats.credit = 0
    return NO_SERVICE


@kernel
def _least_connection(engine: Engine, vserver_index: int, avoid: int) -> int:
    """The fewest busy connections for its weight; among equals the one whose turn it is."""
    base = base_of(engine)
    vserver = vserver_of(base, vserver_index)
    stats = vserver_stats(engine, vserver_index)
    best = NO_SERVICE
    best_load = 0
    stats.cursor = (stats.cursor + 1) % vserver.bindings
    for i in range(vserver.bindings):
        binding = binding_of(base, vserver.first_binding + (stats.cursor + i) % vserver.bindings)
        if binding.service == avoid or not is_usable(base, binding.service):
            continue
        load = service_stats(engine, binding.service).busy * _SCALE // binding.weight
        if best == NO_SERVICE or load < best_load:
            best = binding.service
            best_load = load
    return best
