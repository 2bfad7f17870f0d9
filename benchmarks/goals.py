"""What the appliance has to reach in a case, compared with the base peer in the same round, and whether it did."""

from __future__ import annotations

from dataclasses import dataclass

_APPLIANCE = "ncore-"
_DEFAULT_PLACEMENT = "core"
REASONS = "performance.md#the-goals-and-those-that-are-not-reached"
"""Where it stands why a goal is not reached; in the folder ``docs``."""


@dataclass(frozen=True)
class Goal:
    """A bound of the ratio (appliance : base) of one figure of `Measurement`."""

    figure: str
    at_least: float | None = None
    at_most: float | None = None
    placement: str = ""
    """Only appliances with their distributor placed so count; empty: the best of all."""

    def is_met(self, ratio: float) -> bool:
        """Tell whether a ratio is within the bounds."""
        return (self.at_least is None or ratio >= self.at_least) and (self.at_most is None or ratio <= self.at_most)

    def better(self, ratio: float) -> float:
        """Return what grows with how good a ratio is."""
        return ratio if self.at_least is not None else -ratio

    def __str__(self) -> str:
        bound = f"≥ {self.at_least:g}" if self.at_least is not None else f"≤ {self.at_most:g}"
        return f"{bound} ×"


def is_appliance(peer: str) -> bool:
    """Tell whether a peer is the appliance, whatever its placement."""
    return peer.startswith(_APPLIANCE)


def placement_of(peer: str) -> str:
    """Return where an appliance's distributor runs: ``ncore-2-per-core`` → ``per-core``."""
    return peer.removeprefix(_APPLIANCE).partition("-")[2] or _DEFAULT_PLACEMENT
