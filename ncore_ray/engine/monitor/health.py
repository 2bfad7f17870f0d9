"""A service's health: the words that all engines read, and the rules by which they change."""

from __future__ import annotations

from ncore_ray.engine.partition import Engine, base_of, service_stats
from ncore_ray.machine.atomic import store_release
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.record import address_of
from ncore_ray.tables.service import HEALTH_OFFSET, Health, MonitorKind, Watch, service_of, watch_of


@kernel
def _change(engine: Engine, watch: Watch, health: int) -> int:
    if watch.health != health:
        watch.changed_at = engine.now
        store_release(address_of(watch) + HEALTH_OFFSET, health)
    return 0


@kernel
def probe_succeeded(engine: Engine, service_index: int) -> int:
    """Take a good probe: up after `rise` of them in a row, at the first one after the start."""
    watch = watch_of(base_of(engine), service_index)
    watch.failures = 0
    watch.successes += 1
    watch.probes += 1
    if watch.successes >= service_of(base_of(engine), service_index).rise or watch.health == Health.UNKNOWN:
        _change(engine, watch, Health.UP)
    return 0


@kernel
def probe_failed(engine: Engine, service_index: int) -> int:
    """Take a bad probe: down after `fall` of them in a row."""
    watch = watch_of(base_of(engine), service_index)
    watch.successes = 0
    watch.failures += 1
    watch.probes += 1
    watch.failed_probes += 1
    if watch.failures >= service_of(base_of(engine), service_index).fall or watch.health == Health.UNKNOWN:
        _change(engine, watch, Health.DOWN)
    return 0


@kernel
def connect_failed(engine: Engine, service_index: int) -> int:
    """Take a refused or unanswered connection of a client: the service is left out at once until a probe succeeds."""
    service_stats(engine, service_index).failures += 1
    watch = watch_of(base_of(engine), service_index)
    if service_of(base_of(engine), service_index).monitor != MonitorKind.NONE and watch.health == Health.UP:
        watch.successes = 0
        _change(engine, watch, Health.DOWN)
        watch.probe_at = engine.now
    return 0
