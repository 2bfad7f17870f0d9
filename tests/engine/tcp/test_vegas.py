"""Vegas against the same thing written with fractions, in segments per round trip."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction

import pytest

from ncore_ray.engine.connection import Tcb, tcb_at
from ncore_ray.engine.partition import Engine, engine_at
from ncore_ray.engine.tcp import vegas
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.machine.record import new
from tests.engine.tcp.test_sending import flight, give
from tests.support.tcp_script import established

MSS = 1000
BASE = 50_000


@entry_kernel
def vegas_begin(tcb: int) -> int:
    return vegas.vegas_begin(tcb_at(tcb))


@entry_kernel
def vegas_grow(engine: int, tcb: int, acked: int) -> int:
    return vegas.vegas_grow(engine_at(engine), tcb_at(tcb), acked)


@dataclass
class Way:
    """A way whose queue holds whatever of the window does not fit on it: the round-trip time follows from that."""

    fits: int
    """Segments on the way without a queue."""

    def rtt(self, window: Fraction | int) -> Fraction:
        return Fraction(BASE) * max(Fraction(window) / self.fits, Fraction(1))


def reference(way: Way, window: Fraction, *, rounds: int) -> list[float]:
    """Return the window after each round of congestion avoidance (Brakmo, Peterson 1995)."""
    found = []
    for _ in range(rounds):
        queued = window * (way.rtt(window) - BASE) / BASE
        if queued > 4:
            window -= 1
        elif queued < 2:
            window += 1
        found.append(float(window))
    return found


class Sender:
    """A connection whose flight is acknowledged segment by segment, round after round."""

    def __init__(self, window: int, threshold: int) -> None:
        self._kept = [*new(Tcb)[:2], *new(Engine)[:2]]
        _, self.tcb, self.address = tcb = new(Tcb)
        _, self.engine, self.engine_address = engine = new(Engine)
        self._kept += [tcb, engine]
        self.tcb.mss, self.tcb.cwnd, self.tcb.ssthresh = MSS, window * MSS, threshold * MSS
        self.tcb.sack_permitted = 1
        vegas_begin(self.address)

    def round(self, way: Way) -> float:
        """Send a window, and let it be acknowledged; return the window then, in segments."""
        tcb, rtt = self.tcb, int(way.rtt(Fraction(self.tcb.cwnd, MSS)))
        flight = tcb.cwnd // MSS
        tcb.snd_max = tcb.snd_una + flight * MSS
        for _ in range(flight):
            tcb.snd_una += MSS
            self.engine.sample_rtt = rtt
            vegas_grow(self.engine_address, self.address, MSS)
        return tcb.cwnd / MSS


@pytest.mark.parametrize(("start", "fits"), [(10, 40), (60, 40), (10, 10)])
def test_window_settles_with_two_to_four_segments_in_the_queue(start: int, fits: int) -> None:
    way, sender = Way(fits), Sender(start, 2)
    sender.round(Way(10_000))  # one round without any queue: the way without it is known
    found = [sender.round(way) for _ in range(60)]
    expected = reference(way, Fraction(start + 1), rounds=60)
    assert all(abs(a - b) <= 2.01 for a, b in zip(found, expected, strict=True)), (found, expected)
    assert fits + 2 <= found[-1] <= fits + 4
    assert found[-1] == found[-2]


def test_slow_start_ends_with_the_first_queue() -> None:
    way, sender = Way(40), Sender(4, 1 << 20)
    found = [sender.round(way) for _ in range(12)]
    # The first flight that makes a queue is that of 64; when it is judged, its acknowledgments have doubled it.
    assert found[:5] == [8, 16, 32, 64, 128]
    assert found[5] == pytest.approx(128 / float(way.rtt(64) / BASE) + 1, abs=1)
    assert [a - b for a, b in itertools.pairwise(found[5:])] == [1] * 6
    assert sender.tcb.ssthresh < sender.tcb.cwnd + MSS


def test_round_with_few_samples_says_nothing() -> None:
    sender = Sender(10, 2)
    sender.round(Way(100))
    before = sender.tcb.cwnd
    sender.tcb.snd_max = sender.tcb.snd_una + 10 * MSS
    sender.tcb.snd_una = sender.tcb.snd_max
    sender.engine.sample_rtt = 100 * BASE
    vegas_grow(sender.engine_address, sender.address, 10 * MSS)  # one delayed acknowledgment
    assert sender.tcb.cwnd > before


def test_a_loss_halves_the_window() -> None:
    with established(tcp="congestion: vegas") as s:
        give(s, 10 * 1460)
        s.end.gets(*flight(1, 10, last=True))
        for _ in range(3):
            s.end.sends("A", ack=1)
        s.end.gets("A 1+1460 ack 1")
        assert s.end.live().ssthresh == 5 * 1460
        s.counted(fast_retransmits=1, retransmitted_segments=1)
