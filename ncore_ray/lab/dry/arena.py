"""A small arena, with every region that several actors share and inaccessible pages between the regions.

small = make_arena(engines=2, nics=2)
small.add_vserver("10.1.0.100", 80)
small.receive(0, packet_bytes)          # a NIC reader's work
breathe(small.base, 0, …)
small.take_engine(1)                    # descriptors that wait in the ring of engine 1
"""

from __future__ import annotations

import ctypes
import gc
import mmap
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from ncore_ray.arena.core import Actor, Core
from ncore_ray.arena.frame import FRAME_SIZE, RECEIVED, Checksum, FrameMeta
from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import PAGE, Bytes, Layout, format_arena, init_rings
from ncore_ray.arena.ring import RING_HEAD_SIZE, Ring, ring_size
from ncore_ray.flow.distributor import DistributorPlan, init_distributor, plan_distributor
from ncore_ray.machine.record import size_of, table, view
from ncore_ray.tables.neighbour import Neighbour
from ncore_ray.tables.nic import Nic, Transmit
from ncore_ray.tables.own_address import AddressKind, OwnAddress, add_address
from ncore_ray.tables.port_owner import NO_OWNER, PORTS, port_ranges
from ncore_ray.tables.route import Route
from ncore_ray.tables.service import Binding, Service, Vserver, VserverProtocol, Watch, index_vserver
from ncore_ray.tables.settings import Settings
from ncore_ray.wire.address import words_of

SNIPS: Final = ("10.1.0.10", "10.2.0.10")
"""Of NIC 0 and NIC 1, each on a /24 network."""
VIP: Final = "10.1.0.100"
SECRETS: Final = (0x0123_4567, 0x89AB_CDEF)
_VSERVERS: Final = 32
_SERVICES: Final = 32
_MINUS_ONE: Final = -1

_MOST_GUARDED: Final = 100
"""Of some hundred mappings each."""
_guarded: Final[list[weakref.ref[Bytes]]] = []
"""The arenas with guards that live."""

