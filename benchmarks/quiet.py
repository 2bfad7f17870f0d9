"""Waiting until nobody else keeps the machine busy."""

from __future__ import annotations

import time
from collections.abc import Callable

from ncore_ray.lab.cpu import machine_cpu_seconds

_SPAN_S = 0.4


class Patience:
    """Waits for a quiet machine, all in all at most ``budget_s`` seconds."""

    def __init__(self, budget_s: float, quiet_below: float) -> None:
        self._left_s = budget_s
        self._quiet_below = quiet_below

    def wait(self, own_seconds: Callable[[], float]) -> None:
        """Return when others keep fewer cores busy than wanted, or the budget is spent.

        ``own_seconds`` tells the CPU time in s of what may be busy: a proxy that polls is not somebody else.
        """
        while self._left_s > 0:
            started_at, before = time.monotonic(), machine_cpu_seconds() - own_seconds()
            time.sleep(_SPAN_S)
            span_s = time.monotonic() - started_at
            if (machine_cpu_seconds() - own_seconds() - before) / span_s < self._quiet_below:
                return
            self._left_s -= span_s
