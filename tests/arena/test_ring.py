"""Rings: alone against a deque, and between two processes."""

from __future__ import annotations

import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncore_ray.arena.layout import init_rings
from ncore_ray.arena.ring import (
    RING_HEAD_SIZE,
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
from ncore_ray.machine.jit import JIT, entry_kernel
from ncore_ray.machine.record import view
from tests.arena import stress

ROOT = Path(__file__).parents[2]


@entry_kernel
def room(ring: int, wanted: int) -> int:
    return ring_room(ring_at(ring), wanted)


@entry_kernel
def write(ring: int, word: int) -> int:
    return ring_write(ring_at(ring), word)


@entry_kernel
def publish(ring: int) -> int:
    return ring_publish(ring_at(ring))


@entry_kernel
def waiting(ring: int) -> int:
    return ring_waiting(ring_at(ring))


@entry_kernel
def take(ring: int) -> int:
    return ring_take(ring_at(ring))


@entry_kernel
def give_back(ring: int) -> int:
    return ring_give_back(ring_at(ring))


STEPS = ("write", "publish", "take", "give_back")


@given(steps=st.lists(st.sampled_from(STEPS), max_size=200), start=st.integers(0, 1 << 40))
def test_like_a_deque(steps: list[str], start: int) -> None:
    """A model of four lists: written, published, taken, and free places."""
    array = np.zeros(ring_size(8), np.uint8)
    init_rings(array, 0, 1, 8)
    head = view(Ring, array)
    for name in ("tail", "written", "seen_head", "head", "taken", "seen_tail"):
        setattr(head, name, start)
    ring = array.ctypes.data
    written: deque[int] = deque()
    published: deque[int] = deque()
    taken = 0
    for number, step in enumerate(steps):
        if step == "write":
            free = 8 - len(written) - len(published) - taken
            assert room(ring, 8) == free
            if free:
                write(ring, -number)
                written.append(-number)
        elif step == "publish":
            assert publish(ring) == len(written)
            published.extend(written)
            written.clear()
        elif step == "take":
            seen = waiting(ring)
            assert seen <= len(published)
            assert (seen > 0) == (len(published) > 0)
            if seen:
                assert take(ring) == published.popleft()
                taken += 1
        else:
            give_back(ring)
            taken = 0


@pytest.mark.parametrize("capacity", [0, 1, 3, 6, -8, 1000])
def test_only_powers_of_two(capacity: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        ring_size(capacity)


def test_size_is_head_and_words() -> None:
    assert ring_size(16) == RING_HEAD_SIZE + 128


@pytest.fixture
def shared_file() -> Iterator[Path]:
    path = Path(f"/dev/shm/ncore-test-ring-{id(object()):x}")
    yield path
    path.unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("count", "batch"),
    [
        pytest.param(1_500_000 if JIT else 3_000, 64, id="batches"),
        pytest.param(30_000 if JIT else 300, 1, id="one at a time"),
    ],
)
def test_two_processes(shared_file: Path, count: int, batch: int) -> None:
    """No word torn, lost or out of order, no payload seen too early, no wake-up lost."""
    array = stress.make_file(shared_file)
    command = [sys.executable, "-m", "tests.arena.stress", str(shared_file), str(count)]
    other = subprocess.Popen(command, cwd=ROOT)
    scratch = np.zeros(2, np.int64)
    try:
        assert stress.produce_and_check(array.ctypes.data, count, batch, scratch.ctypes.data) == 0
        assert other.wait(60) == 0
    finally:
        other.kill()
        other.wait()
