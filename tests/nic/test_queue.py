"""Packet queues against a deque, around the end of their memory, and between two threads."""

from __future__ import annotations

import threading
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncore_ray.machine.jit import JIT
from ncore_ray.nic.queue import PrivateQueue, Taken

steps = st.lists(st.one_of(st.binary(max_size=90), st.none()), max_size=60)


@settings(max_examples=100 if JIT else 50)
@given(steps=steps, capacity=st.integers(64, 400))
def test_like_a_deque(steps: list[bytes | None], capacity: int) -> None:
    queue = PrivateQueue(capacity)
    expected: deque[Taken] = deque()
    for number, step in enumerate(steps):
        if step is None:
            assert list(queue.drain()) == list(expected)
            expected.clear()
        elif queue.put(step, number - 5, number & 7):
            expected.append(Taken(number - 5, step, number & 7))
        else:
            assert len(queue) + 2 * (16 + len(step) + 15) > capacity - 16  # it was nearly full
    assert list(queue.drain()) == list(expected)
    assert len(queue) == 0


def test_capacity_for_holds_exactly_that() -> None:
    lengths = [0, 1, 16, 17, 60, 1_514]
    queue = PrivateQueue(PrivateQueue.capacity_for(lengths))
    assert all(queue.put(bytes(length)) for length in lengths)
    assert not queue.put(b"")
    assert [len(packet.data) for packet in queue.drain()] == lengths


@pytest.mark.skipif(not JIT, reason="slow")
def test_two_threads() -> None:
    queue = PrivateQueue(4_096)
    count = 20_000

    def produce() -> None:
        for number in range(count):
            while not queue.put(bytes([number & 0xFF]) * (number % 100), number):
                pass

    thread = threading.Thread(target=produce)
    thread.start()
    taken: list[Taken] = []
    while len(taken) < count:
        taken.extend(queue.drain())
    thread.join()
    assert taken == [Taken(number, bytes([number & 0xFF]) * (number % 100), 0) for number in range(count)]
