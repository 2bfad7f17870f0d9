"""The appliance as a peer of the benchmarks, in its placements; Ray is started for the first and kept for the rest."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Final

from benchmarks.peers import PORT, ApplianceFactory, Protocol, Service
from ncore_ray.appliance import session
from ncore_ray.engine.connection import Tcb
from ncore_ray.engine.http.exchange import Exchange
from ncore_ray.engine.http.message.body import Body
from ncore_ray.flow.records import FlowEntry
from ncore_ray.lab.network import CLIENT_SNIP, SERVER_SNIP, VIP, Network
from ncore_ray.machine.record import size_of

_TEMPLATE: Final = """\
appliance: {{name: bench, engines: {engines}, arena: 256MiB}}
distribution: {{placement: {placement}}}
nics:
  - {{name: nc0, driver: af_packet, netns: {netns}, addresses: ["{client}/24"]}}
  - {{name: nc1, driver: af_packet, netns: {netns}, addresses: ["{server}/24"]}}
services: [{services}]
vservers: [{{name: www, address: "{vip}:{port}", protocol: {protocol}, services: [{names}], mode: {mode}}}]
"""
_UP_S: Final = 10.0
_INDEX_BYTES: Final = 12
"""Of a connection in the hash index and the work list."""
RECORDS_OF_CONNECTION: Final = size_of(Tcb) + size_of(Exchange) + size_of(Body) + size_of(FlowEntry) + _INDEX_BYTES
"""Bytes of the arena that an idle client's connection takes; it holds no frame."""


class Running:
    """One appliance under test."""

    reserved_each = float(RECORDS_OF_CONNECTION)

    def __init__(self, appliance: session.Appliance) -> None:
        self._appliance = appliance
        self._pids: list[int] = list(appliance.ask("processes"))
        self.endpoint = f"{VIP}:{PORT}"
        self._wait_until_up()

    def _wait_until_up(self) -> None:
        end = time.monotonic() + _UP_S
        while "up" not in self._appliance.ask("status")["services"].values():
            if time.monotonic() > end:
                raise RuntimeError("no service of the appliance came up")
            time.sleep(0.05)

    def pids(self) -> list[int]:
        """Return the processes of all actors."""
        return self._pids

    def stop(self) -> None:
        """Take the appliance down."""
        self._appliance.take_down()


def _text(network: Network, service: Service, engines: int, placement: str, mode: str) -> str:
    names = [f"web{index}" for index in range(1, len(service.addresses) + 1)]
    # A probe is a connection: iperf3 would take it for its next test.
    monitor = "tcp" if service.protocol is Protocol.HTTP else "none"
    rows = ", ".join(
        f'{{name: {name}, address: "{address}", monitor: {monitor}}}'
        for name, address in zip(names, service.addresses, strict=True)
    )
    return _TEMPLATE.format(
        engines=engines,
        placement=placement,
        netns=network.appliance.namespace.name,
        client=CLIENT_SNIP,
        server=SERVER_SNIP,
        services=rows,
        names=", ".join(names),
        vip=VIP,
        port=PORT,
        protocol=service.protocol.value,
        mode=mode,
    )


def _factory(engines: int, placement: str = "core", mode: str = "proxy") -> ApplianceFactory:
    def start(network: Network, service: Service) -> Running:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "bench.yaml"
            path.write_text(_text(network, service, engines, placement, mode), encoding="utf-8")
            appliance, _ = session.start(path, detached=False)
        try:
            return Running(appliance)
        except BaseException:
            appliance.take_down()
            raise

    return start


FACTORIES: Final[dict[str, ApplianceFactory]] = {
    "ncore-1": _factory(1),
    "ncore-2": _factory(2),
    "ncore-1-per-core": _factory(1, "per-core"),
    "ncore-2-per-core": _factory(2, "per-core"),
    "ncore-2-rss": _factory(2, "rss"),
    "ncore-1-splice": _factory(1, "per-core", "splice"),
}
"""The appliance with one and with two engines, in each placement of the distributor; and one that splices."""
TCP_ONLY: Final = frozenset({"ncore-1-splice"})
"""Of these, what can do nothing but TCP."""
