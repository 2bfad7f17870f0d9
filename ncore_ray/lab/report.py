"""The demo's final report, from plain data."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ncore_ray.lab import look
from ncore_ray.lab.measure import Latency
from ncore_ray.lab.rows import ActorRow, Check, DemoResult, EngineRow, ServerRow


def final_view(result: DemoResult, width: int = 110) -> RenderableType:
    """Return the whole report, ``width`` cells wide."""
    tables = (
        engine_table(result.engines),
        server_table(result.servers),
        actor_table(result.actors),
        latency_table(result.latencies),
        check_table(result.checks),
    )
    parts: list[RenderableType] = [_headline(result)]
    for table in tables:
        parts += [Text(), table]
    if result.dashboard:
        parts += [Text(), Text.assemble(("Ray dashboard  ", "bold"), (result.dashboard, f"underline {look.ACCENT}"))]
    colour = look.GOOD if result.passed else "red"
    words = " ✔ all checks passed " if result.passed else " ✘ a check failed "
    title = Text(words, style=f"bold {colour}")
    return Panel(Group(*parts), title=title, padding=(1, 2), border_style=colour, width=width)


def _headline(result: DemoResult) -> Text:
    per_second = result.requests / max(result.elapsed_s, 1e-9)
    return Text.assemble(
        (look.count(result.requests), "bold"),
        " requests on ",
        (look.count(result.connections), "bold"),
        " connections in ",
        (f"{result.elapsed_s:.1f} s", "bold"),
        f" ({look.count(per_second)}/s), every byte of ",
        (look.size(result.received_bytes + result.sent_bytes), "bold"),
        " compared",
    )


def engine_table(rows: Sequence[EngineRow]) -> Table:
    """Return the table of packet engines, with each one's share of the requests."""
    names = ("<engine", "core", "connections", "requests", "<share", "packets in", "packets out", "busy")
    made = look.table("Packet engines", *names)
    total = sum(row.requests for row in rows) or 1
    for row in rows:
        made.add_row(
            row.name,
            look.core(row.core),
            look.count(row.connections),
            look.count(row.requests),
            _share(row.requests / total),
            look.count(row.packets_in),
            look.count(row.packets_out),
            f"{row.busy:.0%}",
        )
    return made


def server_table(rows: Sequence[ServerRow]) -> Table:
    """Return the table of servers, with each one's share of the requests."""
    made = look.table("Servers", "<server", "<address", "<state", "connections", "requests", "<share")
    total = sum(row.requests for row in rows) or 1
    for row in rows:
        state = Text("up", style=look.GOOD) if row.up else Text("down", style=look.BAD)
        cells = (look.count(row.connections), look.count(row.requests), _share(row.requests / total))
        made.add_row(row.name, row.address, state, *cells)
    return made


def actor_table(rows: Sequence[ActorRow]) -> Table:
    """Return the table of Ray actors and the packets that went through each."""
    made = look.table("Ray actors", "<actor", "<kind", "pid", "core", "packets in", "packets out", "dropped")
    for row in rows:
        dropped = Text(look.count(row.dropped_packets), style="yellow" if row.dropped_packets else look.SOFT)
        packets = (look.count(row.packets_in), look.count(row.packets_out))
        made.add_row(row.name, row.kind, str(row.pid), look.core(row.core), *packets, dropped)
    return made


def latency_table(rows: Sequence[Latency]) -> Table:
    """Return the table of latencies per class of requests."""
    made = look.table("Latency", "<requests", "count", "p50", "p90", "p99", "max")
    for row in rows:
        spans = (look.latency(value) for value in (row.p50, row.p90, row.p99, row.max))
        made.add_row(row.name, look.count(row.count), *spans, style="bold" if row.name == "all" else "")
    return made


def check_table(rows: Sequence[Check]) -> Table:
    """Return the list of checks, each with ✔ or ✘."""
    made = look.table("Checks", "<", "<check", "<found")
    for row in rows:
        mark = Text("✔", style=look.GOOD) if row.passed else Text("✘", style=look.BAD)
        made.add_row(mark, Text(row.name, style="" if row.passed else look.BAD), Text(row.detail, style=look.SOFT))
    made.columns[2].no_wrap = False
    made.columns[2].ratio = 1
    return made


def _share(share: float) -> Text:
    return Text.assemble(look.bar(share, 12), f" {share:4.0%}")
