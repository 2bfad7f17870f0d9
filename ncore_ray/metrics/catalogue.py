"""The table of all metrics: registration, the reference in docs/metrics.md and the dashboards are made from it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final

from ncore_ray.metrics.latency_metrics import latency_metrics
from ncore_ray.metrics.metric import Kind, Metric

_MICROSECOND: Final = 1e-6
_MILLIONTH: Final = 1e-6


def _rows(
    kind: Kind, subject: str, labels: tuple[str, ...], rows: Sequence[tuple[str, str, str, str]], scale: float = 1.0
) -> tuple[Metric, ...]:
    """Return metrics of one subject: name, unit, source(s), help. A source with a * ends in ``=LABEL``."""
    made = []
    for name, unit, sources, help_text in rows:
        words, _, star = sources.partition("=")
        own = (*labels, star) if star else labels
        made.append(Metric(f"ncore_{subject}_{name}", kind, unit, help_text, own, tuple(words.split()), star, scale))
    return tuple(made)


_APPLIANCE: Final = (
    *_rows(
        Kind.GAUGE,
        "appliance",
        (),
        (
            ("start_time_seconds", "seconds", "vitals.start_time", "When the appliance began to run, since 1970."),
            ("engines", "engines", "vitals.engines", "Packet engines."),
            ("arena_bytes", "bytes", "vitals.arena", "Size of the arena."),
            ("state", "1 or 0", "vitals.state.*=state", "Whether it is in this state: running, draining, degraded."),
        ),
    ),
    *_rows(
        Kind.COUNTER,
        "export",
        (),
        (
            ("cycles", "cycles", "vitals.exports", "How often the metrics were read from the arena and handed to Ray."),
            ("cpu_seconds", "seconds", "vitals.export_cpu", "Processor time that this took."),
        ),
    ),
)

_ACTOR: Final = (
    *_rows(
        Kind.GAUGE,
        "actor",
        ("actor",),
        (
            ("up", "1 or 0", "vitals.actor_up", "Whether the actor lives and its loop runs."),
            (
                "heartbeat_age_seconds",
                "seconds",
                "vitals.heartbeat_age",
                "Time since its latest breath began; an idle actor sleeps between two.",
            ),
        ),
    ),
    *_rows(
        Kind.COUNTER,
        "actor",
        ("actor",),
        (("busy_seconds", "seconds", "core.busy_us", "Time spent in breaths that had work to do."),),
        _MICROSECOND,
    ),
    *_rows(
        Kind.COUNTER,
        "actor",
        ("actor",),
        (
            ("breaths", "breaths", "core.breaths", "Breaths."),
            ("sleeps", "sleeps", "core.sleeps", "How often it went to sleep as there was nothing to do."),
            ("wakes_sent", "wakes", "core.wakes_sent", "How often it woke another actor."),
            ("wakes_received", "wakes", "core.wakes_received", "How often another engine woke it by its socket."),
            ("restarts", "restarts", "core.restarts", "How often another process took its place."),
        ),
    ),
)

_ENGINE: Final = (
    *_rows(
        Kind.COUNTER,
        "engine",
        ("actor",),
        (
            ("received_packets", "packets", "engine.received_packets", "Packets that the engine took from its rings."),
            ("received_bytes", "bytes", "engine.received_bytes", "Their bytes, from the Ethernet header on."),
            ("sent_packets", "packets", "engine.sent_packets", "Packets sent."),
            ("sent_bytes", "bytes", "engine.sent_bytes", "Bytes sent, from the Ethernet header on."),
            ("made_packets", "packets", "engine.made_packets", "Packets built: each is then sent or dropped."),
            ("handled_packets", "packets", "engine.used_*_packets=protocol", "Received packets that were for us."),
            (
                "dropped_packets",
                "packets",
                "engine.drop_*_packets=cause",
                "Packets that go no further, by their cause.",
            ),
            ("connections", "connections", "engine.connections_*=event", "Connections, by what happened to them."),
            ("http_requests", "requests", "engine.http_requests", "HTTP requests from clients."),
            ("http_responses", "responses", "engine.http_responses", "HTTP responses of servers."),
            (
                "http_refused_requests",
                "requests",
                "engine.http_refused_requests",
                "Answered by us: the client's error.",
            ),
            ("http_failed_requests", "requests", "engine.http_failed_requests", "Answered by us: a server's error."),
            ("http_retried_requests", "requests", "engine.http_retried_requests", "Sent to a server once more."),
            ("retransmitted_segments", "segments", "engine.retransmitted_segments", "TCP segments sent once more."),
            (
                "retransmission_timeouts",
                "timeouts",
                "engine.retransmission_timeouts",
                "How often a TCP peer acknowledged nothing in time.",
            ),
            ("udp_sessions", "sessions", "engine.udp_sessions", "UDP sessions begun."),
            ("udp_datagrams", "datagrams", "engine.udp_datagrams", "UDP datagrams passed on."),
            ("events", "events", "engine.*=event", "Everything else that it counts, by the name in `ncore stat`."),
        ),
    ),
    *_rows(
        Kind.GAUGE,
        "engine",
        ("actor",),
        (
            ("live_connections", "connections", "partition.live_connections", "Connections that it holds, both sides."),
            ("connection_capacity", "connections", "partition.connection_count", "Connections that it can hold."),
            ("half_open_connections", "connections", "partition.half_open", "Handshakes under way."),
            ("free_frames", "frames", "partition.free_frame_count", "Free frames of its pool."),
            ("frame_capacity", "frames", "partition.frame_count", "Frames of its pool."),
        ),
    ),
    *_rows(
        Kind.GAUGE,
        "engine",
        ("actor",),
        (("load_ratio", "0 to 1", "slot.load", "How busy it has been of late."),),
        _MILLIONTH,
    ),
    *_rows(
        Kind.COUNTER,
        "engine",
        ("actor",),
        (
            ("timer_instants", "instants", "timer.instants", "Instants of the packet processing timer that it kept."),
            (
                "timer_missed_instants",
                "instants",
                "timer.missed_instants",
                "Instants that passed while it was at work.",
            ),
        ),
    ),
    *_rows(
        Kind.COUNTER,
        "engine",
        ("actor",),
        (
            (
                "timer_error_seconds_sum",
                "seconds",
                "timer.error_us",
                "By how much breaths began too late, all together.",
            ),
        ),
        _MICROSECOND,
    ),
    *_rows(
        Kind.HISTOGRAM,
        "engine",
        ("actor",),
        (
            (
                "timer_error_seconds_bucket",
                "instants",
                "timer.errors.*=le",
                "Instants at which a breath began at most so many seconds too late.",
            ),
        ),
    ),
)

_DISTRIBUTOR: Final = (
    *_rows(
        Kind.COUNTER,
        "distributor",
        ("actor",),
        (
            ("received_packets", "packets", "distributor.received_packets", "Packets that came from the readers."),
            ("received_bytes", "bytes", "distributor.received_bytes", "Their bytes."),
            ("forwarded_packets", "packets", "distributor.forwarded_packets", "Packets given to an engine."),
            ("flows_created", "flows", "distributor.flows_created", "Flows entered in the flow table."),
            ("flows_expired", "flows", "distributor.flows_expired", "Flows forgotten."),
            (
                "flows_evicted",
                "flows",
                "distributor.flows_evicted",
                "Flows of a SYN only, or of UDP, forgotten early because a new one needed the place.",
            ),
            ("dropped_packets", "packets", "distributor.drop_*_packets=cause", "Packets that go no further, by cause."),
        ),
    ),
    *_rows(
        Kind.COUNTER,
        "distributor",
        ("actor",),
        (("engine_packets", "packets", "handed.*=engine", "Packets given to each engine."),),
    ),
    *_rows(
        Kind.GAUGE,
        "distributor",
        ("engine",),
        (("live_flows", "flows", "flows.live", "Live flows that are given to an engine."),),
    ),
)

_NIC: Final = (
    *_rows(
        Kind.COUNTER,
        "nic",
        ("nic",),
        (
            ("received_packets", "packets", "reader.received_packets", "Packets received, over all of its queues."),
            ("received_bytes", "bytes", "reader.received_bytes", "Their bytes."),
            (
                "sent_packets",
                "packets",
                "sends.sent_packets",
                "Packets sent by the NIC's writer; engines send to an interface of the kernel themselves.",
            ),
            ("sent_bytes", "bytes", "sends.sent_bytes", "Their bytes."),
            (
                "dropped_packets",
                "packets",
                "reader.drop_*_packets writer.drop_*_packets sends.drop_*_packets faults.drop_*_packets=cause",
                "Packets that go no further, by cause.",
            ),
            ("stalled_breaths", "breaths", "reader.stalled_*_breaths=cause", "Breaths in which packets had to wait."),
            ("injected_faults", "packets", "faults.*=fault", "What the fault injector did, both directions together."),
            (
                "events",
                "events",
                "reader.* writer.* sends.*=event",
                "Everything else that is counted for it, by the name in `ncore stat`.",
            ),
        ),
    ),
)

_VSERVER: Final = (
    *_rows(
        Kind.COUNTER,
        "vserver",
        ("vserver",),
        (
            ("accepted_connections", "connections", "vserver.total_connections", "Connections, or sessions, accepted."),
            ("requests", "requests", "vserver.requests", "Requests."),
            ("received_bytes", "bytes", "vserver.received_bytes", "Payload from clients."),
            ("sent_bytes", "bytes", "vserver.sent_bytes", "Payload to clients."),
            (
                "errors",
                "errors",
                "vserver.errors",
                "Errors that we answered with, and connections that no service could serve.",
            ),
            ("refused_syns", "packets", "vserver.refused", "SYNs dropped because a limit was reached."),
            ("syn_cookies", "packets", "vserver.cookies", "SYNs answered with a cookie."),
        ),
    ),
    *_rows(
        Kind.GAUGE,
        "vserver",
        ("vserver",),
        (
            ("open_connections", "connections", "vserver.connections", "Open connections."),
            ("half_open_connections", "connections", "vserver.half_open", "Handshakes under way."),
            ("services", "services", "vitals.vserver_services", "Its services."),
            ("services_up", "services", "vitals.vserver_services_up", "Those that are up."),
        ),
    ),
    *latency_metrics("vserver", "response", "head", "heads"),
    *latency_metrics("vserver", "whole_response", "whole", "last bytes"),
)

_SERVICE: Final = (
    *_rows(
        Kind.COUNTER,
        "service",
        ("service",),
        (
            (
                "opened_connections",
                "connections",
                "service.total_connections",
                "Connections, or sessions, opened to it.",
            ),
            ("requests", "requests", "service.requests", "Requests."),
            ("received_bytes", "bytes", "service.received_bytes", "Payload from it."),
            ("sent_bytes", "bytes", "service.sent_bytes", "Payload to it."),
            ("failures", "failures", "service.failures", "Connections or requests that it failed."),
            ("probes", "probes", "monitor.probes", "Probes of its monitor."),
            ("failed_probes", "probes", "monitor.failed_probes", "Probes that failed."),
        ),
    ),
    *_rows(
        Kind.GAUGE,
        "service",
        ("service",),
        (
            ("up", "1 or 0", "vitals.service_up", "Whether it is up, or has no monitor."),
            ("open_connections", "connections", "service.connections", "Open connections, idle ones too."),
            ("busy_connections", "connections", "service.busy", "Client connections or requests that it works on."),
            (
                "idle_connections",
                "connections",
                "service.idle_connections",
                "Idle connections kept for the next request.",
            ),
        ),
    ),
    *latency_metrics("service", "response", "service_head", "heads"),
)

_RING: Final = (
    *_rows(
        Kind.COUNTER,
        "ring",
        ("ring",),
        (("descriptors", "descriptors", "ring.tail", "Descriptors that went through the ring."),),
    ),
    *_rows(
        Kind.GAUGE,
        "ring",
        ("ring",),
        (
            (
                "waiting_descriptors",
                "descriptors",
                "ring.waiting",
                "Descriptors that were in it at the moment of the look.",
            ),
            ("capacity_descriptors", "descriptors", "ring.capacity", "Descriptors that it can hold."),
        ),
    ),
)

CATALOGUE: Final = (*_APPLIANCE, *_ACTOR, *_ENGINE, *_DISTRIBUTOR, *_NIC, *_VSERVER, *_SERVICE, *_RING)
"""A source belongs to the first metric here that names it."""
_BY_NAME: Final = {metric.name: metric for metric in CATALOGUE}


def metric_named(name: str) -> Metric:
    """Return a metric by its name without the leading ``ncore_``. Raises KeyError."""
    return _BY_NAME[f"ncore_{name}"]


@cache
def metric_of(source: str) -> tuple[Metric, tuple[tuple[str, str], ...]] | None:
    """Return the metric that a source feeds and the label that its name gives, or None."""
    for metric in CATALOGUE:
        label = metric.matches(source)
        if label is not None:
            return metric, tuple(label.items())
    return None
