"""What the configuration says of one NIC, and the driver that it names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ncore_ray.nic.af_packet import AfPacketDriver
from ncore_ray.nic.driver import Driver, NicError, parse_mac
from ncore_ray.nic.fanout import Fanout, Spread
from ncore_ray.nic.faults import FaultSettings
from ncore_ray.nic.memory import MemoryDriver
from ncore_ray.nic.pcap import PcapDriver
from ncore_ray.nic.spread import SPREAD_OF, UserSpread
from ncore_ray.nic.tap import TapDriver


@dataclass(frozen=True)
class NicSettings:
    """One NIC."""

    name: str
    driver: str
    """``af_packet``, ``tap``, ``pcap`` or ``memory``."""
    interface: str = ""
    """Left out: the same as ``name``."""
    netns: str | None = None
    mtu: int | None = None
    mac: str | None = None
    vlan: int = 0
    """Packets of this VLAN only, with its tag on the wire; 0: packets without a tag."""
    host: str | None = None
    """Address of the kernel's end of a TAP device, like ``10.1.0.1/24``."""
    input: Path | None = None
    output: Path | None = None
    paced: bool = False
    """The packets of a capture come at the distances of their times."""
    faults: FaultSettings | None = None
    trace: Path | None = None
    ring_slots: int = 4_096
    """Packets that can wait in the kernel (af_packet)."""
    spin_us: int = 0
    """So long a thread without work looks again before it sleeps."""
    fanout: Fanout | None = None
    """How the kernel spreads packets over several receive queues (af_packet, tap); None: there is one."""
    spread: UserSpread = UserSpread.NONE
    """How the reader of the one receive queue spreads packets over the engines."""
    spread_seed: int = 1
    """Of a random spread."""

    @property
    def wrapped(self) -> bool:
        """True if a fault injector or a tracer has to see every packet."""
        return self.faults is not None or self.trace is not None

    @property
    def needs_writer(self) -> bool:
        """True if engines send through the transmit rings (`Transmit.RING`)."""
        return self.driver != "af_packet" or self.wrapped

    def has_queues(self, fanout: Fanout) -> bool:
        """Tell whether the kernel fills a receive queue for each engine.

        TAP devices have as many queues as one likes, but the kernel chooses by its own hash of the flow only.
        """
        return self.driver == "af_packet" or (self.driver == "tap" and fanout.spread is Spread.HASH)


def settings_of_queue(settings: NicSettings, decider: int, fanout: Fanout) -> NicSettings:
    """Return the settings of the receive queue that a decider reads: faults of its own, a trace of its own."""
    if not settings.has_queues(fanout):
        return replace(settings, spread=SPREAD_OF[fanout.spread])
    if decider == 0:
        return replace(settings, fanout=fanout)
    faults, trace = settings.faults, settings.trace
    return replace(
        settings,
        fanout=fanout,
        faults=None if faults is None else replace(faults, seed=faults.seed + decider),
        trace=None if trace is None else trace.with_stem(f"{trace.stem}.{decider}"),
    )


def make_driver(settings: NicSettings) -> Driver:
    """Return the driver that the settings name, not yet open. Raises NicError."""
    mac = None if settings.mac is None else parse_mac(settings.mac)
    interface = settings.interface or settings.name
    if settings.driver == "af_packet":
        return AfPacketDriver(
            interface,
            netns=settings.netns,
            mtu=settings.mtu,
            mac=mac,
            ring_slots=settings.ring_slots,
            fanout=settings.fanout,
        )
    if settings.driver == "tap":
        return TapDriver(
            interface, netns=settings.netns, mtu=settings.mtu, mac=mac, host=settings.host, fanout=settings.fanout
        )
    if settings.driver == "pcap":
        return PcapDriver(settings.input, settings.output, paced=settings.paced, mac=mac, mtu=settings.mtu)
    if settings.driver == "memory":
        return MemoryDriver()
    raise NicError(f"NIC {settings.name}: there is no driver {settings.driver!r}")
