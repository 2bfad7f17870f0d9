"""Two processes that hammer on the same rings and doorbells; `python -m tests.arena.stress FILE COUNT` is the second.

The file (in shared memory) is mapped at another address in each process. It holds two cores, a ring in each direction,
and a payload for every place of a ring, written and read with plain loads and stores: only the ring orders them.
"""

from __future__ import annotations

import mmap
import os
import sys
from pathlib import Path
from typing import Final

import numpy as np

from ncore_ray.arena.core import Core, cancel_sleep, core_at, prepare_sleep, sleep, wake
from ncore_ray.arena.layout import Bytes, init_rings
from ncore_ray.arena.ring import (
    Ring,
    ring_at,
    ring_give_back,
    ring_publish,
    ring_room,
    ring_size,
    ring_take,
    ring_waiting,
    ring_write,
)
from ncore_ray.machine.hash import MASK32
from ncore_ray.machine.jit import entry_kernel, kernel
from ncore_ray.machine.memory import load64, store64
from ncore_ray.machine.record import size_of
from ncore_ray.machine.system import now_us

CAPACITY: Final = 256
PAYLOAD_WORDS: Final = 4
CORE_SIZE: Final = size_of(Core)
RINGS: Final = 2 * CORE_SIZE
RING_SIZE: Final = ring_size(CAPACITY)
PAYLOADS: Final = RINGS + 2 * RING_SIZE
PAYLOADS_SIZE: Final = CAPACITY * PAYLOAD_WORDS * 8
SIZE: Final = PAYLOADS + 2 * PAYLOADS_SIZE
TIMEOUT_US: Final = 10_000_000
LOST_US: Final = 8_000_000
"""Who sleeps for so long while a word waits was not woken. If none does, the other process has not run yet."""


@kernel
def _scramble(number: int) -> int:
    return (number * 2_654_435_761) & MASK32


@kernel
def _ring(base: int, direction: int) -> Ring:
    return ring_at(base + RINGS + direction * RING_SIZE)


@kernel
def _payload(base: int, direction: int, number: int) -> int:
    return base + PAYLOADS + direction * PAYLOADS_SIZE + number % CAPACITY * PAYLOAD_WORDS * 8


@kernel
def _send(base: int, direction: int, first: int, count: int) -> int:
    """Write payloads and words for the numbers from ``first`` on, publish them, ring the other's bell."""
    ring = _ring(base, direction)
    for number in range(first, first + count):
        place = _payload(base, direction, number)
        for word in range(PAYLOAD_WORDS):
            store64(place + 8 * word, _scramble(number) + word)
        ring_write(ring, _scramble(number))
    ring_publish(ring)
    return wake(core_at(base + (1 - direction) * CORE_SIZE))


@kernel
def _take(base: int, direction: int, first: int, count: int) -> int:
    """Take the words of the numbers from ``first`` on; return how many were wrong."""
    ring = _ring(base, direction)
    wrong = 0
    for number in range(first, first + count):
        expected = _scramble(number)
        if ring_take(ring) != expected:
            wrong += 1
        place = _payload(base, direction, number)
        for word in range(PAYLOAD_WORDS):
            if load64(place + 8 * word) != expected + word:
                wrong += 1
    ring_give_back(ring)
    return wrong


@kernel
def _wait(base: int, direction: int, own: int, scratch: int) -> int:
    """Sleep until a word waits; return 1 if nobody rang although one did."""
    core = core_at(base + own * CORE_SIZE)
    before = now_us(scratch)
    word = prepare_sleep(core)
    if ring_waiting(_ring(base, direction)):
        return cancel_sleep(core)
    sleep(core, word, TIMEOUT_US, scratch)
    return 1 if now_us(scratch) - before > LOST_US and ring_waiting(_ring(base, direction)) else 0


@entry_kernel
def produce_and_check(base: int, count: int, batch: int, scratch: int) -> int:
    """First process: send numbers in batches of changing size, check what comes back; return the number of errors."""
    sent = 0
    checked = 0
    wrong = 0
    while checked < count:
        room = min(ring_room(_ring(base, 0), batch), count - sent, 1 + sent % batch)
        if room > 0:
            _send(base, 0, sent, room)
            sent += room
        back = ring_waiting(_ring(base, 1))
        if back:
            wrong += _take(base, 1, checked, back)
            checked += back
        elif room <= 0:
            wrong += _wait(base, 1, 0, scratch)
    return wrong


@entry_kernel
def echo(base: int, count: int, scratch: int) -> int:
    """Second process: check what comes and send the same numbers back; return the number of errors."""
    done = 0
    wrong = 0
    while done < count:
        waiting = min(ring_waiting(_ring(base, 0)), ring_room(_ring(base, 1), CAPACITY))
        if waiting > 0:
            wrong += _take(base, 0, done, waiting)
            _send(base, 1, done, waiting)
            done += waiting
        elif ring_waiting(_ring(base, 0)) == 0:
            wrong += _wait(base, 0, 1, scratch)
    return wrong


def map_file(path: Path) -> Bytes:
    """Map the file into this process."""
    with path.open("r+b") as file:
        return np.frombuffer(mmap.mmap(file.fileno(), SIZE, mmap.MAP_SHARED), np.uint8)


def make_file(path: Path) -> Bytes:
    """Make the file with two empty rings and map it."""
    path.write_bytes(bytes(SIZE))
    array = map_file(path)
    init_rings(array, RINGS, 2, CAPACITY)
    return array


def main() -> int:
    array = map_file(Path(sys.argv[1]))
    scratch = np.zeros(2, np.int64)
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpus[-1]})
    return min(echo(array.ctypes.data, int(sys.argv[2]), scratch.ctypes.data), 100)


if __name__ == "__main__":
    sys.exit(main())
