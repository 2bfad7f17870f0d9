"""The appliance as a peer of the benchmarks, in its placements; Ray is started for the first and kept for the rest."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.peers import ApplianceFactory
from ncore_ray.appliance import session
from ncore_ray.lab.network import CLIENT_SNIP, SERVER_SNIP, VIP, Network

_TEMPLATE: Final = """\
appliance: {{name: bench, engines: {engines}, arena: 256MiB}}
distribution: {{placement: {placement}}}
nics:
  - {{name: nc0, driver: af_packet, netns: {netns}, addresses: ["{client}/24"]}}
  - {{name: nc1, driver: af_packet, netns: {netns}, addresses: ["{server}/24"]}}
services: [{services}]
vservers: [{{name: www, address: "{vip}:80", protocol: HTTP, services: [{names}]}}]
"""
_UP_S: Final = 10.0


class Running:
    """One appliance under test."""

    def __init__(self, appliance: session.Appliance) -> None:
        self._appliance = appliance
        self.endpoint = f"{VIP}:80"
        self._wait_until_up()

    def _wait_until_up(self) -> None:
        end = time.monotonic() + _UP_S
        while "up" not in self._appliance.ask("status")["services"].values():
            if time.monotonic() > end:
                raise RuntimeError("no service of the appliance came up")
            time.sleep(0.05)

    def pids(self) -> list[int]:
        """Return the processes of all actors."""
        return list(self._appliance.ask("processes"))

    def stop(self) -> None:
        """Take the appliance down."""
        self._appliance.take_down()


def _factory(engines: int, placement: str = "core") -> ApplianceFactory:
    def start(network: Network, services: Sequence[str]) -> Running:
        names = [f"web{index}" for index in range(1, len(services) + 1)]
        rows = ", ".join(
            f'{{name: {name}, address: "{address}"}}' for name, address in zip(names, services, strict=True)
        )
        text = _TEMPLATE.format(
            engines=engines,
            placement=placement,
            netns=network.appliance.namespace.name,
            client=CLIENT_SNIP,
            server=SERVER_SNIP,
            services=rows,
            names=", ".join(names),
            vip=VIP,
        )
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "bench.yaml"
            path.write_text(text, encoding="utf-8")
            appliance, _ = session.start(path, detached=False)
        return Running(appliance)

    return start


FACTORIES: Final[dict[str, ApplianceFactory]] = {
    "ncore-1": _factory(1),
    "ncore-2": _factory(2),
    "ncore-1-per-core": _factory(1, "per-core"),
    "ncore-2-per-core": _factory(2, "per-core"),
    "ncore-2-rss": _factory(2, "rss"),
}
"""The appliance with one and with two engines, in each placement of the distributor."""
