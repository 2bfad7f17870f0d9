"""Who is compared: the kernel's forwarding alone, HAProxy, nginx, and the appliance.

All are driven in the same way and stand in the same place of the same network. HAProxy and nginx are set up as their
manuals advise for speed: see ``proxies.py``.
"""

from __future__ import annotations

import importlib
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from typing import Protocol as Interface

from benchmarks.memory import memory_once
from ncore_ray.lab import cpu
from ncore_ray.lab.network import Network

PORT: Final = 80
USUAL: Final = ("direct", "haproxy", "nginx", "ncore-1-per-core", "ncore-2-rss")
"""Peers of a scenario for which nobody names any: of the appliance, the fastest with one engine and with two."""
EVERY_PLACEMENT: Final = (*USUAL[:3], "ncore-1", "ncore-2", "ncore-1-per-core", "ncore-2-per-core", "ncore-2-rss")


class Protocol(StrEnum):
    """What is balanced."""

    HTTP = "HTTP"
    TCP = "TCP"
    UDP = "UDP"


@dataclass(frozen=True)
class Service:
    """What a peer has to balance."""

    protocol: Protocol
    addresses: tuple[str, ...]
    """``10.2.0.2:80`` …"""


class Peer(ABC):
    """Something that stands between the client and the servers."""

    name: str
    forwarding: bool = True
    """Whether the kernel of the appliance's host owns the addresses and routes (see ``Layout``)."""

    @abstractmethod
    def start(self, network: Network, service: Service) -> str:
        """Serve; return ``ADDRESS:PORT`` to talk to, once it answers there."""

    @abstractmethod
    def stop(self) -> None:
        """End it. Called once after each start, also after a failed one."""

    @abstractmethod
    def pids(self) -> list[int]:
        """Return the roots of its process trees: everything it needs to do its work, and nothing else."""

    def missing(self, protocol: Protocol = Protocol.HTTP) -> str | None:
        """Return in one sentence why it cannot do this here, None when it can."""
        return None

    def cpu_seconds(self) -> float:
        """User + system time in s of all its processes so far."""
        return cpu.cpu_seconds(*self.pids())

    def memory_bytes(self) -> int:
        """Memory of all its processes; what several of them share counts once."""
        return memory_once(pid for root in self.pids() for pid in cpu.process_tree(root))

    def reserved_each(self) -> float:
        """Bytes of memory that it has set aside for each connection from the beginning, before there is any."""
        return 0.0


class Direct(Peer):
    """No proxy: the kernel forwards packets to the (first) server. The limit of the test bed itself."""

    name = "direct"

    def start(self, network: Network, service: Service) -> str:
        """Nothing to start: the client talks to the server."""
        return service.addresses[0]

    def stop(self) -> None:
        """Nothing to stop."""

    def pids(self) -> list[int]:
        """No processes: the work is done in the kernel, in the client's and the server's time."""
        return []


class RunningAppliance(Interface):
    """What ``benchmarks/appliance.py`` gives for a started appliance."""

    endpoint: str
    """Where the vServer answers, ``ADDRESS:PORT``."""
    reserved_each: float
    """Bytes of the arena that one client's connection takes."""

    def pids(self) -> list[int]:
        """Return the processes of *all* its actors."""

    def stop(self) -> None:
        """Take it down."""


ApplianceFactory = Callable[[Network, Service], RunningAppliance]
"""Starts an appliance on ``network.appliance`` (devices nc0 and nc1, kernel without addresses) that serves the service
at the VIP, port 80; returns when it answers."""


class Appliance(Peer):
    """The appliance, with one placement or configuration of it."""

    forwarding = False

    def __init__(self, name: str, factory: ApplianceFactory, *, tcp_only: bool = False) -> None:
        self.name = name
        self._factory = factory
        self._tcp_only = tcp_only
        self._running: RunningAppliance | None = None

    def missing(self, protocol: Protocol = Protocol.HTTP) -> str | None:
        """An appliance that splices reads nothing."""
        return f"{self.name} splices TCP vServers only" if self._tcp_only and protocol is not Protocol.TCP else None

    def start(self, network: Network, service: Service) -> str:
        """Start it by its factory."""
        self._running = self._factory(network, service)
        return self._running.endpoint

    def stop(self) -> None:
        """Take it down."""
        if self._running:
            self._running.stop()
            self._running = None

    def pids(self) -> list[int]:
        """Return the processes of its actors."""
        return self._running.pids() if self._running else []

    def reserved_each(self) -> float:
        """The records of a connection lie in the arena from the beginning."""
        return self._running.reserved_each if self._running else 0.0


def known_peers() -> dict[str, Peer]:
    """Return every peer by name.

    Proxies come from ``benchmarks/proxies.py``, appliances from ``benchmarks/appliance.py`` (``FACTORIES``).
    """
    proxies: Any = importlib.import_module("benchmarks.proxies")
    peers: list[Peer] = [Direct(), *proxies.all_proxies()]
    if importlib.util.find_spec("benchmarks.appliance"):
        appliance: Any = importlib.import_module("benchmarks.appliance")
        factories: dict[str, ApplianceFactory] = appliance.FACTORIES
        peers += [Appliance(name, make, tcp_only=name in appliance.TCP_ONLY) for name, make in factories.items()]
    return {peer.name: peer for peer in peers}


def select(known: dict[str, Peer], names: Sequence[str]) -> list[Peer]:
    """Return the peers of these names. Raises ValueError naming those that do not exist."""
    if unknown := set(names) - set(known):
        raise ValueError(f"no peer {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    return [known[name] for name in names]
