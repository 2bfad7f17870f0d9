"""Rings of messages: against a queue in Python, up to the last byte of their memory, and between two processes."""

from __future__ import annotations

import subprocess
import sys
from collections import deque
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncore_ray.arena.core import Core
from ncore_ray.lab.dry.arena import GuardedBytes
from ncore_ray.machine.jit import JIT
from ncore_ray.machine.record import new, size_of
from ncore_ray.messages.arena import ArenaPort
from ncore_ray.messages.port import monotonic_us
from ncore_ray.messages.ring import MESSAGE_RING_SIZE, NOTHING, MessageRing, put_message, take_message
from tests.messages import stress
from tests.messages.message_arena import ENGINES, make_file

ROOT = Path(__file__).parents[2]
CAPACITY = 256
COUNT = 1_000_000 if JIT else 2_000


class Reference:
    """The same, as simple as it can be: how many bytes are in use, and where the next message begins."""

    def __init__(self) -> None:
        self.messages: deque[tuple[int, bytes]] = deque()
        self.tail = 0

    def put(self, raw: bytes) -> bool:
        """Keep a message if it has room in one piece."""
        needed = 8 + -(-len(raw) // 8) * 8
        rest = CAPACITY - self.tail % CAPACITY
        taken = needed if needed <= rest else rest + needed
        if sum(size for size, _ in self.messages) + taken > CAPACITY:
            return False
        self.tail += taken
        self.messages.append((taken, raw))
        return True


@given(st.lists(st.one_of(st.none(), st.binary(max_size=CAPACITY // 4)), max_size=80))
def test_like_a_queue(steps: list[bytes | None]) -> None:
    guarded = GuardedBytes()
    address = guarded.put(bytes(MESSAGE_RING_SIZE + CAPACITY))
    head, ring, head_address = new(MessageRing)
    ring.capacity = CAPACITY
    guarded.put(head.tobytes() + bytes(CAPACITY))
    assert head_address
    inbox_memory, _, inbox = new(Core)
    target = np.zeros(CAPACITY, np.uint8)
    reference = Reference()
    for step in steps:
        if step is None:
            length = take_message(address, MESSAGE_RING_SIZE, 1, 0, target.ctypes.data)
            expected = reference.messages.popleft()[1] if reference.messages else None
            found = None if length == NOTHING else target[:length].tobytes()
            assert found == expected
        else:
            raw = np.frombuffer(step + b"\0", np.uint8)
            assert bool(put_message(address, inbox, raw.ctypes.data, len(step))) == reference.put(step)
    assert inbox_memory.size == size_of(Core)


@pytest.mark.timeout(170)
def test_a_million_messages_without_loss_or_reordering(tmp_path: Path) -> None:
    array = make_file(tmp_path / "arena")
    port = ArenaPort(array, ENGINES, stress.RECEIVER)
    command = [sys.executable, "-m", "tests.messages.stress", str(tmp_path / "arena"), str(COUNT)]
    other = subprocess.Popen(command, cwd=ROOT)
    try:
        for number in range(COUNT):
            message = port.receive(monotonic_us() + 60_000_000)
            assert message is not None
            assert message.sender == stress.SENDER
            assert message.value == stress.message(number)
        assert other.wait(60) == 0
        assert port.try_receive() is None
    finally:
        other.kill()
        other.wait()
