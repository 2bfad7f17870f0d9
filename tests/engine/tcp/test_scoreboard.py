"""The sender's ranges against a set of bytes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ncore_ray.engine.connection import Tcb, tcb_at
from ncore_ray.engine.tcp import scoreboard
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.machine.record import new

WRAP = 1 << 32
FLIGHT = 400
MSS = 10


@entry_kernel
def note(tcb: int, start: int, end: int) -> int:
    return scoreboard.note_sacked(tcb_at(tcb), start, end)


@entry_kernel
def drop(tcb: int) -> int:
    return scoreboard.drop_sacked(tcb_at(tcb))


@entry_kernel
def judge(tcb: int) -> int:
    return scoreboard.judge_lost(tcb_at(tcb))


@entry_kernel
def uncounted(tcb: int) -> int:
    return scoreboard.uncounted(tcb_at(tcb))


@entry_kernel
def next_hole(tcb: int) -> int:
    return scoreboard.next_hole(tcb_at(tcb))


@entry_kernel
def hole_length(tcb: int, at: int, most: int) -> int:
    return scoreboard.hole_length(tcb_at(tcb), at, most)


@entry_kernel
def past(tcb: int, at: int) -> int:
    return scoreboard.past_sacked(tcb_at(tcb), at)


class Board:
    """A scoreboard and, beside it, the set of what arrived, counted from the first byte in flight."""

    def __init__(self, first: int) -> None:
        self._memory, self.tcb, self.address = new(Tcb)
        self.first = first
        self.tcb.snd_una = self.tcb.resent_to = self.tcb.lost_edge = first
        self.tcb.snd_max = (first + FLIGHT) % WRAP
        self.tcb.mss = MSS
        self.una = 0
        self.arrived: set[int] = set()

    def absolute(self, at: int) -> int:
        return (self.first + at) % WRAP

    def relative(self, at: int) -> int:
        return (at - self.first) % WRAP

    def ranges(self) -> list[tuple[int, int]]:
        """Return the runs of what arrived."""
        edges = sorted(self.arrived)
        starts = [at for at in edges if at - 1 not in self.arrived]
        return [(start, next(at for at in range(start, FLIGHT + 1) if at not in self.arrived)) for start in starts]

    def sack(self, start: int, end: int) -> None:
        start = max(start, self.una)
        if start >= end:
            return
        before = set(self.arrived)
        self.arrived |= set(range(start, end))
        if len(self.ranges()) > scoreboard.MAX_RANGES:
            self.arrived = before
            assert note(self.address, self.absolute(start), self.absolute(end)) == 0
        else:
            fresh = len(self.arrived) - len(before)
            assert note(self.address, self.absolute(start), self.absolute(end)) == fresh

    def acknowledge(self, una: int) -> None:
        self.una = max(self.una, una)
        self.tcb.snd_una = self.absolute(self.una)
        gone = {at for at in self.arrived if at < self.una}
        self.arrived -= gone
        assert drop(self.address) == len(gone)

    def lost_edge(self) -> int:
        """RFC 6675's IsLost, byte by byte."""
        for at in reversed(range(self.una, FLIGHT)):
            beyond = [(start, end) for start, end in self.ranges() if start > at]
            if at not in self.arrived and (len(beyond) >= 3 or sum(end - start for start, end in beyond) > 2 * MSS):
                return at + 1
        return self.una

    def check(self) -> None:
        tcb = self.tcb
        assert tcb.sacked_bytes == len(self.arrived)
        assert tcb.sacked_count == len(self.ranges())
        judge(self.address)
        edge = max(self.lost_edge(), self.una)
        lost = [at for at in range(self.una, edge) if at not in self.arrived]
        assert uncounted(self.address) == len(self.arrived) + len(lost)
        hole = next_hole(self.address)
        assert hole == (self.absolute(lost[0]) if lost else scoreboard.NO_HOLE)
        for at in range(self.una, FLIGHT):
            free = next((to for to in range(at, FLIGHT + 1) if to not in self.arrived), FLIGHT)
            assert self.relative(past(self.address, self.absolute(at))) == free
            if at not in self.arrived:
                end = next((to for to in range(at, FLIGHT) if to in self.arrived), FLIGHT)
                assert hole_length(self.address, self.absolute(at), FLIGHT - at) == end - at


steps = st.lists(
    st.one_of(
        st.tuples(st.integers(0, FLIGHT - 1), st.integers(1, 60)),
        st.tuples(st.just(-1), st.integers(0, FLIGHT)),
    ),
    max_size=24,
)


@settings(max_examples=80)
@given(st.sampled_from([0, 1_000_000, WRAP - 200, (1 << 31) - 100]), steps)
def test_ranges_are_those_of_a_set_of_bytes(first: int, taken: list[tuple[int, int]]) -> None:
    board = Board(first)
    for start, length in taken:
        if start < 0:
            board.acknowledge(length)
        else:
            board.sack(start, min(start + length, FLIGHT))
    board.check()
