"""A running appliance in its test bed: what loads and checks need to know of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

from ncore_ray.appliance.session import Appliance
from ncore_ray.config.model import Configuration
from ncore_ray.errors import NcoreError
from ncore_ray.lab.network import Network

_UP_S: Final = 15.0


@dataclass(frozen=True)
class Site:
    """The parts."""

    network: Network
    appliance: Appliance
    configuration: Configuration
    dashboard: str = ""

    def stat(self) -> dict[str, Any]:
        """Return all counters."""
        counters: dict[str, Any] = self.appliance.ask("stat")
        return counters

    def services(self) -> dict[str, str]:
        """Return each service's health in a word."""
        health: dict[str, str] = self.appliance.ask("status")["services"]
        return health

    def wait_until_up(self, timeout_s: float = _UP_S) -> None:
        """Wait for every service. Raises NcoreError."""
        end = time.monotonic() + timeout_s
        while down := [name for name, word in self.services().items() if word != "up"]:
            if time.monotonic() > end:
                raise NcoreError(f"not up after {timeout_s:.0f} s: {', '.join(down)}")
            time.sleep(0.05)
