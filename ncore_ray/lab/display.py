"""The demo's live display, from plain data: ``LiveDisplay`` is a context manager to update as often as one likes."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ncore_ray.lab import look
from ncore_ray.lab.rows import EngineRow, LiveState, ServerRow

_UPDATES_PER_S = 8
_WIDEST = 120
_TOLD = 7


class LiveDisplay:
    """Draws a :class:`LiveState` again and again on the terminal; on a file or pipe only its last state."""

    def __init__(self, console: Console | None = None) -> None:
        self._live = Live(
            console=console or Console(), refresh_per_second=_UPDATES_PER_S, auto_refresh=False, transient=True
        )

    def __enter__(self) -> LiveDisplay:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def update(self, state: LiveState) -> None:
        """Draw a state."""
        width = min(self._live.console.width, _WIDEST)
        self._live.update(live_view(state, width), refresh=True)


def live_view(state: LiveState, width: int = 110) -> RenderableType:
    """Return the whole display of one moment, ``width`` cells wide."""
    inner = width - 6
    body: list[RenderableType] = [
        _progress_line(state, inner),
        Text(),
        _rate_line(state, inner),
        Text(),
        _figures(state),
        Text(),
        _side_by_side(_engine_table(state.engines), _server_table(state.servers)),
    ]
    if state.told:
        body += [Text(), _told(state.told, inner)]
    title = Text.assemble(" ", (state.title, f"bold {look.ACCENT}"), " ")
    return Panel(Group(*body), title=title, padding=(1, 2), border_style=look.SOFT, width=width)


def _progress_line(state: LiveState, width: int) -> Text:
    clock = f"{state.elapsed_s:5.1f} s"
    label = f"{state.stage:<12}"
    bar = look.bar(state.done, width - len(label) - len(clock) - 8)
    return Text.assemble((label, "bold"), bar, f" {state.done:4.0%} ", (clock, look.SOFT))


def _rate_line(state: LiveState, width: int) -> Text:
    label = f"{look.count(state.rate) + ' requests/s':<20}"
    return Text.assemble((label, "bold"), look.sparkline(state.rates, width - len(label)))


def _figures(state: LiveState) -> Table:
    """Return one row of big figures, each over its name."""
    grid = Table.grid(expand=True)
    failures = look.BAD if state.failures else look.GOOD
    figures = (
        (look.count(state.requests), "requests", "bold"),
        (f"{look.count(state.open_connections)} / {look.count(state.connections)}", "open / all flows", "bold"),
        (look.bit_rate(state.bit_rate), "checked data", "bold"),
        (look.latency(state.p50_us), "latency p50", "bold"),
        (look.latency(state.p99_us), "latency p99", "bold"),
        (look.count(state.failures), "failures", failures),
    )
    for _ in figures:
        grid.add_column(justify="center", ratio=1)
    grid.add_row(*(Text(value, style=style) for value, _, style in figures))
    grid.add_row(*(Text(name, style=look.SOFT) for _, name, _ in figures))
    return grid


def _side_by_side(left: RenderableType, right: RenderableType) -> Table:
    grid = Table.grid(expand=True, padding=(0, 3, 0, 0))
    grid.add_column(ratio=7)
    grid.add_column(ratio=6)
    grid.add_row(left, right)
    return grid


def _told(lines: list[str], width: int) -> Text:
    """Return the latest lines of what is done, each cut to the width."""
    found = Text()
    for line in lines[-_TOLD:]:
        found.append(line[: width - 1] + "\n", style="bold" if "  " not in line[8:] else look.SOFT)
    found.right_crop(1)
    return found


def _engine_table(engines: list[EngineRow]) -> Table:
    made = look.table("Packet engines", "<engine", "flows", "requests", "packets", "<busy")
    for row in engines:
        made.add_row(
            row.name,
            look.count(row.connections),
            look.count(row.requests),
            look.count(row.packets_in),
            look.bar(row.busy, 6),
        )
    return made


def _server_table(servers: list[ServerRow]) -> Table:
    made = look.table("Servers", "<server", "<address", "requests", "<share")
    total = sum(row.requests for row in servers) or 1
    for row in servers:
        name = Text.assemble(("● ", look.GOOD if row.up else look.BAD), row.name)
        made.add_row(name, row.address, look.count(row.requests), look.bar(row.requests / total, 6))
    return made
