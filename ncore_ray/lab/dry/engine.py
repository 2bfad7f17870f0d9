"""Engines without NICs or processes: packets in, a breath at a time of the test's choice, packets out.

lab = EngineLab(configuration_text)
lab.receive(0, frame)                 # as the distributor would hand it over
lab.breathe(1_000)                    # µs
lab.sent()                            # [(nic, frame bytes), …]
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, Final

import numpy as np

from ncore_ray.arena.frame import CHAINED, FRAME_SIZE, NO_FRAME, RECEIVED, FrameMeta
from ncore_ray.arena.layout import PAGE
from ncore_ray.arena.ring import RING_HEAD_SIZE, Ring
from ncore_ray.blueprint.build import Blueprint, build, draw
from ncore_ray.blueprint.dimensions import Dimensions
from ncore_ray.config.load import parse
from ncore_ray.engine.connection import Role, Tcb
from ncore_ray.engine.counters import EngineCounters, ServiceStats, VserverStats
from ncore_ray.engine.partition import Engine
from ncore_ray.engine.run import breathe_once
from ncore_ray.lab.dry.arena import forbid_guards, mapped_bytes
from ncore_ray.machine.record import dtype_of, new, size_of, table, view
from ncore_ray.nic.burst import SendCounters
from ncore_ray.nic.direct import SenderMemory
from ncore_ray.tables.nic import Nic, Transmit
from ncore_ray.tables.service import Health, Service, Vserver, Watch
from ncore_ray.wire.packet import Packet

SECRET: Final = (0x0123_4567, 0x89AB_CDEF)
NIC_MACS: Final = (0x0200_0000_0001, 0x0200_0000_0002, 0x0200_0000_0003)
START: Final = 1_000_000_000
"""The clock of a lab at first, µs."""


Words = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Totals:
    """What a test compares before and after: all counters by name."""

    values: dict[str, int]

    def minus(self, other: Totals) -> dict[str, int]:
        """Return the counters that changed, and by how much."""
        return {k: v - other.values[k] for k, v in self.values.items() if v != other.values[k]}


class EngineLab:
    """One arena with all engines of a configuration, breathed by hand. Regions have inaccessible pages between them."""

    def __init__(
        self, text: str, *, connections: int = 64, frames: int = 512, nic_frames: int = 256, messages: int = 256
    ) -> None:
        configuration = parse(text)
        self.blueprint: Blueprint = draw(
            configuration, dimensions=Dimensions(nic_frames, frames, connections, messages), guard=PAGE
        )
        self.array = mapped_bytes(self.blueprint.size)
        transmit = [Transmit.RING] * len(configuration.nics)
        self.arena = build(self.array, self.blueprint, epoch=1, secret=SECRET, now=START, transmit=transmit)
        forbid_guards(self.array, self.blueprint.layout)
        self.base = self.array.ctypes.data
        self.now = START
        for index in range(self.arena.nic_count):
            nic = view(Nic, self.array, self.arena.nics + index * size_of(Nic))
            nic.mac, nic.mtu = NIC_MACS[index], configuration.nics[min(index, len(transmit) - 1)].mtu
            nic.transmit = Transmit.RING
        self._packet_memory, _, self._packet = new(Packet)
        self._counters_memory, _, counters = new(SendCounters)
        self._sender = SenderMemory([-1] * self.arena.nic_count, counters)
        each = self.blueprint.dimensions.nic_frames
        self._nic_frames = [deque(range(nic * each, nic * each + each)) for nic in range(self.arena.nic_count)]
        self._rings: dict[int, tuple[Ring, Words]] = {}
        self._all_metas = table(FrameMeta, self.array, self.arena.frame_metas, self.arena.frame_count)

    def engine(self, index: int = 0) -> Engine:
        """Return the live header of an engine."""
        return view(Engine, self.array, self.arena.engines + index * self.arena.engine_stride)

    def counters(self, index: int = 0) -> EngineCounters:
        """Return the live counters of an engine."""
        return view(EngineCounters, self.array, self.engine(index).counters)

    def totals(self, index: int = 0) -> Totals:
        """Return a copy of an engine's counters."""
        counters = self.counters(index)
        return Totals({name: getattr(counters, name) for name in dtype_of(EngineCounters).names or ()})

    def vserver(self, number: int = 0, index: int = 0) -> VserverStats:
        """Return an engine's counters of a vServer."""
        return view(VserverStats, self.array, self.engine(index).vserver_stats + number * size_of(VserverStats))

    def service_stats(self, number: int = 0, index: int = 0) -> ServiceStats:
        """Return an engine's counters of a service."""
        return view(ServiceStats, self.array, self.engine(index).service_stats + number * size_of(ServiceStats))

    def service(self, number: int) -> Service:
        """Return the shared record of a service."""
        return view(Service, self.array, self.arena.services + self.arena.bank + number * size_of(Service))

    def watch(self, number: int) -> Watch:
        """Return what is known of a service."""
        return view(Watch, self.array, self.arena.watches + number * size_of(Watch))

    def vserver_record(self, number: int) -> Vserver:
        """Return the shared record of a vServer."""
        return view(Vserver, self.array, self.arena.vservers + self.arena.bank + number * size_of(Vserver))

    def set_health(self, health: Health) -> None:
        """Give all services the same health."""
        for number in range(self.arena.service_count):
            self.watch(number).health = int(health)

    def connections(self, index: int = 0) -> list[Tcb]:
        """Return the live connections of an engine."""
        engine = self.engine(index)
        offsets = range(engine.connections, engine.connections + engine.connection_count * size_of(Tcb), size_of(Tcb))
        return [tcb for tcb in (view(Tcb, self.array, offset) for offset in offsets) if tcb.role != Role.FREE]

    def _ring(self, offset: int, number: int) -> Ring:
        return self._ring_and_words(offset + number * self.arena.ring_stride)[0]

    def _ring_and_words(self, place: int) -> tuple[Ring, Words]:
        """Return the live head of the ring at an offset, and its words."""
        if place not in self._rings:
            ring = view(Ring, self.array, place)
            start = place + RING_HEAD_SIZE
            self._rings[place] = ring, self.array[start : start + 8 * ring.capacity].view(np.int64)
        return self._rings[place]

    def _put(self, offset: int, number: int, word: int) -> None:
        ring, words = self._ring_and_words(offset + number * self.arena.ring_stride)
        words[ring.tail & (ring.capacity - 1)] = word
        ring.written = ring.tail = ring.tail + 1

    def _take(self, offset: int, number: int) -> list[int]:
        ring, words = self._ring_and_words(offset + number * self.arena.ring_stride)
        head, tail = ring.head, ring.tail
        if head == tail:
            return []
        ring.head = ring.taken = tail
        return [int(words[place & (ring.capacity - 1)]) for place in range(head, tail)]

    def receive(self, nic: int, data: bytes, *, engine: int = 0, checksum: int = 0) -> None:
        """Hand a packet that came in on a NIC to an engine, from a frame's start on, in as many frames as it takes."""
        frame, metas = NO_FRAME, self._metas()
        for start in reversed(range(0, max(len(data), 1), FRAME_SIZE)):
            following, frame = frame, self._place(nic, data[start : start + FRAME_SIZE])
            metas["next"][frame] = following
            metas["owner"][frame] = CHAINED if start else RECEIVED + 1 + engine
        self._put(self.arena.engine_rings, engine, frame | len(data) << 32 | nic << 52 | checksum << 60)

    def _place(self, nic: int, data: bytes) -> int:
        """Put bytes at the start of a NIC's next frame; return its number."""
        frame = self._nic_frames[nic].popleft()
        start = self.arena.frames + frame * FRAME_SIZE
        self.array[start : start + len(data)] = np.frombuffer(data, np.uint8)
        return frame

    def _metas(self) -> np.ndarray[Any, np.dtype[Any]]:
        return self._all_metas

    def breathe(self, now: int | None = None, *, engine: int = 0) -> int:
        """Do one breath at a time (default: the lab's clock), take home the received frames; return the work done."""
        self.now = self.now if now is None else now
        work = self.run_breath(engine)
        for nic in range(self.arena.nic_count):
            for frame in self._take(self.arena.return_rings, (1 + engine) * self.arena.nic_count + nic):
                self._take_home(nic, frame)
        return work

    def _take_home(self, nic: int, frame: int) -> None:
        """Put all frames of a packet behind those that a NIC has: perhaps others than it came in."""
        while frame != NO_FRAME:
            self._nic_frames[nic].append(frame)
            frame = int(self._metas()["next"][frame])

    def run_breath(self, engine: int) -> int:
        """Do one breath at the lab's clock, and nothing else; return the work done."""
        address = self.base + self.arena.engines + engine * self.arena.engine_stride
        return breathe_once(address, self._packet, self._sender.address, self.now)

    def pass_time(self, span_us: int, *, engine: int = 0, step_us: int = 1_100) -> None:
        """Let time go by, breathing at every step (a little more than a tick of the timers)."""
        end = self.now + span_us
        while self.now < end:
            self.breathe(min(self.now + step_us, end), engine=engine)

    def sent(self, *, engine: int = 0) -> list[tuple[int, bytes]]:
        """Return the frames that an engine sent since the last call, and give their places back."""
        packets = []
        for nic in range(self.arena.nic_count):
            place = engine * self.arena.nic_count + nic
            for word in self._take(self.arena.transmit_rings, place):
                frame, length = word & 0xFFFF_FFFF, (word >> 32) & 0xF_FFFF
                start = self.arena.frames + frame * FRAME_SIZE
                packets.append((nic, self.array[start : start + length].tobytes()))
                self._put(self.arena.transmit_return_rings, place, frame)
        return packets

    def learn(self, nic: int, address: str, mac: int) -> None:
        """Let all engines know a neighbour, by a gratuitous ARP request for a SNIP of the NIC.

        A NIC that came later has one like the labs' others: 10.3.0.10.
        """
        nics = self.blueprint.configuration.nics
        snip = nics[nic].addresses[0].ip if nic < len(nics) else IPv4Address(f"10.{nic + 1}.0.10")
        sender = bytes(int(part) for part in address.split("."))
        body = bytes.fromhex("0001080006040001") + mac.to_bytes(6, "big") + sender + bytes(6) + snip.packed
        self.receive(nic, b"\xff" * 6 + mac.to_bytes(6, "big") + b"\x08\x06" + body)
        self.breathe()
        self.sent()
