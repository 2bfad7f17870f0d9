"""No frame and no packet is ever lost from the books, whatever happens in whatever order."""

from __future__ import annotations

from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from ncore_ray.arena.frame import RECEIVED
from ncore_ray.machine.jit import JIT
from ncore_ray.nic.faults import FaultSettings
from tests.nic.harness import Arrived, Rig, memory_rig, packet

FRAMES: Final = 6
RATES = st.sampled_from([0, 50_000, 500_000])
FAULTS = st.builds(
    FaultSettings,
    seed=st.integers(0, 1_000),
    loss=RATES,
    duplication=RATES,
    reordering=RATES,
    corruption=RATES,
    delay_us=st.sampled_from([0, 30]),
    jitter_us=st.sampled_from([0, 10]),
    capacity=st.integers(1, 4),
)
STEP = st.one_of(
    st.tuples(st.just("put"), st.integers(0, 80)),
    st.tuples(st.just("read"), st.integers(0, 50)),
    st.tuples(st.just("take"), st.just(0)),
    st.tuples(st.just("return"), st.integers(0, 1)),
    st.tuples(st.just("send"), st.integers(14, 80)),
    st.tuples(st.just("write"), st.integers(0, 50)),
)


class Books:
    """A rig, the frames that the test holds, and what it has put in and got out."""

    def __init__(self, faults: FaultSettings | None) -> None:
        self.rig, self.driver = memory_rig(nic_frames=FRAMES, ring_capacity=8)
        if faults is not None:
            self.rig.inject(faults)
        self.held: list[Arrived] = []
        self.returning: list[int] = []
        self.engine_frames = list(range(FRAMES, FRAMES + 4))
        self.put = self.taken = self.handed_over = self.sent = 0

    def step(self, name: str, value: int) -> None:
        """Do one thing."""
        if name == "put":
            self.put += self.driver.put(packet(0, 60)[:value])
        elif name == "read":
            self.rig.read(value)
            self.returning.clear()
        elif name == "take":
            self.held.extend(self.rig.take_all())
        elif name == "return":
            self.give_back(value)
        elif name == "send" and self.engine_frames:
            self.handed_over += self.rig.send(self.engine_frames.pop(), packet(0, max(value, 22)))
        elif name == "write":
            self.rig.write(value)
            self.engine_frames.extend(self.rig.sent_home())
            self.sent += len(self.driver.sent())

    def give_back(self, actor: int) -> None:
        """Send a frame home."""
        if self.held:
            frame = self.held.pop().frame
            self.rig.give_back(frame, actor)
            self.returning.append(frame)

    def free(self) -> list[int]:
        """Return the stack of free frames."""
        start = self.rig.reader.free_frames
        stack = self.rig.arena.array[start : start + 4 * self.rig.reader.free_count].view("<i4")
        return [int(frame) for frame in stack]

    def waiting(self) -> list[int]:
        """Return the frames whose descriptors wait in the inbound ring."""
        ring = self.rig.inbound()
        words = self.rig.arena.array[self.ring_words() :][: 8 * ring.capacity].view("<i8")
        return [int(words[index % ring.capacity]) & 0xFFFF_FFFF for index in range(ring.head, ring.tail)]

    def ring_words(self) -> int:
        """Return the offset of the inbound ring's words."""
        return self.rig.arena.header.inbound_rings + self.rig.arena.header.ring_stride - 8 * self.rig.inbound().capacity


def check_frames(books: Books) -> None:
    """Every frame is in exactly one place, and its owner says which side that is."""
    held = [one.frame for one in books.held]
    free, waiting = books.free(), books.waiting()
    assert sorted(free + waiting + held + books.returning) == list(range(FRAMES))
    owners = books.rig.arena.owners()
    reader = books.rig.reader.actor
    assert all(owners[frame] == reader for frame in free)
    assert all(owners[frame] == RECEIVED for frame in waiting + held)


def check_received(books: Books) -> None:
    """received + made = handed on + dropped + held."""
    rig, counters, faults = books.rig, books.rig.received, books.rig.received_faults
    dropped = counters.drop_nic_runt_packets + faults.fault_lost_packets + faults.drop_fault_queue_full_packets
    held = holding(rig, 0)
    waiting = len(list(books.driver.input.drain()))
    assert books.put + faults.fault_duplicated_packets == counters.received_packets + dropped + held + waiting
    assert counters.lost_trace_packets == 0


def check_sent(books: Books) -> None:
    """taken + made = sent + dropped + held."""
    faults, sends = books.rig.sent_faults, books.rig.sends
    dropped = faults.fault_lost_packets + faults.drop_fault_queue_full_packets + sends.drop_nic_send_packets
    made = books.rig.written.taken_packets + faults.fault_duplicated_packets
    assert made == sends.sent_packets + dropped + holding(books.rig, 1)
    assert sends.sent_packets == books.sent
    assert books.handed_over - books.rig.written.taken_packets + len(books.engine_frames) == 4


def holding(rig: Rig, direction: int) -> int:
    """Return the packets that an injector holds."""
    if not rig.injectors:
        return 0
    state = rig.injectors[direction].state
    return state.held_count + (state.swap_left >= 0)


@settings(max_examples=150 if JIT else 40)
@given(faults=st.none() | FAULTS, steps=st.lists(STEP, max_size=60))
def test_frames_and_packets_are_accounted_for(faults: FaultSettings | None, steps: list[tuple[str, int]]) -> None:
    books = Books(faults)
    for name, value in steps:
        books.step(name, value)
        check_frames(books)
    check_received(books)
    books.step("write", 0)
    check_sent(books)
