"""Doorbells and stop flags. The stress between two processes is in test_ring."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from ncore_ray.arena.core import Core, cancel_sleep, core_at, prepare_sleep, should_stop, sleep, wake
from ncore_ray.machine.jit import JIT, entry_kernel
from ncore_ray.machine.record import new


@entry_kernel
def ring_it(core: int) -> int:
    return wake(core_at(core))


@entry_kernel
def prepare(core: int) -> int:
    return prepare_sleep(core_at(core))


@entry_kernel
def cancel(core: int) -> int:
    return cancel_sleep(core_at(core))


@entry_kernel
def sleep_on(core: int, word: int, timeout_us: int, scratch: int) -> int:
    return sleep(core_at(core), word, timeout_us, scratch)


@entry_kernel
def stopped(core: int) -> int:
    return should_stop(core_at(core))


@pytest.fixture
def core() -> tuple[object, Core, int]:
    return new(Core)


def test_nobody_asleep_needs_no_call(core: tuple[object, Core, int]) -> None:
    _, record, address = core
    assert ring_it(address) == 0
    assert record.bell == 0


def test_a_bell_rung_after_prepare_ends_the_sleep_at_once(core: tuple[object, Core, int]) -> None:
    _, record, address = core
    scratch = np.zeros(2, np.int64)
    word = prepare(address)
    assert record.asleep == 1
    assert ring_it(address) == 1
    sleep_on(address, word, 60_000_000, scratch.ctypes.data)  # would last a minute
    assert (record.bell, record.asleep, record.sleeps) == (1, 0, 1)


def test_work_found_after_prepare(core: tuple[object, Core, int]) -> None:
    _, record, address = core
    prepare(address)
    cancel(address)
    assert (record.asleep, record.sleeps, ring_it(address)) == (0, 0, 0)


def test_sleep_ends_with_its_time(core: tuple[object, Core, int]) -> None:
    _, record, address = core
    scratch = np.zeros(2, np.int64)
    sleep_on(address, prepare(address), 1, scratch.ctypes.data)
    assert (record.asleep, record.sleeps) == (0, 1)


def test_the_bell_is_a_32_bit_word(core: tuple[object, Core, int]) -> None:
    _, record, address = core
    record.bell = 0xFFFF_FFFF
    assert prepare(address) == 0xFFFF_FFFF
    assert ring_it(address) == 1
    assert record.bell & 0xFFFF_FFFF == 0


@pytest.mark.skipif(not JIT, reason="plain Python holds the GIL while it sleeps in ctypes' stand-in")
def test_wakes_a_sleeping_thread(core: tuple[object, Core, int]) -> None:
    _, _, address = core
    scratch = np.zeros(2, np.int64)
    word = prepare(address)
    sleeper = threading.Thread(target=sleep_on, args=(address, word, 60_000_000, scratch.ctypes.data))
    sleeper.start()
    assert ring_it(address) == 1
    sleeper.join(30)
    assert not sleeper.is_alive()


def test_stop(core: tuple[object, Core, int]) -> None:
    _, record, address = core
    assert stopped(address) == 0
    record.stop = 1
    assert stopped(address) == 1
