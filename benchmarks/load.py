"""What a load generator found, and the settings it is run with."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.goals import Goal


@dataclass(frozen=True)
class Case:
    """One setting of a scenario."""

    name: str
    connections: int
    target: str = "/"
    goals: tuple[Goal, ...] = ()
    once: bool = False
    """Measured on a fresh peer, without warm-up, and never repeated: memory that a peer has freed may stay its own."""


@dataclass(frozen=True)
class Load:
    """What the load generator found in one run. ``units`` are what the scenario counts: requests, bytes, packets …"""

    units: float
    seconds: float
    p50_us: float = 0.0
    """Latencies are 0 where a load has none."""
    p99_us: float = 0.0
    p999_us: float = 0.0
    errors: int = 0
    cpu_seconds: float = 0.0
    memory_each: float = 0.0
    """Bytes of the peer's memory per unit, where the scenario is about that."""
    kernel_each: float = 0.0
    """Bytes of the kernel's memory (sockets of all hosts) per unit, where the scenario is about that."""