_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def mapped_bytes(size: int) -> Bytes:
    """Return zeroed shared memory (a child made by fork sees it too), page aligned; it lives as long as the array."""
    return np.frombuffer(mmap.mmap(-1, -(-size // PAGE) * PAGE), np.uint8)


def forbid(address: int, size: int) -> None:
    """Make whole pages inaccessible: whoever touches them ends the process with SIGSEGV."""
    if _libc.mprotect(address, size, 0) != 0:
        raise OSError(ctypes.get_errno(), "mprotect")


class GuardedBytes:
    """Bytes that end where inaccessible memory begins: reading one byte too many ends the process."""

    def __init__(self, size: int = PAGE) -> None:
        self._room = -(-size // PAGE) * PAGE
        self._memory = mapped_bytes(self._room + PAGE)
        forbid(self._memory.ctypes.data + self._room, PAGE)

    def put(self, data: bytes) -> int:
        """Place bytes at the end of the memory; return their address."""
        self._memory[self._room - len(data) : self._room] = np.frombuffer(data, np.uint8)
        return self._memory.ctypes.data + self._room - len(data)

    def get(self, length: int) -> bytes:
        """Return the last ``length`` bytes before the forbidden page."""
        return self._memory[self._room - length : self._room].tobytes()


@dataclass
class SmallArena:
    """An arena and what tests do with it. ``header`` is the live `Arena` record at its start."""

    array: Bytes = field(repr=False)  # to print it would be to touch the guards
    layout: Layout
    header: Arena
    plan: DistributorPlan
    ring_capacity: int
    frames_per_nic: int
    vservers: int = 0
    next_frame: dict[int, int] = field(default_factory=dict)

    @property
    def base(self) -> int:
        """Address of the arena in this process: valid as long as this object is kept."""
        return int(self.array.ctypes.data)

    def reader_actor(self, nic: int) -> int:
        """Return the number of the actor that reads a NIC."""
        return Actor.ENGINE + self.header.engine_count + nic

    def add_address(self, text: str, kind: AddressKind, nic: int = 0) -> None:
        """Enter an own address."""
        add_address(self.base, 0, *words_of(text), int(kind), nic)

    def add_vserver(self, address: str, port: int, protocol: VserverProtocol = VserverProtocol.HTTP) -> Vserver:
        """Enter a vServer without services; its address has to be entered separately (VIP is)."""
        vserver = view(Vserver, self.array, self.header.vservers + self.vservers * size_of(Vserver))
        vserver.high, vserver.low = words_of(address)
        vserver.port, vserver.protocol = port, protocol
        self.vservers += 1
        self.header.vserver_count = self.vservers
        index_vserver(self.base, 0, self.vservers - 1)
        return vserver

    def core(self, actor: int) -> Core:
        """Return the record of an actor."""
        return view(Core, self.array, self.header.cores + actor * size_of(Core))

    def inbound_ring(self, nic: int) -> Ring:
        """Return the ring reader → distributor."""
        return view(Ring, self.array, self.header.inbound_rings + nic * self.header.ring_stride)

    def engine_ring(self, engine: int) -> Ring:
        """Return the ring distributor → engine."""
        return view(Ring, self.array, self.header.engine_rings + engine * self.header.ring_stride)

    def return_ring(self, actor: int, nic: int) -> Ring:
        """Return the ring distributor or engine → reader."""
        place = actor * self.header.nic_count + nic
        return view(Ring, self.array, self.header.return_rings + place * self.header.ring_stride)

    def meta(self, frame: int) -> FrameMeta:
        """Return the meta record of a frame."""
        return view(FrameMeta, self.array, self.header.frame_metas + frame * size_of(FrameMeta))

    def write_frame(self, frame: int, data: bytes) -> None:
        """Write a packet to a frame's first bytes."""
        start = self.header.frames + frame * FRAME_SIZE
        self.array[start : start + len(data)] = np.frombuffer(data, np.uint8)

    def receive(self, nic: int, data: bytes, checksum: Checksum = Checksum.UNKNOWN) -> int:
        """Do what a NIC reader does with a packet: return its descriptor. Frames are used in turn, NIC by NIC."""
        turn = self.next_frame.get(nic, 0)
        self.next_frame[nic] = turn + 1
        frame = nic * self.frames_per_nic + turn % self.frames_per_nic
        self.write_frame(frame, data)
        self.meta(frame).owner = RECEIVED + Actor.DISTRIBUTOR
        descriptor = frame | len(data) << 32 | nic << 52 | checksum << 60
        put(self.inbound_ring(nic), descriptor)
        return descriptor

    def snapshot(self) -> dict[str, bytes]:
        """Return the bytes of every region by its name (the whole array cannot be read: there are guards in it)."""
        spans = self.layout.spans.values()
        return {span.name: self.array[span.offset : span.offset + span.size].tobytes() for span in spans}

    def take_engine(self, engine: int) -> list[int]:
        """Take all descriptors that wait in an engine's ring."""
        return take_all(self.engine_ring(engine))

    def take_home(self, nic: int, actor: int = Actor.DISTRIBUTOR) -> list[int]:
        """Take all words of a return ring."""
        return take_all(self.return_ring(actor, nic))


def _words(ring: Ring) -> Any:
    return (ctypes.c_int64 * ring.capacity).from_address(ctypes.addressof(ring) + RING_HEAD_SIZE)  # type: ignore[arg-type]


def put(ring: Ring, word: int) -> None:
    """Write and publish one word."""
    assert ring.written - ring.head < ring.capacity, "the ring is full"
    _words(ring)[ring.written % ring.capacity] = word
    ring.written += 1
    ring.tail = ring.written


def take_all(ring: Ring) -> list[int]:
    """Take all published words and give their places back."""
    words = [_words(ring)[index % ring.capacity] for index in range(ring.taken, ring.tail)]
    ring.taken = ring.head = ring.seen_tail = ring.tail
    return words


def make_arena(
    engines: int = 2,
    nics: int = 2,
    frames: int = 64,
    guard: bool = True,
    plan: DistributorPlan | None = None,
    ring_capacity: int = 64,
    extra: Callable[[Layout, Arena | None], None] | None = None,
) -> SmallArena:
    """Make an arena for tests.

    The NICs have the addresses SNIPS on /24 networks; VIP is an address without vServers. ``frames`` are those of each
    NIC's reader. ``extra`` is called with the layout and None to reserve further regions, and again with the header to
    enter their offsets.
    """
    plan = plan or DistributorPlan(engines=engines, flows=56)
    layout = Layout(guard=PAGE if guard else 0)
    offsets = _reserve(layout, engines, nics, frames, ring_capacity)
    spans = plan_distributor(layout, plan)
    if extra:
        extra(layout, None)
    array = mapped_bytes(layout.size)
    header = format_arena(array, layout, epoch=1, digest=1)
    for name, offset in offsets.items():
        setattr(header, name, offset)
    _count(header, engines, nics, frames, ring_capacity)
    init_distributor(array, plan, spans)
    if extra:
        extra(layout, header)
    small = SmallArena(array, layout, header, plan, ring_capacity, frames)
    _fill(small, nics)
    if guard:
        forbid_guards(array, layout)
    return small


def _reserve(layout: Layout, engines: int, nics: int, frames: int, capacity: int) -> dict[str, int]:
    """Reserve the shared regions; return header fields → offsets."""
    actors = 1 + engines + 2 * nics
    tables = {
        "cores": (Core, actors),
        "frame_metas": (FrameMeta, frames * nics),
        "nics": (Nic, nics),
        "addresses": (OwnAddress, 16),
        "routes": (Route, nics),
        "neighbours": (Neighbour, 64),
        "vservers": (Vserver, _VSERVERS),
        "services": (Service, _SERVICES),
        "watches": (Watch, _SERVICES),
        "settings": (Settings, 1),
        "bindings": (Binding, _SERVICES),
    }
    rings = {
        "inbound_rings": nics,
        "engine_rings": engines,
        "return_rings": (1 + engines) * nics,
        "transmit_rings": engines * nics,
        "transmit_return_rings": engines * nics,
    }
    plain = {"frames": frames * nics * FRAME_SIZE, "port_owners": PORTS, "vserver_index": 4 * 64, "texts": 4096}
    offsets = {name: layout.reserve_table(name, record, count) for name, (record, count) in tables.items()}
    offsets |= {name: layout.reserve_rings(name, count, capacity) for name, count in rings.items()}
    return offsets | {name: layout.reserve(name, size) for name, size in plain.items()}


def _count(header: Arena, engines: int, nics: int, frames: int, capacity: int) -> None:
    header.secret_0, header.secret_1 = SECRETS
    header.nic_count, header.engine_count, header.actor_count = nics, engines, 1 + engines + 2 * nics
    header.queue_count, header.decider_count = nics, 1
    header.frame_count = frames * nics
    header.ring_stride = ring_size(capacity)
    header.address_count, header.neighbour_count, header.route_count = 16, 64, nics
    header.vserver_index_size, header.texts_size = 64, 4096


def _fill(small: SmallArena, nics: int) -> None:
    header, array = small.header, small.array
    engines = header.engine_count
    counts = {"inbound_rings": nics, "engine_rings": engines, "return_rings": (1 + engines) * nics}
    counts |= {"transmit_rings": engines * nics, "transmit_return_rings": engines * nics}
    for name, count in counts.items():
        init_rings(array, getattr(header, name), count, small.ring_capacity)
    owners = array[header.port_owners : header.port_owners + PORTS]
    owners[:] = NO_OWNER
    for engine, (first, count) in enumerate(port_ranges(engines)):
        owners[first : first + count] = engine
    for nic in range(nics):
        _fill_nic(small, nic)
    small.add_address(VIP, AddressKind.VIP)


def _fill_nic(small: SmallArena, number: int) -> None:
    header = small.header
    nic = view(Nic, small.array, header.nics + number * size_of(Nic))
    nic.mac, nic.mtu, nic.transmit = 0x0200_0000_0001 + number, 1500, Transmit.RING
    address = SNIPS[number] if number < len(SNIPS) else f"10.{number + 1}.0.10"
    high, low = words_of(address)
    route = table(Route, small.array, header.routes, header.nic_count)[number]
    route["high"], route["low"], route["mask_high"], route["mask_low"] = high, low & ~0xFF, _MINUS_ONE, ~0xFF
    route["nic"], route["source_high"], route["source_low"] = number, high, low
    small.add_address(address, AddressKind.SNIP, number)


def forbid_guards(array: Bytes, layout: Layout) -> None:
    """Make the pages between the regions of an arena inaccessible.

    Each is a mapping of its own, and a process may have only so many (vm.max_map_count). Arenas that nobody uses any
    more wait for the garbage collector, which is lazy in a process with so many objects as numba has: it is called.
    """
    _guarded[:] = [reference for reference in _guarded if reference() is not None]
    if len(_guarded) >= _MOST_GUARDED:
        gc.collect()
    _guarded.append(weakref.ref(array))
    for span in layout.spans.values():
        end = span.offset + -(-max(span.size, 1) // PAGE) * PAGE
        forbid(array.ctypes.data + end, PAGE)
