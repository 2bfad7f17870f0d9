"""The packet engines one by one: work, connections, memory, drops, timer."""

from __future__ import annotations

from ncore_ray.dashboards.board import Choice, Row, dashboard
from ncore_ray.dashboards.panels import BUSY, Json, Query, lines
from ncore_ray.dashboards.promql import quantile, rate, value

_CHOSEN = "$actor"


def _by_engine(name: str, legend: str = "{{actor}}", factor: str = "") -> Query:
    return Query(factor + rate(name, "actor", actor=_CHOSEN), legend)


def _now(name: str, legend: str = "{{actor}}") -> Query:
    return Query(value(name, "actor", actor=_CHOSEN), legend)


def _share(part: str, whole: str, turned: bool = False) -> Query:
    share = f"{value(part, 'actor', actor=_CHOSEN)} / {value(whole, 'actor', actor=_CHOSEN)}"
    return Query(f"1 - {share}" if turned else share, "{{actor}}")


def _work() -> Row:
    return Row(
        "Work",
        [
            lines("Busy", _by_engine("actor_busy_seconds"), unit="percentunit", most=1, steps=BUSY, width=8),
            lines("Breaths", _by_engine("actor_breaths"), unit="cps", width=8),
            lines(
                "Sleeps, and wakes sent to others",
                _by_engine("actor_sleeps", "{{actor}} sleeps"),
                _by_engine("actor_wakes_sent", "{{actor}} wakes"),
                unit="cps",
                width=8,
            ),
            lines(
                "Packets sent (up) and received (down)",
                _by_engine("engine_sent_packets", "{{actor}} out"),
                _by_engine("engine_received_packets", "{{actor}} in"),
                unit="pps",
                below=" in$",
            ),
            lines(
                "Bits sent (up) and received (down)",
                _by_engine("engine_sent_bytes", "{{actor}} out", "8 * "),
                _by_engine("engine_received_bytes", "{{actor}} in", "8 * "),
                unit="bps",
                below=" in$",
            ),
        ],
    )


def _connections() -> Row:
    return Row(
        "Connections and memory",
        [
            lines("Connections, both sides", _now("engine_live_connections"), unit="short"),
            lines(
                "Share of the connections that fit",
                _share("engine_live_connections", "engine_connection_capacity"),
                unit="percentunit",
                most=1,
                steps=BUSY,
            ),
            lines("Handshakes under way", _now("engine_half_open_connections"), unit="short", width=8),
            lines(
                "Share of its frames in use",
                _share("engine_free_frames", "engine_frame_capacity", turned=True),
                unit="percentunit",
                most=1,
                steps=BUSY,
                width=8,
            ),
            lines(
                "What happens to connections",
                Query(rate("engine_connections", "event", actor=_CHOSEN), "{{event}}"),
                unit="cps",
                width=8,
            ),
        ],
    )


def _protocols() -> Row:
    return Row(
        "Protocols",
        [
            lines(
                "HTTP requests, and those that did not go well",
                _by_engine("engine_http_requests"),
                _by_engine("engine_http_refused_requests", "{{actor}} refused"),
                _by_engine("engine_http_failed_requests", "{{actor}} failed"),
                _by_engine("engine_http_retried_requests", "{{actor}} retried"),
                unit="reqps",
            ),
            lines(
                "TCP: sent once more",
                _by_engine("engine_retransmitted_segments", "{{actor}} segments"),
                _by_engine("engine_retransmission_timeouts", "{{actor}} time-outs"),
                unit="cps",
            ),
            lines(
                "Received packets by protocol",
                Query(rate("engine_handled_packets", "protocol", actor=_CHOSEN), "{{protocol}}"),
                unit="pps",
                stacked=True,
                width=8,
            ),
            lines("UDP datagrams passed on", _by_engine("engine_udp_datagrams"), unit="pps", width=8),
            lines(
                "Dropped packets by cause",
                Query(rate("engine_dropped_packets", "cause", actor=_CHOSEN), "{{cause}}"),
                unit="pps",
                stacked=True,
                width=8,
            ),
            lines(
                "Everything else that is counted",
                Query(f"topk(12, {rate('engine_events', 'event', actor=_CHOSEN)})", "{{event}}"),
                unit="cps",
                width=24,
            ),
        ],
    )


def _timer() -> Row:
    shares = (0.5, 0.95, 0.99)
    late = [
        Query(
            quantile(share, "engine_timer_error_seconds_bucket", "actor", actor=_CHOSEN),
            f"{{{{actor}}}} p{share:.0%}"[:-1],
        )
        for share in shares
    ]
    return Row(
        "Packet processing timer (empty while appliance.timer is adaptive)",
        [
            lines(
                "How late breaths begin",
                *late,
                unit="s",
                description="From the arena's histogram, whose buckets double in width.",
            ),
            lines(
                "Instants kept and missed",
                _by_engine("engine_timer_instants", "{{actor}} kept"),
                _by_engine("engine_timer_missed_instants", "{{actor}} missed"),
                unit="cps",
            ),
        ],
    )


def engines() -> Json:
    """Return the dashboard."""
    return dashboard(
        "engines",
        "Engines",
        "The packet engines one by one.",
        [_work(), _connections(), _protocols(), _timer()],
        [Choice("actor", "Engine", "engine_live_connections")],
    )
