"""The doors to freezing and thawing: the kernels, and what control code does with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes
from ncore_ray.engine.access.notes import note_cut_off
from ncore_ray.engine.change import begin_change, end_change
from ncore_ray.engine.connection import Role, Tcb, peer_of, tcb_of
from ncore_ray.engine.handover.freeze import freeze_flow
from ncore_ray.engine.handover.frozen import Refusal, frozen_flow_at
from ncore_ray.engine.handover.thaw import thaw_flow
from ncore_ray.engine.lifecycle import withdraw
from ncore_ray.engine.partition import Engine, engine_at
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.machine.record import size_of, table, view

_FIRST_ROOM = 64 << 10


@entry_kernel
def freeze_kernel(engine_address: int, number: int, target: int, room: int) -> int:
    """Write the flow of a connection to ``room`` bytes; return how many it takes, or a `Refusal`."""
    return freeze_flow(engine_at(engine_address), number, target, room)


@entry_kernel
def thaw_kernel(engine_address: int, source: int, room: int, now: int) -> int:
    """Make connections of a frozen flow; return the number plus 1 of the first, or a `Refusal`."""
    engine = engine_at(engine_address)
    engine.now = max(engine.now, now)
    return thaw_flow(engine, frozen_flow_at(source), room)


@entry_kernel
def withdraw_kernel(engine_address: int, number: int) -> int:
    """Free a flow that lives elsewhere from now on; return how many connections that were."""
    engine = engine_at(engine_address)
    tcb = tcb_of(engine, number)
    begin_change(engine, number + 1)
    sides = 1
    if tcb.role == Role.CLIENT:
        note_cut_off(engine, tcb)
    if tcb.peer:
        peer = peer_of(engine, tcb)
        if peer.role == Role.CLIENT:
            note_cut_off(engine, peer)
        withdraw(engine, peer)
        sides = 2
    withdraw(engine, tcb)
    end_change(engine)
    return sides


class Handover:
    """Freezes and thaws flows of the engines of one arena. It is not to be used on an engine that breathes meanwhile.

    (`freeze` alone may be: it changes nothing, and says `Refusal.TORN` when it sees that something changed under it.)
    """

    def __init__(self, array: Bytes) -> None:
        self._array = array
        self._arena = view(Arena, array)
        self._room = np.zeros(_FIRST_ROOM, np.uint8)

    def freeze(self, index: int, number: int) -> bytes | Refusal:
        """Return the flow of a connection of an engine, by its number."""
        while True:
            size = freeze_kernel(self._address(index), number, self._room.ctypes.data, self._room.size)
            if size != Refusal.TOO_LONG or self._room.size > self._array.size:
                break
            self._room = np.zeros(4 * self._room.size, np.uint8)
        return self._room[:size].tobytes() if size > 0 else Refusal(size)

    def thaw(self, index: int, frozen: bytes, now: int) -> int | Refusal:
        """Make connections of a frozen flow in the partition of an engine; return the number of the first."""
        # Not a view of the bytes, whose address need not be a multiple of 8.
        words = np.zeros(len(frozen) + 7 >> 3, np.int64)
        words.view(np.uint8)[: len(frozen)] = np.frombuffer(frozen, np.uint8)
        number = thaw_kernel(self._address(index), words.ctypes.data, len(frozen), now)
        return number - 1 if number > 0 else Refusal(number)

    def withdraw(self, index: int, number: int) -> int:
        """Free the flow of a connection that lives elsewhere from now on; return how many connections that were."""
        return withdraw_kernel(self._address(index), number)

    def flows(self, index: int) -> Iterator[int]:
        """Yield one connection of each flow of an engine: the client's where there is one."""
        engine = self._engine(index)
        tcbs = table(Tcb, self._array, engine.connections, engine.connection_count)
        for number in np.flatnonzero(tcbs["role"] != Role.FREE):
            peer = int(tcbs["peer"][number]) - 1
            if peer < 0 or tcbs["role"][number] not in (Role.SERVER, Role.UDP_SERVER, Role.FAR):
                yield int(number)

    def move(self, source: int, target: int, number: int, now: int) -> int | Refusal:
        """Hand the flow of a connection to another engine; return its number there. Refused, it stays as it is."""
        frozen = self.freeze(source, number)
        if isinstance(frozen, Refusal):
            return frozen
        found = self.thaw(target, frozen, now)
        if not isinstance(found, Refusal):
            self.withdraw(source, number)
        return found

    def move_all(self, source: int, target: int, now: int) -> Moved:
        """Hand all flows of an engine to another one; those that are refused stay."""
        moved = Moved()
        for number in list(self.flows(source)):
            found = self.move(source, target, number, now)
            if isinstance(found, Refusal):
                moved.refused[found] += 1
            else:
                moved.flows += 1
        return moved

    def _address(self, index: int) -> int:
        return int(self._array.ctypes.data) + self._arena.engines + index * self._arena.engine_stride

    def _engine(self, index: int) -> Engine:
        return view(Engine, self._array, self._arena.engines + index * self._arena.engine_stride)


@dataclass
class Moved:
    """What came of handing over all flows of an engine."""

    flows: int = 0
    refused: Counter[Refusal] = field(default_factory=Counter)


assert size_of(Tcb) < _FIRST_ROOM
