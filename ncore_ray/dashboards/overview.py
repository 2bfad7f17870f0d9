"""The first look: is it well, and how much does it do?"""

from __future__ import annotations

from ncore_ray.dashboards.board import Row, dashboard
from ncore_ray.dashboards.panels import BUSY, GOOD, NONE_WANTED, RED, YELLOW, Json, Query, lines, number
from ncore_ray.dashboards.promql import added, rate, selector, value


def _glance() -> Row:
    share = f"{added('vserver_services_up')} / {added('vserver_services')}"
    return Row(
        "At a glance",
        [
            number(
                "State", Query(f"{value('appliance_state', 'state')} == 1", "{{state}}"), graph=False, name_only=True
            ),
            number(
                "Runs for", Query(f"time() - {value('appliance_start_time_seconds')}", "for"), unit="s", graph=False
            ),
            number("Engines", Query(value("appliance_engines"), "engines"), graph=False),
            number(
                "Services up",
                Query(share, "up"),
                unit="percentunit",
                steps=((None, RED), (0.5, YELLOW), (1, "green")),
                description="Over all vServers; a service of two of them counts twice.",
            ),
            number("Open connections", Query(added("vserver_open_connections"), "open")),
            number("Requests", Query(rate("vserver_requests"), "requests"), unit="reqps"),
            number("New connections", Query(rate("vserver_accepted_connections"), "new"), unit="cps"),
            number("To clients", Query(f"8 * {rate('vserver_sent_bytes')}", "to clients"), unit="bps"),
            number("From clients", Query(f"8 * {rate('vserver_received_bytes')}", "from clients"), unit="bps"),
            number("Errors", Query(rate("vserver_errors"), "errors"), unit="cps", steps=NONE_WANTED),
            number("Dropped packets", Query(rate("engine_dropped_packets"), "dropped"), unit="pps", steps=NONE_WANTED),
            number(
                "Busiest engine",
                Query(f"max({rate('actor_busy_seconds', 'actor', actor='engine-.*')})", "busy"),
                unit="percentunit",
                steps=BUSY,
            ),
        ],
    )


def _traffic() -> Row:
    return Row(
        "Traffic by vServer",
        [
            lines("Requests", Query(rate("vserver_requests", "vserver"), "{{vserver}}"), unit="reqps", stacked=True),
            lines("Open connections", Query(value("vserver_open_connections", "vserver"), "{{vserver}}"), unit="short"),
            lines(
                "Payload to clients (up) and from clients (down)",
                Query(f"8 * {rate('vserver_sent_bytes', 'vserver')}", "{{vserver}} out"),
                Query(f"8 * {rate('vserver_received_bytes', 'vserver')}", "{{vserver}} in"),
                unit="bps",
                below=" in$",
            ),
            lines("Errors", Query(rate("vserver_errors", "vserver"), "{{vserver}}"), unit="cps", steps=GOOD),
        ],
    )


def _load() -> Row:
    return Row(
        "Load",
        [
            lines(
                "How busy the actors are",
                Query(rate("actor_busy_seconds", "actor"), "{{actor}}"),
                unit="percentunit",
                most=1,
                steps=BUSY,
                description="Share of the time spent in breaths that had work to do.",
            ),
            lines(
                "Connections held, of those that fit",
                Query(
                    f"{value('engine_live_connections', 'actor')} / {value('engine_connection_capacity', 'actor')}",
                    "{{actor}}",
                ),
                unit="percentunit",
                most=1,
                steps=BUSY,
            ),
            lines(
                "Packets dropped by engines",
                Query(
                    f"{rate('engine_dropped_packets', 'cause')} > 0 or {_nothing('engine_dropped_packets')}",
                    "{{cause}}",
                ),
                unit="pps",
                stacked=True,
            ),
            lines(
                "Packets dropped before the engines",
                Query(
                    f"{rate('distributor_dropped_packets', 'cause')} > 0 or {_nothing('distributor_dropped_packets')}",
                    "distributor {{cause}}",
                ),
                Query(
                    f"{rate('nic_dropped_packets', 'cause')} > 0 or {_nothing('nic_dropped_packets')}", "NIC {{cause}}"
                ),
                unit="pps",
                stacked=True,
            ),
        ],
    )


def _nothing(name: str) -> str:
    """Return 0, as long as the metric is there at all."""
    return f"0 * count({selector(name)})"


def overview() -> Json:
    """Return the dashboard."""
    return dashboard("overview", "Overview", "Is it well, and how much does it do?", [_glance(), _traffic(), _load()])
