"""Does everything live? Actors, services, and the export of the metrics itself."""

from __future__ import annotations

from ncore_ray.dashboards.board import Row, dashboard
from ncore_ray.dashboards.panels import GREEN, RED, UP, YELLOW, Json, Query, lines, number, states
from ncore_ray.dashboards.promql import rate, selector, value


def _actors() -> Row:
    up = value("actor_up", "actor")
    return Row(
        "Actors",
        [
            number(
                "State", Query(f"{value('appliance_state', 'state')} == 1", "{{state}}"), graph=False, name_only=True
            ),
            number("Actors that are down", Query(f"count({up}) - sum({up})", "down"), steps=((None, GREEN), (1, RED))),
            number(
                "Services that are down",
                Query(f"count({value('service_up', 'service')}) - sum({value('service_up', 'service')})", "down"),
                steps=((None, GREEN), (1, YELLOW)),
            ),
            number("Least of the actors' states", Query(f"min({up})", "up"), steps=UP, graph=False),
            number(
                "Oldest heartbeat",
                Query(f"max({value('actor_heartbeat_age_seconds', 'actor')})", "age"),
                unit="s",
                steps=((None, GREEN), (2, YELLOW), (5, RED)),
            ),
            number(
                "Age of these figures",
                Query(f"time() - max(timestamp({selector('appliance_engines')}))", "age"),
                unit="s",
                steps=((None, GREEN), (60, YELLOW), (180, RED)),
                graph=False,
            ),
            states("Actors", Query(up, "{{actor}}"), words={0: ("down", RED), 1: ("up", GREEN)}),
            lines(
                "Heartbeats: time since the latest breath",
                Query(value("actor_heartbeat_age_seconds", "actor"), "{{actor}}"),
                unit="s",
                description="An idle actor sleeps between two breaths; one that is stopped grows older and older.",
            ),
            lines("Wakes received by socket", Query(rate("actor_wakes_received", "actor"), "{{actor}}"), unit="cps"),
        ],
    )


def _services() -> Row:
    return Row(
        "Services",
        [
            states(
                "Services",
                Query(value("service_up", "service"), "{{service}}"),
                words={0: ("down", RED), 1: ("up", GREEN)},
            ),
            lines("Probes that failed", Query(rate("service_failed_probes", "service"), "{{service}}"), unit="cps"),
            lines("Failures in service", Query(rate("service_failures", "service"), "{{service}}"), unit="cps"),
        ],
    )


def _export() -> Row:
    return Row(
        "The export of these metrics",
        [
            lines("Exports", Query(rate("export_cycles"), "exports"), unit="cps"),
            lines(
                "Processor time that it takes",
                Query(rate("export_cpu_seconds"), "of one core"),
                unit="percentunit",
                description="In the management actor; packet engines have no part in it.",
            ),
        ],
    )


def health() -> Json:
    """Return the dashboard."""
    return dashboard("health", "Health", "Does everything live?", [_actors(), _services(), _export()])
