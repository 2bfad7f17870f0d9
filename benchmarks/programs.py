"""Load generators that are programs: run on the client host to their end, with the CPU time they took."""

from __future__ import annotations

import resource
from collections.abc import Sequence

from ncore_ray.lab.network import Network

_SLACK_S = 15.0


def run_on_client(network: Network, arguments: Sequence[str], seconds: float) -> tuple[str, float]:
    """Run a program that takes about ``seconds``; return what it printed, and the CPU time it took in s.

    Raises ProcessError when it is not installed or runs much longer. Its exit status is left to who reads its output.
    """
    before = _children_seconds()
    process = network.client.start(arguments, lifetime_s=seconds + _SLACK_S, read_output=True)
    output = "\n".join(process.lines())
    process.wait(_SLACK_S)
    return output or process.log_tail(), _children_seconds() - before


def _children_seconds() -> float:
    """User + system time of the children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
