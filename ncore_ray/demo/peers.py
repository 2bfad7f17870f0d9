"""What the hosts' kernels say they sent although it had been sent before: witnesses of drops that are in order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ncore_ray.lab.network import Network

_FILES: Final = ("/proc/thread-self/net/snmp", "/proc/thread-self/net/netstat")
_AGAIN: Final = ("RetransSegs", "TCPWinProbe", "TCPKeepAlive")
"""Segments sent twice (loss probes, RFC 8985, among them), and probes, which carry an old sequence number."""


def sent_again(network: Network) -> int:
    """Return how many segments the client's and the servers' kernels have sent with an old sequence number."""
    hosts = [network.client, *network.servers]
    return sum(host.namespace.call(_sent_again) for host in hosts)


def _sent_again() -> int:
    counters: dict[str, int] = {}
    for file in _FILES:
        counters.update(counters_of(Path(file).read_text()))
    return sum(counters[name] for name in _AGAIN)


def counters_of(text: str) -> Iterator[tuple[str, int]]:
    """Return the counters of a table of the kernel's: lines in pairs, first the names, then the values."""
    lines = text.splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        yield from zip(names.split()[1:], map(int, values.split()[1:]), strict=True)
