"""From the words of an arena to what Prometheus shows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ncore_ray.arena.core import Actor
from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes
from ncore_ray.arena.ring import Ring
from ncore_ray.engine.counters import EngineCounters, ServiceStats, VserverStats
from ncore_ray.engine.pacing import BUCKETS
from ncore_ray.flow.distributor import DistributorCounters
from ncore_ray.machine.record import dtype_of, table, view
from ncore_ray.management import counters
from ncore_ray.management.reports import total_services
from ncore_ray.management.sources import MemorySource
from ncore_ray.management.timers import pace_view
from ncore_ray.metrics.catalogue import CATALOGUE, metric_of
from ncore_ray.metrics.exporter import Exporter, Vital
from ncore_ray.metrics.metric import Kind
from ncore_ray.metrics.words import Names, plan_series
from ncore_ray.nic.partition import COUNTERS
from ncore_ray.tables.service import Watch
from tests.metrics.kit import Kept, key, made


def vitals() -> Iterator[Vital]:
    yield Vital("vitals.state.running", {}, 1)
    yield Vital("vitals.actor_up", {"actor": "engine-0"}, 1)


def exported(array: Bytes, names: Names) -> dict[Any, float]:
    kept = Kept()
    Exporter(array, names, vitals).export(kept)
    return kept.values


def stats(array: Bytes, record: Any, field: str, engine: int, count: int) -> Any:
    return table(record, array, getattr(counters.engine_view(array, engine), field), count)


def test_an_engines_counters_by_cause() -> None:
    array, names = made()
    found = view(EngineCounters, array, counters.engine_view(array, 1).counters)
    found.received_packets, found.drop_tcp_bad_checksum_packets, found.used_udp_packets = 100, 3, 4
    found.connections_accepted, found.zero_window_probes = 5, 6
    values = exported(array, names)
    engine = {"actor": "engine-1"}
    assert values[key("ray_ncore_engine_received_packets_total", **engine)] == 100
    assert values[key("ray_ncore_engine_dropped_packets_total", **engine, cause="tcp_bad_checksum")] == 3
    assert values[key("ray_ncore_engine_handled_packets_total", **engine, protocol="udp")] == 4
    assert values[key("ray_ncore_engine_connections_total", **engine, event="accepted")] == 5
    assert values[key("ray_ncore_engine_events_total", **engine, event="zero_window_probes")] == 6
    assert values[key("ray_ncore_engine_received_packets_total", actor="engine-0")] == 0


def test_what_engines_count_for_a_vserver_and_a_service_is_added_up() -> None:
    array, names = made()
    for engine in range(2):
        stats(array, VserverStats, "vserver_stats", engine, 2)[1]["requests"] = 10 + engine
        stats(array, VserverStats, "vserver_stats", engine, 2)[1]["connections"] = 2
        stats(array, ServiceStats, "service_stats", engine, 2)[0]["sent_bytes"] = 1000
    view(Watch, array, view(Arena, array).watches).failed_probes = 7
    values = exported(array, names)
    assert values[key("ray_ncore_vserver_requests_total", vserver="db")] == 21
    assert values[key("ray_ncore_vserver_requests_total", vserver="www")] == 0
    assert values[key("ray_ncore_vserver_open_connections", vserver="db")] == 4
    assert values[key("ray_ncore_service_sent_bytes_total", service="web1")] == 2000
    assert values[key("ray_ncore_service_failed_probes_total", service="web1")] == 7


def test_a_value_of_the_past_is_no_counter_of_now() -> None:
    array, names = made()
    row = stats(array, VserverStats, "vserver_stats", 0, 2)
    row[0]["connections"], row[0]["total_connections"] = 3, 3
    kept = Kept()
    exporter = Exporter(array, names, vitals)
    exporter.export(kept)
    row[0]["connections"] = 1
    exporter.export(kept)
    assert kept.values[key("ray_ncore_vserver_open_connections", vserver="www")] == 1
    assert kept.values[key("ray_ncore_vserver_accepted_connections_total", vserver="www")] == 3


@pytest.mark.parametrize("placement", ["core", "per-core"])
def test_what_is_exported_agrees_with_ncore_stat(placement: str) -> None:
    array, names = made(placement=placement)
    for word, place in enumerate(sorted({w.place for s in plan_series(array, names) for w in s.words})):
        array[place : place + 8].view("<i8")[0] = word + 1
    values = exported(array, names)

    def total(name: str, **labels: str) -> float:
        wanted = set(labels.items())
        return sum(value for (one, tags), value in values.items() if one == name and wanted <= set(tags))

    engine = counters.engine_counters(array, 1)
    assert total("ray_ncore_engine_dropped_packets_total", actor="engine-1") == counters.total_dropped(engine)
    assert total("ray_ncore_engine_free_frames", actor="engine-1") == engine["free_frames"]
    assert total("ray_ncore_engine_load_ratio", actor="engine-1") == pytest.approx(engine["load_ppm"] / 1e6)
    distributor = counters.distributor_counters(array)
    assert total("ray_ncore_distributor_received_packets_total") == distributor["received_packets"]
    assert total("ray_ncore_distributor_dropped_packets_total") == counters.total_dropped(distributor)
    given = total("ray_ncore_distributor_engine_packets_total", engine="engine-0")
    assert given == distributor["forwarded_engine_0_packets"]
    assert total("ray_ncore_distributor_live_flows", engine="engine-1") == distributor["live_flows_engine_1"]
    nic = counters.nic_counters(array, 1)
    dropped = sum(value for name, value in nic.items() if "drop_" in name)
    assert total("ray_ncore_nic_received_packets_total", nic="nc1") == nic["received_packets"]
    assert total("ray_ncore_nic_dropped_packets_total", nic="nc1") == dropped
    assert total("ray_ncore_nic_sent_bytes_total", nic="nc1") == nic["sent_bytes"]
    service = total_services(array, MemorySource(array).reports().values())[1]
    assert total("ray_ncore_service_requests_total", service="web2") == service["requests"]
    assert total("ray_ncore_service_probes_total", service="web2") == service["probes"]
    busy = counters.core_numbers(array, Actor.ENGINE)["busy_us"]
    assert total("ray_ncore_actor_busy_seconds_total", actor="engine-0") == pytest.approx(busy / 1e6)


def test_a_ring_shows_what_waits_in_it() -> None:
    array, names = made()
    ring = view(Ring, array, view(Arena, array).engine_rings + view(Arena, array).ring_stride)
    ring.tail, ring.head = 1005, 1000
    values = exported(array, names)
    assert values[key("ray_ncore_ring_waiting_descriptors", ring="distributor>engine-1")] == 5
    assert values[key("ray_ncore_ring_descriptors_total", ring="distributor>engine-1")] == 1005
    assert values[key("ray_ncore_ring_capacity_descriptors", ring="nic-nc0>distributor")] == ring.capacity
    rings = {dict(tags)["ring"] for name, tags in values if name == "ray_ncore_ring_capacity_descriptors"}
    assert rings == {"nic-nc0>distributor", "nic-nc1>distributor", "distributor>engine-0", "distributor>engine-1"}


def test_rings_of_engines_that_read_for_themselves() -> None:
    rings = {name for series in plan_series(*made(placement="per-core")) if (name := series.tags.get("ring"))}
    assert {"engine-1.nc0>engine-1", "engine-0>engine-1", "engine-1>engine-0"} < rings


def test_the_timers_histogram_is_cumulative() -> None:
    array, names = made(timer="1ms")
    pace: Any = pace_view(array, 0)
    pace.errors[0], pace.errors[3], pace.errors[BUCKETS - 1] = 10, 5, 1
    pace.instants, pace.error_us = 16, 2_000_000
    values = exported(array, names)

    def bucket(bound: str) -> float:
        return values[key("ray_ncore_engine_timer_error_seconds_bucket_total", actor="engine-0", le=bound)]

    bounds = ("0", "3e-06", "7e-06", "0.262143", "+Inf")
    assert [bucket(bound) for bound in bounds] == [10, 10, 15, 15, 16]
    assert values[key("ray_ncore_engine_timer_error_seconds_sum_total", actor="engine-0")] == 2.0


def test_without_a_timer_there_is_no_histogram_of_it() -> None:
    names = {series.metric.name for series in plan_series(*made())}
    assert not [name for name in names if "timer" in name]


def test_counters_are_known_at_zero_and_then_told_only_when_they_grow() -> None:
    array, names = made()
    kept = Kept()
    exporter = Exporter(array, names, vitals)
    exporter.export(kept)
    first = kept.calls
    kept.calls = 0
    exporter.export(kept)
    gauges = sum(series.metric.kind is Kind.GAUGE for series in plan_series(array, names))
    assert kept.calls == gauges + 2 + 2  # vitals, and what the export itself costs
    assert first == len(plan_series(array, names)) + 2 + 2


def test_nothing_is_counted_before_the_connection_stands_and_nothing_is_lost() -> None:
    array, names = made()
    kept = Kept(opens=False)
    exporter = Exporter(array, names, vitals)
    found = view(EngineCounters, array, counters.engine_view(array, 0).counters)
    found.received_packets = 10
    exporter.export(kept)
    name = key("ray_ncore_engine_received_packets_total", actor="engine-0")
    assert name not in kept.values
    assert kept.values[key("ray_ncore_appliance_state", state="running")] == 1
    found.received_packets = 30
    kept.opens = True
    exporter.export(kept)
    assert kept.values[name] == 30


def test_a_restarted_engine_sets_no_counter_back() -> None:
    array, names = made()
    kept = Kept()
    exporter = Exporter(array, names, vitals)
    found = view(EngineCounters, array, counters.engine_view(array, 0).counters)
    stat = stats(array, VserverStats, "vserver_stats", 0, 2)
    found.received_packets, stat[0]["requests"] = 100, 50
    exporter.export(kept)
    found.received_packets, stat[0]["requests"] = 5, 1
    exporter.export(kept)
    assert kept.values[key("ray_ncore_engine_received_packets_total", actor="engine-0")] == 105
    assert kept.values[key("ray_ncore_vserver_requests_total", vserver="www")] == 51


def test_scaling_keeps_the_totals() -> None:
    array, names = made()
    kept = Kept()
    exporter = Exporter(array, names, vitals)
    for engine in range(2):
        stats(array, VserverStats, "vserver_stats", engine, 2)[0]["requests"] = 100
    exporter.export(kept)
    fewer, fewer_names = made(engines=1)
    exporter.follow(fewer, fewer_names)
    stats(fewer, VserverStats, "vserver_stats", 0, 2)[0]["requests"] = 3  # a new arena: from 0 again
    exporter.export(kept)
    assert kept.values[key("ray_ncore_vserver_requests_total", vserver="www")] == 203
    more, more_names = made(engines=3)
    exporter.follow(more, more_names)
    stats(more, VserverStats, "vserver_stats", 0, 2)[0]["requests"] = 3  # the same word goes on
    stats(more, VserverStats, "vserver_stats", 2, 2)[0]["requests"] = 7
    exporter.export(kept)
    assert kept.values[key("ray_ncore_vserver_requests_total", vserver="www")] == 210


def test_a_successor_of_the_exporter_tells_the_same_totals() -> None:
    array, names = made()
    first = Exporter(array, names, vitals)
    found = view(EngineCounters, array, counters.engine_view(array, 0).counters)
    found.received_packets = 100
    first.export(Kept())
    found.received_packets = 5
    first.export(Kept())
    kept = Kept()
    Exporter(array, names, vitals, first.ledger.archived()).export(kept)
    assert kept.values[key("ray_ncore_engine_received_packets_total", actor="engine-0")] == 105


def test_every_counter_of_the_data_plane_has_a_metric() -> None:
    """If this fails, a new counter needs a row in `ncore_ray/metrics/catalogue.py`."""
    parts = ("reader", "faults", "writer", "sends", "faults")
    records: list[tuple[str, Any]] = [("engine", EngineCounters), ("distributor", DistributorCounters)]
    records += [(part, record) for part, (_, record, _) in zip(parts, COUNTERS, strict=True)]
    for part, record in records:
        fields = [name for name in dtype_of(record).names or () if not name.startswith("pad")]
        assert [name for name in fields if metric_of(f"{part}.{name}") is None] == []


def test_the_catalogue_reads_well() -> None:
    names = [metric.name for metric in CATALOGUE]
    assert len(set(names)) == len(names)
    for metric in CATALOGUE:
        assert metric.help.endswith(".")
        assert metric.help[0].isupper()
        assert metric.name.startswith("ncore_")
        assert not metric.name.endswith("_total"), "Ray puts it there"
        if metric.unit in ("seconds", "bytes"):
            assert metric.unit in metric.name


def test_every_metric_has_a_source_that_exists() -> None:
    array, names = made(timer="1ms")
    fed = {series.metric.name for series in plan_series(array, names)}
    rest = [metric for metric in CATALOGUE if metric.name not in fed]
    assert {source.partition(".")[0] for metric in rest for source in metric.sources} == {"vitals"}
