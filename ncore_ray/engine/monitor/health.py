"""A service's health: the words that all engines read, and the rules by which they change."""

from __future__ import annotations

from ncore_ray.engine.partition import Engine, base_of, service_stats
from ncore_ray.machine.atomic import store_release
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.record import address_of
from ncore_ray.tables.service import HEALTH_OFFSET, Health, MonitorKind, Service, service_of


@kernel
def _change(engine: Engine, service: Service, health: int) -> int:
    if service.health != health:
        service.changed_at = engine.now
        store_release(address_of(service) + HEALTH_OFFSET, health)
    return 0


@kernel
def probe_succeeded(engine: Engine, service_index: int) -> int:
    """Take a good probe: up after `rise` of them in a row, at the first one after the start."""
    service = service_of(base_of(engine), service_index)
    service.failures = 0
    service.successes += 1
    service.probes += 1
    if service.successes >= service.rise or service.health == Health.UNKNOWN:
        _change(engine, service, Health.UP)
    return 0


@kernel
def probe_failed(engine: Engine, service_index: int) -> int:
    """Take a bad probe: down after `fall` of them in a row."""
    service = service_of(base_of(engine), service_index)
    service.successes = 0
    service.failures += 1
    service.probes += 1
    service.failed_probes += 1
    if service.failures >= service.fall or service.health == Health.UNKNOWN:
        _change(engine, service, Health.DOWN)
    return 0


@kernel
def connect_failed(engine: Engine, service_index: int) -> int:
    """Take a refused or unanswered connection of a client: the service is left out at once until a probe succeeds."""
    service_stats(engine, service_index).failures += 1
    service = service_of(base_of(engine), service_index)
    if service.monitor != MonitorKind.NONE and service.health == Health.UP:
        service.successes = 0
        _change(engine, service, Health.DOWN)
        service.probe_at = engine.now
    return 0
