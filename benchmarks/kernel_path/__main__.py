"""``python -m benchmarks.kernel_path``: goodput of the appliance and of the kernel, by loss and round-trip time."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.kernel_path.bed import ENDS, Bed
from benchmarks.kernel_path.transfers import Transfer, download, iperf
from benchmarks.simulation.path import Path

_MEGABYTE: Final = 1_000_000
_MBIT: Final = 125_000
_QUEUE: Final = 256_000
_WANTED: Final = 0.9
_progress = Console(stderr=True)


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def _way(rtt_ms: float, loss: float, rate_mbit: float) -> Path:
    return Path(round(500 * rtt_ms), round(rate_mbit * _MBIT), _QUEUE, loss / 100)


def _measure(bed: Bed, way: Path, rounds: int, one: Callable[[str], Transfer], what: str) -> dict[str, float]:
    """Return the median goodput of each end, MB/s; the ends take turns, and each round has losses of its own."""
    found: dict[str, list[float]] = {end: [] for end in ENDS}
    for number in range(rounds):
        for end in sorted(ENDS, reverse=bool(number % 2)):
            bed.be(way, number + 1)
            transfer = one(end)
            found[end].append(transfer.rate / _MEGABYTE)
            digest = f", SHA-256 {transfer.digest[:16]}…" if transfer.digest else ""
            _progress.print(f"{what}, {end}: {transfer.size:,} bytes, {found[end][-1]:.2f} MB/s{digest}")
    return {end: statistics.median(rates) for end, rates in found.items()}


def _cells(
    bed: Bed, rtts: Sequence[float], losses: Sequence[float], rate: float, rounds: int, seconds: float
) -> Iterator[tuple[str, dict[str, float]]]:
    for rtt in rtts:
        for loss in losses:
            row = f"{rtt:g} ms, {loss:g}% lost"
            yield (
                row,
                _measure(bed, _way(rtt, loss, rate), rounds, lambda end: download(bed, end, seconds), row),
            )


def _peers(bed: Bed, rate: float, rounds: int, seconds: float) -> Iterator[tuple[str, dict[str, float]]]:
    """Curl, nginx and iperf3 at both ends of a path of 100 ms that loses one percent."""
    way = _way(100, 1, rate)
    for row, one in (
        ("100 ms, 1% lost: nginx to curl", lambda end: download(bed, end, seconds)),
        ("100 ms, 1% lost: iperf3 to the client", lambda end: iperf(bed, end, seconds, to_client=True)),
        ("100 ms, 1% lost: iperf3 from the client", lambda end: iperf(bed, end, seconds, to_client=False)),
    ):
        yield row, _measure(bed, way, rounds, one, row)


def main(
    rtt: Annotated[str, typer.Option(help="Round-trip times, ms.")] = "2,20,100",
    loss: Annotated[str, typer.Option(help="Losses in each direction, percent.")] = "0,0.1,1,3",
    rate: Annotated[float, typer.Option(help="Of the path, Mbit/s.")] = 100.0,
    rounds: Annotated[int, typer.Option(help="Transfers of each end; the median counts.")] = 3,
    seconds: Annotated[float, typer.Option(help="Of each transfer at the most.")] = 5.0,
    control: Annotated[str, typer.Option(help="Congestion control of both: cubic, newreno or bbr.")] = "cubic",
    tcp: Annotated[str, typer.Option(help="Keys of the appliance's `tcp`, such as 'timestamps: true'.")] = "",
    peers: Annotated[bool, typer.Option(help="Also iperf3, both ways.")] = True,
) -> None:
    """Send over the same emulated path by the Linux kernel's TCP and by the appliance's, in turn."""
    table = Table(
        "", "kernel", "appliance", "ratio", "reached", title=f"Goodput with {control} at {rate:g} Mbit/s, MB/s"
    )
    with Bed(control, tcp) as bed:
        rows = list(_cells(bed, _numbers(rtt), _numbers(loss), rate, rounds, seconds))
        rows += _peers(bed, rate, rounds, seconds) if peers else ()
    for row, found in rows:
        ratio = found["appliance"] / found["kernel"] if found["kernel"] else 0.0
        reached = "yes" if ratio >= _WANTED else "no"
        table.add_row(row, f"{found['kernel']:.3g}", f"{found['appliance']:.3g}", f"{ratio:.2f}", reached)
    Console(width=None if sys.stdout.isatty() else 130).print(table)


if __name__ == "__main__":
    typer.run(main)
