"""vServers and services: what clients ask for, and who answers."""

from __future__ import annotations

from ncore_ray.dashboards.board import Choice, Row, dashboard
from ncore_ray.dashboards.panels import GREEN, RED, Json, Query, bars, lines, states
from ncore_ray.dashboards.promql import quantile, rate, value


def _of(subject: str, name: str, legend: str = "", factor: str = "") -> Query:
    """Return the rate of a counter of each vServer or service that is chosen."""
    return Query(
        factor + rate(f"{subject}_{name}", subject, **{subject: f"${subject}"}), legend or f"{{{{{subject}}}}}"
    )


def _now(subject: str, name: str, legend: str = "") -> Query:
    found = value(f"{subject}_{name}", subject, **{subject: f"${subject}"})
    return Query(found, legend or f"{{{{{subject}}}}}")


def _times(subject: str, name: str) -> list[Query]:
    """Return three quantiles of a histogram of each vServer or service that is chosen."""
    chosen = {subject: f"${subject}"}
    return [
        Query(
            quantile(share, f"{subject}_{name}_seconds_bucket", subject, **chosen),
            f"{{{{{subject}}}}} p{share:.0%}"[:-1],
        )
        for share in (0.5, 0.9, 0.99)
    ]


def _latency() -> Row:
    chosen = {"vserver": "$vserver"}
    total, count = "vserver_response_seconds_sum", "vserver_response_seconds_bucket"
    number = rate(count, "vserver", "actor", vserver="$vserver", le="[+]Inf")
    mean = f"{rate(total, 'vserver', 'actor', **chosen)} / ({number} > 0)"
    return Row(
        "Time to a response: half, nine of ten, 99 of 100 are quicker than",
        [
            lines(
                "To the head of the response",
                *_times("vserver", "response"),
                unit="s",
                description="From the head of a request to the head of its response, from the arena's histograms.",
            ),
            lines(
                "To its last byte",
                *_times("vserver", "whole_response"),
                unit="s",
                description="Until the last byte is queued for the client: one that reads slowly puts it off.",
            ),
            lines("To the head of the response, by service", *_times("service", "response"), unit="s"),
            lines("Mean of each engine", Query(mean, "{{vserver}} {{actor}}"), unit="s"),
        ],
    )


def _vservers() -> Row:
    return Row(
        "vServers",
        [
            lines("Requests", _of("vserver", "requests"), unit="reqps"),
            lines("New connections and sessions", _of("vserver", "accepted_connections"), unit="cps"),
            lines("Open connections", _now("vserver", "open_connections"), unit="short"),
            lines(
                "Payload to clients (up) and from clients (down)",
                _of("vserver", "sent_bytes", "{{vserver}} out", "8 * "),
                _of("vserver", "received_bytes", "{{vserver}} in", "8 * "),
                unit="bps",
                below=" in$",
            ),
            lines("Errors", _of("vserver", "errors"), unit="cps"),
            lines(
                "Services that are up, and all",
                _now("vserver", "services_up", "{{vserver}} up"),
                _now("vserver", "services", "{{vserver}} all"),
                unit="short",
            ),
        ],
    )


def _services() -> Row:
    total = rate("service_requests", service="$service")
    share = f"{rate('service_requests', 'service', service='$service')} / scalar({total} > 0 or {total} + 1)"
    return Row(
        "Services",
        [
            states("Health", _now("service", "up"), words={0: ("down", RED), 1: ("up", GREEN)}),
            lines("Requests", _of("service", "requests"), unit="reqps"),
            bars("Share of the requests now", Query(share, "{{service}}"), unit="percentunit", most=1),
            lines("New connections and sessions", _of("service", "opened_connections"), unit="cps"),
            lines(
                "Payload from servers (up) and to servers (down)",
                _of("service", "received_bytes", "{{service}} from", "8 * "),
                _of("service", "sent_bytes", "{{service}} to", "8 * "),
                unit="bps",
                below=" to$",
            ),
            lines("Clients or requests that it works on", _now("service", "busy_connections"), unit="short", width=8),
            lines("Open connections", _now("service", "open_connections"), unit="short", width=8),
            lines("Idle connections in the pool", _now("service", "idle_connections"), unit="short", width=8),
            lines("Failures", _of("service", "failures"), unit="cps"),
            lines(
                "Probes, and those that failed",
                _of("service", "probes", "{{service}}"),
                _of("service", "failed_probes", "{{service}} failed"),
                unit="cps",
            ),
        ],
    )


def servers() -> Json:
    """Return the dashboard."""
    return dashboard(
        "servers",
        "vServers and services",
        "What clients ask for, and who answers.",
        [_vservers(), _latency(), _services()],
        [
            Choice("vserver", "vServer", "vserver_open_connections"),
            Choice("service", "Service", "service_up"),
        ],
    )
