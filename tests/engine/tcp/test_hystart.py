"""HyStart++ by round-trip times that grow, fall again, or do not change (RFC 9406 §4.2)."""

from __future__ import annotations

import pytest

from ncore_ray.engine.connection import Tcb, tcb_at
from ncore_ray.engine.tcp import hystart
from ncore_ray.machine.hash import MASK32
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.machine.record import new

MSS = 1000


@entry_kernel
def grow(tcb: int, acked: int, rtt: int) -> int:
    return hystart.hystart_grow(tcb_at(tcb), acked, rtt)


class Start:
    """A connection in its first slow start, round after round."""

    def __init__(self, una: int = 0) -> None:
        self._memory, self.tcb, self.address = new(Tcb)
        self.tcb.snd_una = self.tcb.snd_max = una
        self.tcb.mss, self.tcb.cwnd, self.tcb.ssthresh = MSS, 10 * MSS, hystart.NO_THRESHOLD
        self.over = False

    def round(self, rtt: int, then: int = 0) -> float:
        """Acknowledge a window, each segment after ``rtt``, or half of them after ``then``; return its growth."""
        tcb, before = self.tcb, self.tcb.cwnd
        flight = tcb.cwnd // MSS
        tcb.snd_max = (tcb.snd_una + flight * MSS) & MASK32
        for number in range(flight):
            tcb.snd_una = (tcb.snd_una + MSS) & MASK32
            late = then if then and number >= flight // 2 else rtt
            self.over = bool(grow(self.address, MSS, late)) or self.over
        return tcb.cwnd / before


@pytest.mark.parametrize("rtt", [500, 20_000, 200_000])
def test_without_a_queue_the_window_doubles(rtt: int) -> None:
    start = Start()
    assert [start.round(rtt) for _ in range(6)] == [2] * 6
    assert not start.over


@pytest.mark.parametrize(("rtt", "threshold"), [(500, 4_000), (20_000, 4_000), (80_000, 10_000), (500_000, 16_000)])
def test_round_trip_times_that_grow_slow_it_down(rtt: int, threshold: int) -> None:
    less, start = Start(), Start()
    for each in (less, start):
        each.round(rtt)
        each.round(rtt)
    less.round(rtt + threshold - 1)
    start.round(rtt + threshold)
    assert less.round(rtt + threshold - 1) == 2
    assert start.round(rtt + threshold) == pytest.approx(1.25, abs=0.01)


def test_five_slow_rounds_end_it() -> None:
    start = Start()
    for rtt in (20_000, 20_000, 30_000):
        start.round(rtt)
    for _ in range(5):
        assert not start.over
        start.round(30_000)
    start.tcb.snd_max += MSS
    start.tcb.snd_una += MSS
    assert start.over or grow(start.address, MSS, 30_000)
    assert start.tcb.ssthresh <= start.tcb.cwnd


def test_if_it_was_no_queue_the_window_doubles_again() -> None:
    start = Start()
    for rtt in (20_000, 20_000, 30_000):
        start.round(rtt)
    start.round(20_500)
    assert start.round(20_500) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("una", [0, 0x7FFF_FFFF, 0x8000_0000, 0xF000_0000, 0xFFFF_F000])
def test_rounds_begin_whatever_the_sequence_numbers_are(una: int) -> None:
    start = Start(una)
    for rtt in (20_000, 20_000, 30_000):
        start.round(rtt)
    assert start.round(30_000) == pytest.approx(1.25, abs=0.01)
