"""From the NICs over the distributor to the engines: who gets how much, and where packets wait."""

from __future__ import annotations

from ncore_ray.dashboards.board import Row, dashboard
from ncore_ray.dashboards.panels import BUSY, Json, Query, bars, lines, number
from ncore_ray.dashboards.promql import added, rate, value


def _flows() -> Row:
    given = rate("distributor_engine_packets", "engine")
    flows = value("distributor_live_flows", "engine")
    total = added("distributor_live_flows")
    return Row(
        "Flows and engines",
        [
            number("Live flows", Query(total, "flows"), width=6),
            number("New flows", Query(rate("distributor_flows_created"), "new"), unit="cps", width=6),
            number("Packets", Query(rate("distributor_received_packets"), "packets"), unit="pps", width=6),
            number(
                "Busiest engine, compared with the average",
                Query(
                    f"max({value('engine_load_ratio', 'actor')}) - avg({value('engine_load_ratio', 'actor')})", "more"
                ),
                unit="percentunit",
                steps=((None, "green"), (0.2, "yellow"), (0.5, "red")),
                width=6,
                description="How much busier the busiest engine is than the average, as a share of the time.",
            ),
            lines("Packets given to each engine", Query(given, "{{engine}}"), unit="pps", stacked=True),
            bars("Live flows of each engine", Query(flows, "{{engine}}"), unit="short"),
            lines(
                "How busy the engines are",
                Query(value("engine_load_ratio", "actor"), "{{actor}}"),
                unit="percentunit",
                most=1,
                steps=BUSY,
            ),
            lines("Live flows over time", Query(flows, "{{engine}}"), unit="short"),
            lines(
                "Flows created and forgotten",
                Query(rate("distributor_flows_created", "actor"), "{{actor}} created"),
                Query(rate("distributor_flows_expired", "actor"), "{{actor}} forgotten"),
                unit="cps",
            ),
            lines(
                "Packets in, and forwarded",
                Query(rate("distributor_received_packets", "actor"), "{{actor}} in"),
                Query(rate("distributor_forwarded_packets", "actor"), "{{actor}} forwarded"),
                unit="pps",
            ),
            lines(
                "Dropped by the distributor, by cause",
                Query(rate("distributor_dropped_packets", "cause"), "{{cause}}"),
                unit="pps",
                stacked=True,
                width=24,
            ),
        ],
    )


def _nics() -> Row:
    return Row(
        "NICs",
        [
            lines(
                "Packets received (up) and sent by writers (down)",
                Query(rate("nic_received_packets", "nic"), "{{nic}} received"),
                Query(rate("nic_sent_packets", "nic"), "{{nic}} sent"),
                unit="pps",
                below=" sent$",
                description="Engines send to an interface of the kernel by themselves: see Engines.",
            ),
            lines(
                "Bits received (up) and sent by writers (down)",
                Query(f"8 * {rate('nic_received_bytes', 'nic')}", "{{nic}} received"),
                Query(f"8 * {rate('nic_sent_bytes', 'nic')}", "{{nic}} sent"),
                unit="bps",
                below=" sent$",
            ),
            lines(
                "Dropped, by cause", Query(rate("nic_dropped_packets", "nic", "cause"), "{{nic}} {{cause}}"), unit="pps"
            ),
            lines(
                "Breaths in which packets had to wait",
                Query(rate("nic_stalled_breaths", "nic", "cause"), "{{nic}} {{cause}}"),
                unit="cps",
            ),
            lines(
                "Injected faults", Query(rate("nic_injected_faults", "nic", "fault"), "{{nic}} {{fault}}"), unit="pps"
            ),
            lines("Everything else", Query(rate("nic_events", "nic", "event"), "{{nic}} {{event}}"), unit="cps"),
        ],
    )


def _rings() -> Row:
    waiting, capacity = (value(f"ring_{name}_descriptors", "ring") for name in ("waiting", "capacity"))
    return Row(
        "Rings",
        [
            lines(
                "How full they are",
                Query(f"{waiting} / {capacity}", "{{ring}}"),
                unit="percentunit",
                most=1,
                steps=BUSY,
                description="At the moment of each look, once a second: what fills and empties in between is not seen.",
            ),
            lines("Descriptors that pass", Query(rate("ring_descriptors", "ring"), "{{ring}}"), unit="cps"),
        ],
    )


def distribution() -> Json:
    """Return the dashboard."""
    return dashboard("distribution", "Distribution", "From the NICs to the engines.", [_flows(), _nics(), _rings()])
