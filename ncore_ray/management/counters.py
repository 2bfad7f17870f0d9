"""The aggregator: counters of all actors, read from the arena, as plain numbers."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ncore_ray.arena.core import Core, CoreState
from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes
from ncore_ray.engine.counters import EngineCounters
from ncore_ray.engine.partition import Engine
from ncore_ray.flow.distributor import DistributorCounters, counters_view, forwarded_packets, live_flows, slot_view
from ncore_ray.machine.record import dtype_of, size_of, view
from ncore_ray.management.directory import active, service_rows
from ncore_ray.management.numbers import Numbers, summed
from ncore_ray.nic.partition import COUNTERS
from ncore_ray.tables.own_address import given_up_addresses
from ncore_ray.tables.service import Health, MonitorKind, Service, Watch
from ncore_ray.wire.address import mac_text

PRIVATE: Final = ("cursor", "credit", "idle_first")
"""Words of the statistics records that are state, not counters."""


def values_of(record: type, instance: Any) -> Numbers:
    """Return the fields of a record by name, without padding."""
    return {
        name: int(getattr(instance, name))
        for name in dtype_of(record).names or ()
        if not name.startswith("pad") and name not in PRIVATE
    }


def engine_view(array: Bytes, index: int) -> Engine:
    """Return the live header of an engine's partition."""
    arena = view(Arena, array)
    return view(Engine, array, arena.engines + index * arena.engine_stride)


def core_view(array: Bytes, actor: int) -> Core:
    """Return the live core record of an actor."""
    return view(Core, array, view(Arena, array).cores + actor * size_of(Core))


def engine_counters(array: Bytes, index: int) -> Numbers:
    """Return the counters of one engine, with what it holds now."""
    engine = engine_view(array, index)
    numbers = values_of(EngineCounters, view(EngineCounters, array, engine.counters))
    numbers["live_connections"] = engine.live_connections
    numbers["connection_capacity"] = engine.connection_count
    numbers["free_frames"] = engine.free_frame_count
    numbers["frame_capacity"] = engine.frame_count
    numbers["half_open_connections"] = engine.half_open
    numbers["load_ppm"] = slot_view(array, index).load
    return numbers


def distributor_counters(array: Bytes) -> Numbers:
    """Return the counters of the distributor, or of all deciders together, with what each engine was given."""
    arena = view(Arena, array)
    deciders = range(arena.decider_count)
    numbers = summed(values_of(DistributorCounters, counters_view(array, number)) for number in deciders)
    forwarded = [forwarded_packets(array, number) for number in deciders]
    if arena.decides_itself:
        kept = sum(int(row[number]) for number, row in enumerate(forwarded))
        numbers["redirected_packets"] = numbers["forwarded_packets"] - kept
    for engine, flows in enumerate(live_flows(array)):
        numbers[f"forwarded_engine_{engine}_packets"] = sum(int(row[engine]) for row in forwarded)
        numbers[f"live_flows_engine_{engine}"] = int(flows)
    return numbers


def nic_counters(array: Bytes, nic: int) -> Numbers:
    """Return the counters of a NIC's writer and of the readers of all its queues."""
    arena = view(Arena, array)
    return summed(_queue_counters(array, queue) for queue in range(nic, arena.queue_count, arena.nic_count))


def clear_nic_counters(array: Bytes, nic: int) -> None:
    """Let the counters of a place of the NIC table begin anew: another NIC takes it."""
    arena = view(Arena, array)
    for queue in range(nic, arena.queue_count, arena.nic_count):
        start = arena.readers + queue * arena.reader_stride
        for _, record, offset in COUNTERS:
            array[start + offset : start + offset + size_of(record)] = 0


def _queue_counters(array: Bytes, queue: int) -> Numbers:
    arena = view(Arena, array)
    start = arena.readers + queue * arena.reader_stride
    numbers: Numbers = {}
    for who, record, offset in COUNTERS:
        for name, value in values_of(record, view(record, array, start + offset)).items():
            numbers[name if name not in numbers else f"{who}_{name}"] = value
    return numbers


def watch_view(array: Bytes, index: int) -> Watch:
    """Return the live record of what is known of a service."""
    return view(Watch, array, view(Arena, array).watches + index * size_of(Watch))


def health_of(array: Bytes, index: int) -> str:
    """Return the health of a row of services: unknown, up or down; "up" for one without a monitor."""
    arena = view(Arena, array)
    service = view(Service, array, arena.services + arena.bank + index * size_of(Service))
    if service.monitor == MonitorKind.NONE:
        return "up"
    return Health(watch_view(array, index).health).name.lower()


def service_health(array: Bytes) -> dict[str, str]:
    """Return the health of each service that is configured."""
    return {name: health_of(array, number) for name, number in active(service_rows(array)).items()}


def given_up(array: Bytes) -> dict[str, str]:
    """Return the IPv6 addresses that are not used because another host has them, with its MAC address."""
    return {str(address): mac_text(mac) for address, mac in given_up_addresses(array).items()}


def health_of_all(array: Bytes) -> dict[str, str]:
    """Return what each service, and each address that was given up, is, in words for a sentence."""
    services = {f"service {name}": word for name, word in service_health(array).items()}
    return services | {
        f"address {address}": f"given up: the host {mac} has it, too" for address, mac in given_up(array).items()
    }


def core_numbers(array: Bytes, actor: int) -> Numbers:
    """Return what an actor's core record tells: state, breaths, busy time, sleeps."""
    core = core_view(array, actor)
    numbers = values_of(Core, core)
    for private in ("bell", "asleep", "stop", "drain"):
        numbers.pop(private)
    return numbers


def core_state(array: Bytes, actor: int) -> str:
    """Return an actor's state in a word."""
    return CoreState(core_view(array, actor).state).name.lower()


def total_dropped(numbers: Numbers) -> int:
    """Return the sum of all counters of dropped packets."""
    return int(np.sum([value for name, value in numbers.items() if name.startswith("drop_")]))
