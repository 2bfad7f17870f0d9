"""``python -m benchmarks.floods``: floods of a million segments, and a client among them that behaves.

Dry: one packet engine, or one distributor, without a network. Seeded: the same packets in every run. What it prints
stands in docs/tcp.md (``--accept`` writes it there), but for the times, which are those of this machine.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from ncore_ray.flow.distributor import live_flows
from ncore_ray.lab.dry.distributor import make_appliance
from ncore_ray.lab.dry.flood import Flood
from ncore_ray.lab.dry.packets import tcp_packet
from ncore_ray.lab.dry.siege import CLIENT, VIP, Siege

DOCUMENT: Final = Path(__file__).parent.parent / "docs" / "tcp.md"
_BEGIN, _END = "<!-- floods -->\n", "<!-- /floods -->"
_VISITS: Final = 500
_ENGINES: Final = (
    ("SYN, `syn_cookies: auto`", "syn", "syn_cookies: auto"),
    ("SYN, `syn_cookies: always`", "syn", "syn_cookies: always"),
    ("SYN, `syn_cookies: off`", "syn", "syn_cookies: off"),
    ("ACK", "ack", "syn_cookies: auto"),
    ("ACK, `syn_cookies: always`", "ack", "syn_cookies: always"),
    ("RST", "rst", "syn_cookies: auto"),
)


@dataclass(frozen=True)
class Outcome:
    """What came of one flood."""

    name: str
    segments: int
    answered: float
    """Share of the client's visits."""
    connections: int
    """The most that were there at a time."""
    causes: str

    def row(self) -> str:
        """Return the row of the table in the documentation."""
        return f"| {self.name} | {self.segments:,} | {self.answered:.1%} | {self.connections:,} | {self.causes} |"


def _causes(siege: Siege) -> str:
    names = ("syn_cookies_sent", "drop_tcp_half_open_limit_packets", "drop_tcp_no_connection_packets")
    counters = siege.lab.counters()
    found = {name: getattr(counters, name) for name in names}
    return ", ".join(f"`{name}` {count:,}" for name, count in found.items() if count)


def flood_engine(name: str, kind: str, tcp: str, segments: int) -> Outcome:
    """Let a flood at an engine; the client comes once for each part of it, after a first tenth without him."""
    siege = Siege(kind, seed=1, tcp=tcp, connections=4096)
    engine, most = siege.lab.engine(), 0
    siege.press(segments // 10)
    for _ in range(_VISITS):
        siege.visit((segments - segments // 10) // _VISITS)
        most = max(most, engine.live_connections)
    return Outcome(name, siege.flooded, siege.answered / siege.visits, most, _causes(siege))


def flood_distributor(segments: int) -> Outcome:
    """Let a flood of SYNs at a flow table for 65,536 flows; the client's ACK comes 2,000 SYNs after his own."""
    appliance = make_appliance(ports=(9000,), flows=65_536)
    flood = Flood("syn", 1, (VIP, 9000), (1, 2))
    kept = visits = sent = 0
    for start in range(0, segments, 2_000):
        port = 20_000 + start // 2_000
        engine = appliance.send(tcp_packet(CLIENT, port, VIP, 9000, 2))
        for row in flood.frames(min(2_000, segments - start)):
            appliance.now += 1
            appliance.send(row.tobytes())
            sent += 1
        visits += 1
        kept += appliance.send(tcp_packet(CLIENT, port, VIP, 9000, 16)) == engine
    evicted = appliance.counters()["flows_evicted"]
    live = sum(live_flows(appliance.arena.array))
    return Outcome("SYN, flow table for 65,536", sent, kept / visits, live, f"`flows_evicted` {evicted:,}")


def main(
    segments: Annotated[int, typer.Option(help="Of each flood.")] = 1_000_000,
    accept: Annotated[bool, typer.Option(help="Write the table to the documentation.")] = False,
) -> None:
    """Flood a packet engine and a flow table."""
    rows = [
        "| flood | segments | the client was answered at once | connections or flows at a time | where it went |",
        "|---|---:|---:|---:|---|",
    ]
    for name, kind, tcp in _ENGINES:
        began = time.monotonic()
        rows.append(flood_engine(name, kind, tcp, segments).row())
        typer.echo(f"{rows[-1]}  ({time.monotonic() - began:.0f} s)")
    rows.append(flood_distributor(segments).row())
    typer.echo(rows[-1])
    if accept:
        text = DOCUMENT.read_text()
        before, after = text.split(_BEGIN)[0], text.split(_END)[1]
        DOCUMENT.write_text(before + _BEGIN + "\n".join(rows) + "\n" + _END + after)


if __name__ == "__main__":
    typer.run(main)
