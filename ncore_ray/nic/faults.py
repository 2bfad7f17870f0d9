"""Fault injector: loses, doubles, reorders, corrupts and delays packets by a seed, in either direction of any NIC.

Packets that are held are copied into memory of the injector, so that no frame waits in it and a process that dies takes
no frame with it. The same seed, packets and times give the same result.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np

from ncore_ray.arena.frame import FRAME_SIZE, Checksum
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import copy, load8, load64, store8, store64
from ncore_ray.machine.random import random_after, seed_of
from ncore_ray.machine.record import I64, Record, new, pointer_to
from ncore_ray.nic.held import HELD_SIZE, held_at, held_pop, held_push

SWAP_SPAN_US: Final = 2_000
"""A packet held back to be overtaken goes on its way after this time if no other comes."""
_SWAP_PLACES: Final = 3
"""At most so many packets overtake it."""
_ETHERNET_HEADER: Final = 14


class FaultVerdict(IntEnum):
    """What becomes of a packet offered to the injector."""

    PASS = 0
    """It goes on (its bytes may have been changed; its checksum state is `FaultState.checksum`)."""
    TAKEN = 1
    """It was lost, or a copy is held and comes out later: the caller keeps the frame."""


class FaultCounters(Record):
    """What the injector did in one direction."""

    fault_lost_packets: I64
    fault_duplicated_packets: I64
    fault_reordered_packets: I64
    fault_corrupted_packets: I64
    fault_delayed_packets: I64
    drop_fault_queue_full_packets: I64


class FaultState(Record):
    """The injector of one direction. Rates are parts per million, spans µs."""

    random: I64
    """State of the generator: 1 … 2³²−1."""
    loss: I64
    duplication: I64
    reordering: I64
    corruption: I64
    delay_us: I64
    jitter_us: I64
    counters: I64
    """Address of the `FaultCounters`."""

    held: I64
    """Address of the heap of `HeldPacket`, the next due first."""
    held_count: I64
    held_capacity: I64
    sequence: I64
    slots: I64
    """Address of `held_capacity` + 1 places of FRAME_SIZE bytes; the last is that of the packet being overtaken."""
    free_slots: I64
    """Address of a stack of 64-bit slot numbers."""
    free_count: I64

    swap_left: I64
    """Packets that still have to overtake the one held back; −1 when none is."""
    swap_due_at: I64
    swap_length: I64
    swap_checksum: I64

    length: I64
    """Of the packet that `fault_take` gave last."""
    checksum: I64
    """Of the packet that passed, or that `fault_take` gave."""


fault_state_at = pointer_to(FaultState)
fault_counters_at = pointer_to(FaultCounters)


@kernel
def next_random(state: FaultState) -> int:
    """Return the next number of 1 … 2³²−1."""
    state.random = random_after(state.random)
    return state.random


@kernel
def _chance(state: FaultState, parts_per_million: int) -> bool:
    """Draw once, whatever the rate: one rate changed does not change where the other faults fall."""
    return next_random(state) % 1_000_000 < parts_per_million


@kernel
def _corrupt(state: FaultState, address: int, length: int) -> int:
    """Turn one bit behind the Ethernet header: any checksum notices that, and the frame still finds its NIC."""
    if length <= _ETHERNET_HEADER:
        return 0
    place = address + _ETHERNET_HEADER + next_random(state) % (length - _ETHERNET_HEADER)
    store8(place, load8(place) ^ (1 << (next_random(state) & 7)))
    state.checksum = Checksum.UNKNOWN
    fault_counters_at(state.counters).fault_corrupted_packets += 1
    return 1


@kernel
def _due_at(state: FaultState, now: int, draw: int) -> int:
    """Return when a packet of now comes out: delay ± jitter."""
    shift = draw % (2 * state.jitter_us + 1) - state.jitter_us
    return now + max(0, state.delay_us + shift)


@kernel
def _hold(state: FaultState, address: int, length: int, due_at: int) -> int:
    """Keep a copy until its time; return 0 if the queue is full."""
    if state.free_count == 0:
        return 0
    state.free_count -= 1
    entry = held_at(state.held, state.held_count)
    entry.due_at = due_at
    entry.sequence = state.sequence
    entry.slot = load64(state.free_slots + 8 * state.free_count)
    entry.length = length
    entry.checksum = state.checksum
    copy(state.slots + entry.slot * FRAME_SIZE, address, length)
    held_push(state.held, state.held_count)
    state.held_count += 1
    state.sequence += 1
    return 1


@kernel
def _hold_back(state: FaultState, address: int, length: int, now: int, draw: int) -> FaultVerdict:
    """Keep a copy until others have overtaken it; while one is held already, this packet just passes."""
    if state.swap_left >= 0:
        return _pass(state)
    copy(state.slots + state.held_capacity * FRAME_SIZE, address, length)
    state.swap_left = 1 + draw % _SWAP_PLACES
    state.swap_due_at = now + SWAP_SPAN_US
    state.swap_length = length
    state.swap_checksum = state.checksum
    fault_counters_at(state.counters).fault_reordered_packets += 1
    return FaultVerdict.TAKEN


@kernel
def _pass(state: FaultState) -> FaultVerdict:
    if state.swap_left > 0:
        state.swap_left -= 1
    return FaultVerdict.PASS


@kernel
def _delay(state: FaultState, address: int, length: int, due_at: int) -> FaultVerdict:
    counters = fault_counters_at(state.counters)
    if _hold(state, address, length, due_at):
        counters.fault_delayed_packets += 1
    else:
        counters.drop_fault_queue_full_packets += 1
    return FaultVerdict.TAKEN


@kernel
def _go_on(state: FaultState, address: int, length: int, now: int, reorder: bool, draw: int) -> FaultVerdict:
    """Where delays are, a reordered packet skips them (as netem does it); else it is held back."""
    if state.delay_us == 0 and state.jitter_us == 0:
        return _hold_back(state, address, length, now, draw) if reorder else _pass(state)
    if reorder:
        fault_counters_at(state.counters).fault_reordered_packets += 1
        return _pass(state)
    return _delay(state, address, length, _due_at(state, now, draw))


@kernel
def fault_offer(state: FaultState, address: int, length: int, checksum: int, now: int) -> FaultVerdict:
    """Decide on a packet of ``length`` ≤ FRAME_SIZE bytes at an address; the bytes may be changed in place."""
    counters = fault_counters_at(state.counters)
    lose = _chance(state, state.loss)
    corrupt = _chance(state, state.corruption)
    duplicate = _chance(state, state.duplication)
    reorder = _chance(state, state.reordering)
    draw = next_random(state)
    state.checksum = checksum
    if lose:
        counters.fault_lost_packets += 1
        return FaultVerdict.TAKEN
    if corrupt:
        _corrupt(state, address, length)
    if duplicate and _hold(state, address, length, _due_at(state, now, draw)):
        counters.fault_duplicated_packets += 1
    return _go_on(state, address, length, now, reorder, draw)


@kernel
def _swap_is_due(state: FaultState, now: int) -> bool:
    return state.swap_left == 0 or (state.swap_left > 0 and now >= state.swap_due_at)


@kernel
def fault_due(state: FaultState, now: int) -> bool:
    """Tell whether `fault_take` has a packet."""
    return _swap_is_due(state, now) or (state.held_count > 0 and held_at(state.held, 0).due_at <= now)


@kernel
def fault_holds(state: FaultState) -> int:
    """Return how many packets are held."""
    return state.held_count + (1 if state.swap_left >= 0 else 0)


@kernel
def fault_take(state: FaultState, target: int, now: int) -> int:
    """Copy a packet that is due to ``target``; its `length` and `checksum` are left in the state."""
    if _swap_is_due(state, now):
        state.swap_left = -1
        state.length = state.swap_length
        state.checksum = state.swap_checksum
        return copy(target, state.slots + state.held_capacity * FRAME_SIZE, state.length)
    entry = held_at(state.held, held_pop(state.held, state.held_count))
    state.held_count -= 1
    state.length = entry.length
    state.checksum = entry.checksum
    store64(state.free_slots + 8 * state.free_count, entry.slot)
    state.free_count += 1
    return copy(target, state.slots + entry.slot * FRAME_SIZE, state.length)


@dataclass(frozen=True)
class FaultSettings:
    """What the injector shall do, in both directions. Rates are parts per million."""

    seed: int = 1
    loss: int = 0
    duplication: int = 0
    reordering: int = 0
    corruption: int = 0
    delay_us: int = 0
    jitter_us: int = 0
    capacity: int = 4_096
    """Packets that can be held in each direction."""


class FaultInjector:
    """The injector of one direction: its state and the memory of the packets that it holds."""

    def __init__(self, settings: FaultSettings, counters: int, direction: int = 0) -> None:
        """Make an injector that counts in the `FaultCounters` at the address ``counters``.

        Each direction (0 received, 1 sent) of a NIC has its own sequence of faults from the same seed.
        """
        self._memory, self.state, self.address = new(FaultState)
        capacity = settings.capacity
        self._slots = np.zeros((capacity + 1) * FRAME_SIZE, np.uint8)
        self._heap = np.zeros((capacity + 2) * HELD_SIZE, np.uint8)
        self._free = np.arange(capacity, dtype=np.int64)
        self._start(settings, counters)
        self.state.random = seed_of(settings.seed, direction)

    def _start(self, settings: FaultSettings, counters: int) -> None:
        state = self.state
        state.loss, state.duplication = settings.loss, settings.duplication
        state.reordering, state.corruption = settings.reordering, settings.corruption
        state.delay_us, state.jitter_us = settings.delay_us, settings.jitter_us
        state.counters, state.swap_left = counters, -1
        state.held_capacity = state.free_count = settings.capacity
        state.slots = self._slots.ctypes.data
        state.held = self._heap.ctypes.data
        state.free_slots = self._free.ctypes.data
