"""The engine's fast structures against obviously correct slow ones: chains, the timer wheel, the connection table."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncore_ray.engine.buffer import Chain
from ncore_ray.engine.connection import Tcb
from ncore_ray.engine.timer import MAX_SLEEP_US, TICK_BITS
from ncore_ray.lab.dry.engine import EngineLab
from ncore_ray.machine.record import new, size_of, view
from tests.engine import doors
from tests.support.tcp_script import check_nothing_leaked, configuration_text

CONNECTIONS = 32
MAPPED = 0xFFFF << 32
lengths = st.one_of(st.integers(0, 5), st.integers(2040, 2056), st.integers(0, 9000))


def make_lab(frames: int = 64) -> EngineLab:
    return EngineLab(configuration_text(), connections=CONNECTIONS, frames=frames)


def engine_address(lab: EngineLab) -> int:
    return lab.base + lab.arena.engines


class _Chains:
    """Two chains of an engine, and the bytes that they should hold."""

    def __init__(self) -> None:
        self.lab = make_lab(frames=24)
        self.memory = [new(Chain) for _ in range(2)]
        self.model = [b"", b""]
        self.room = np.zeros(1 << 16, np.uint8)
        for which in range(2):
            self.call(which, doors.INIT)

    def call(self, which: int, what: int, address: int = 0, length: int = 0) -> int:
        return doors.chain_door(engine_address(self.lab), self.memory[which][2], what, address, length)

    def append(self, which: int, length: int, seed: int) -> None:
        data = random.Random(seed).randbytes(length)
        self.room[:length] = np.frombuffer(data, np.uint8)
        before = self.lab.engine().free_frame_count
        if self.call(which, doors.APPEND, self.room.ctypes.data, length):
            self.model[which] += data
        else:
            assert self.lab.engine().free_frame_count == before
            assert length > before * 2048

    def check(self) -> None:
        for which in range(2):
            assert self.memory[which][1].length == len(self.model[which])
            count = self.call(which, doors.GATHER, self.room.ctypes.data, len(self.model[which]))
            assert count == len(self.model[which])
            assert self.room[:count].tobytes() == self.model[which]


@settings(max_examples=150)
@given(
    st.lists(st.tuples(st.sampled_from(["append", "drop", "move", "clear"]), st.integers(0, 1), lengths), max_size=30)
)
def test_chains_hold_the_bytes_of_a_simple_model(steps: list[tuple[str, int, int]]) -> None:
    chains = _Chains()
    for number, (what, which, length) in enumerate(steps):
        if what == "append":
            chains.append(which, length, number)
        elif what == "drop":
            length = min(length, len(chains.model[which]))
            chains.call(which, doors.DROP, 0, length)
            chains.model[which] = chains.model[which][length:]
        elif what == "move":
            chains.call(which, doors.MOVE, chains.memory[1 - which][2])
            chains.model[1 - which] += chains.model[which]
            chains.model[which] = b""
        else:
            chains.call(which, doors.CLEAR)
            chains.model[which] = b""
        chains.check()
    for which in range(2):
        chains.call(which, doors.CLEAR)
    check_nothing_leaked(chains.lab, connections=0)


def _came_up(lab: EngineLab) -> Iterator[int]:
    engine = lab.engine()
    while engine.work_head != engine.work_tail:
        place = engine.work_list + 4 * (engine.work_head & (engine.work_size - 1))
        index = int(lab.array[place : place + 4].view("<i4")[0])
        engine.work_head += 1
        _tcb(lab, index).work = 0
        yield index


def _tcb(lab: EngineLab, index: int) -> Tcb:
    return view(Tcb, lab.array, lab.engine().connections + index * size_of(Tcb))


@pytest.mark.parametrize("seed", range(6))
def test_wheel_fires_like_a_sorted_list(seed: int) -> None:
    """Never before the deadline, and within a tick behind it, however the deadlines move in between."""
    choice = random.Random(seed)
    lab = make_lab()
    address = engine_address(lab)
    model: dict[int, int] = {}
    now = lab.now
    for _ in range(1500):
        index = choice.randrange(CONNECTIONS)
        if choice.random() < 0.1:
            doors.disarm_door(address, index)
            model.pop(index, None)
            _tcb(lab, index).retransmit_at = 0
        elif choice.random() < 0.6:
            span = choice.choice([1, 500, 5_000, 300_000, 4_100_000, 4_300_000, 60_000_000])
            model[index] = _tcb(lab, index).retransmit_at = now + choice.randrange(span)
            doors.arm_door(address, index)
        nearest = min(model.values(), default=now + (1 << 40))
        assert doors.time_to_next_door(address, now) <= max(nearest + (2 << TICK_BITS) - now, MAX_SLEEP_US)
        now += choice.choice([0, 100, 2_000, 100_000, 100_000, 5_000_000])
        doors.advance_door(address, now)
        for index in _came_up(lab):
            if index not in model:
                continue
            if model[index] <= now:
                del model[index]
                _tcb(lab, index).retransmit_at = 0
            else:
                doors.arm_door(address, index)  # it came up early, because its deadline was moved
        late = [deadline for deadline in model.values() if (deadline >> TICK_BITS) + 1 <= now >> TICK_BITS]
        assert not late, f"seed {seed}: {late} had to fire by {now}"


@settings(max_examples=60)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 60)), max_size=120))
def test_connection_table_is_a_dictionary(steps: list[tuple[bool, int]]) -> None:
    lab = make_lab()
    address = engine_address(lab)
    model: dict[int, int] = {}
    for is_opening, key in steps:
        flow = (MAPPED | 0x0A010000 + key % 7, MAPPED | 0x0A010064, (40000 + key) << 24 | 80 << 8 | 6)
        found = doors.find_door(address, *flow)
        assert found == model.get(key, 0)
        if is_opening and not found:
            number = doors.open_door(address, *flow)
            assert (number == 0) == (len(model) == CONNECTIONS)
            if number:
                assert number not in model.values()
                model[key] = number
        elif not is_opening and found:
            doors.release_door(address, model.pop(key))
        assert lab.engine().live_connections == len(model)
    for number in model.values():
        doors.release_door(address, number)
    check_nothing_leaked(lab, connections=0)
