"""Where scripts are played: an engine without a network under a virtual clock; `veth` has one in real time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ncore_ray.engine.connection import CONTROL_OFFSET, Tcb
from ncore_ray.engine.tcp.cubic import Cubic
from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.lab.dry.engine import NIC_MACS, START, EngineLab
from ncore_ray.lab.dry.packets import ip_bytes
from ncore_ray.machine.record import view
from tests.conformance.language import Source
from tests.support.tcp_script import (
    CLIENT,
    CLIENT_MAC,
    PORT,
    SERVICE,
    SERVICE_MAC,
    SNIP,
    VIP,
    check_nothing_leaked,
    configuration_text,
    reset_all,
    until_wrap_us,
)

Take = Callable[[int, bytes, int], None]
"""Takes a frame that the engine sent: NIC (0: towards the clients, 1: the services), frame, µs since the start."""


@dataclass(frozen=True)
class Place:
    """Addresses and ports of one script's connections."""

    client: tuple[str, int]
    vip: tuple[str, int]
    service: tuple[str, int]
    snip: str
    macs: tuple[int, int]
    """Of the engine's NICs."""
    own_macs: tuple[int, int]
    """Of the client and of the service."""


class World(Protocol):
    """What a player needs of its surroundings."""

    place: Place

    @property
    def tolerance_us(self) -> int:
        """By which times may differ from what a script says."""

    def send(self, nic: int, frame: bytes) -> None:
        """Hand a frame to the engine."""

    def now_us(self) -> int:
        """Return the time since the start."""

    def advance(self, until_us: int, take: Take, stop: Callable[[], bool]) -> None:
        """Let time go by until then, or until ``stop()``; what the engine sends is taken."""

    def counter(self, name: str) -> int | None:
        """Return a counter of the engine; None: nobody can look into it."""

    def tcb(self, nic: int) -> Tcb | None:
        """Return the engine's connection to the end at a NIC; None: there is none, or nobody can look into it."""

    def sees_inside(self) -> bool:
        """Return whether the engine's state can be seen."""

    def end(self) -> None:
        """End what is left of the connections, and check that nothing leaked."""


class DryWorld:
    """One engine, breathed by hand; time goes from one deadline to the next."""

    @property
    def tolerance_us(self) -> int:
        return 2_500

    def __init__(self, source: Source) -> None:
        self.place = Place(
            (CLIENT, 40_000), (VIP, PORT), (SERVICE, PORT), SNIP, NIC_MACS[:2], (CLIENT_MAC, SERVICE_MAC)
        )
        settings = source.settings
        own = {name: settings.get(name, "") for name in ("tcp", "timeouts", "vserver")}
        text = configuration_text(tcp=own["tcp"], timeouts=own["timeouts"], vserver=own["vserver"])
        self.lab = EngineLab(text, connections=16, frames=512)
        self.lab.now = START + until_wrap_us(source.end)
        self.lab.learn(1, SERVICE, SERVICE_MAC)
        self._start = self.lab.now
        self._waiting = False

    def now_us(self) -> int:
        return self.lab.now - self._start

    def send(self, nic: int, frame: bytes) -> None:
        self.lab.receive(nic, frame)
        self._waiting = True

    def advance(self, until_us: int, take: Take, stop: Callable[[], bool]) -> None:
        end = self._start + until_us
        self._settle(take)
        while self.lab.now < end and not stop():
            due = (self._next_deadline() >> 10) + 1 << 10
            self.lab.now = min(max(due, self.lab.now + 1024), end)
            self._breathe(take)
            self._settle(take)

    def _settle(self, take: Take) -> None:
        while self._waiting:
            self._breathe(take)

    def _breathe(self, take: Take) -> None:
        self._waiting = False
        self.lab.breathe()
        for nic, frame in self.lab.sent():
            take(nic, frame, self.now_us())

    def _next_deadline(self) -> int:
        """Return the first instant at which a connection has something to do, or one far away."""
        instants = [1 << 60]
        for tcb in self.lab.connections():
            instants += [tcb.retransmit_at, tcb.recheck_at, tcb.ack_at, tcb.keepalive_at]
            instants += [tcb.application_at, tcb.close_at, tcb.pace_at if tcb.pace_waits else 0]
        return min(instant for instant in instants if instant)

    def counter(self, name: str) -> int | None:
        return self.lab.totals().values.get(name)

    def tcb(self, nic: int) -> Tcb | None:
        remote, port = (self.place.client, self.place.service)[nic]
        address = int.from_bytes(ip_bytes(remote), "big")
        for tcb in self.lab.connections():
            if tcb.remote_low & 0xFFFF_FFFF == address and tcb.ports >> 24 == port and tcb.nic == nic:
                return tcb
        return None

    def sees_inside(self) -> bool:
        return True

    def end(self) -> None:
        reset_all(self.lab)
        check_nothing_leaked(self.lab, connections=0)


def control_of(tcb: Tcb) -> Cubic:
    """Return what CUBIC keeps of a connection."""
    return view(Cubic, np.frombuffer(tcb, np.uint8), CONTROL_OFFSET)  # type: ignore[call-overload]


def state_name(tcb: Tcb | None) -> str:
    """Return the name of a connection's state."""
    return TcpState(tcb.state).name if tcb else "CLOSED"
