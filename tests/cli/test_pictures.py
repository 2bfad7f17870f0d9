"""Tables of `stat`, `top` and `status`, drawn from made-up numbers: nothing is cut off at 100 columns."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console, RenderableType

from ncore_ray.cli.output import draw
from ncore_ray.cli.rates import Rates
from ncore_ray.cli.stat_command import tables
from ncore_ray.cli.summary import actor_rows, service_rows, summary
from ncore_ray.cli.top_view import TopView
from ncore_ray.management.latencies import summary as latency_summary

Plain = dict[str, Any]
WIDTH = 100


def drawn(*parts: RenderableType, cut: bool = False) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=WIDTH, highlight=False)
    for part in parts:
        console.print(part)
    text = stream.getvalue()
    assert cut or "…" not in text
    return text


TIMES = latency_summary([0] * 8 + [900, 100] + [0] * 36, 300_000)


def stat(scale: int) -> Plain:
    vserver = {"connections": 250, "total_connections": 10 * scale, "requests": 20_000 * scale, "errors": 0}
    vserver |= {"received_bytes": 10**8 * scale, "sent_bytes": 10**9 * scale}
    service: Plain = {"health": "up", "connections": 31, "busy": 12, "idle_connections": 19, "failures": 0, **vserver}
    engine = {"received_packets": 200_000 * scale, "sent_packets": 210_000 * scale, "sent_bytes": 10**9 * scale}
    engine |= {"live_connections": 1_234, "connections_accepted": 7 * scale, "drop_tcp_no_memory_packets": 3 * scale}
    return {
        "at_us": scale * 1_000_000,
        "actors": {"distributor": {"received_packets": 5 * scale, "forwarded_packets": 4 * scale}, "engine-0": engine},
        "cores": {"engine-0": {"busy_us": 910_000 * scale}},
        "timers": {},
        "latencies": {"www": TIMES | {"whole": TIMES}},
        "service_latencies": {"web1": TIMES},
        "vservers": {"www": vserver, "db": dict.fromkeys(vserver, 0)},
        "services": {"web1": service, "web2": {**service, "health": "down"}},
    }


def status() -> Plain:
    actor = {"process": 4711, "breaths": 1_234_567, "busy_us": 10**9, "state": "running", "failure": None}
    return {
        "appliance": "edge",
        "state": "degraded",
        "since": 0.0,
        "process": 1,
        "configuration": "configs/edge.yaml",
        "detached": True,
        "metrics": "http://192.0.2.1:8080/metrics",
        "engines": 1,
        "arena_bytes": 256 << 20,
        "dimensions": {"connections": 24_000},
        "actors": [
            {**actor, "name": "engine-0", "kind": "PacketEngine", "cpu": 1},
            {**actor, "name": "distributor", "kind": "FlowDistributor", "cpu": None, "failure": "its process died"},
        ],
        "nics": [
            {"name": "nc0", "driver": "af_packet", "interface": "eth1", "netns": None, "addresses": ["10.1.0.10/24"]}
            | {"faults": {"loss": "1%"}, "trace": None}
        ],
        "vservers": [
            {"name": "www", "address": "10.1.0.100:80", "protocol": "HTTP", "method": "roundrobin"}
            | {"services": ["web1", "web2"]},
            {
                "name": "db",
                "address": "10.1.0.100:5432",
                "protocol": "TCP",
                "method": "leastconnection",
                "services": [],
            },
        ],
        "services": {"web1": "up", "web2": "down"},
        "service_addresses": {"web1": "10.2.0.2:80", "web2": "10.2.0.3:80"},
    }


def test_rates() -> None:
    rates = Rates(stat(1), stat(3))
    assert rates.seconds == 2
    assert rates.per_second("vservers", "www", "requests") == 20_000
    assert rates.drops("engine-0") == 3
    assert rates.busy("engine-0") == 0.91
    assert rates.total("vservers", "requests") == 20_000
    assert rates.total_now("services", "connections") == 500


def test_a_counter_that_began_anew_has_no_negative_rate() -> None:
    assert Rates(stat(3), stat(1)).per_second("vservers", "www", "requests") == 0


def test_top() -> None:
    view = TopView()
    text = drawn(view.draw(status(), Rates(stat(1), stat(2))))
    for words in ["20,000 requests/s", "8 Gbit/s to clients", "███████░  91%", "● web2", "HTTP 10.1.0.100:80", "any"]:
        assert words in text
    assert "● distributor" in text  # failed


def test_stat_leaves_out_what_is_zero() -> None:
    text = drawn(*tables(stat(100), everything=False, width=WIDTH))
    assert "drop_tcp_no_memory_packets" in text
    assert "2,000,000" in text
    assert all(words in text for words in ["99.9 %", "300 µs", "1,000 "])
    assert "errors" not in text
    assert "errors" in drawn(*tables(stat(100), everything=True, width=WIDTH), cut=True)


def test_stat_of_many_engines_is_several_tables() -> None:
    found = stat(1)
    found["actors"] = {f"engine-{k}": {"received_packets": 10**9 + k} for k in range(16)}
    text = drawn(*tables(found, everything=False, width=WIDTH))
    assert text.count("received_packets") == 6
    assert "engine-15" in text


def test_status() -> None:
    text = drawn(summary(status(), "http://127.0.0.1:8265"), draw(service_rows(status())), draw(actor_rows(status())))
    for words in [
        "edge ● degraded",
        "www  HTTP  10.1.0.100:80",
        "faults loss=1%",
        "256 MiB",
        "● down",
        "its process",
    ]:
        assert words in text
