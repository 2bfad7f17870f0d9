"""Segments at a rate: instants of the timer wheel, bursts of a tick."""

from __future__ import annotations

import itertools

import pytest

from ncore_ray.tables.service import Congestion
from tests.engine.tcp.test_sending import MSS, flight, give
from tests.support.tcp_script import Script, established

RTT_MS = 40


def paced(tcp: str = "pacing: true, congestion: newreno") -> Script:
    """Both connections are open; the way takes 40 ms."""
    return established(sack=True, tcp=tcp, rtt_ms=RTT_MS)


def test_first_window_goes_out_within_half_a_round_trip() -> None:
    with paced() as s:
        give(s, 20 * MSS)
        s.wait(RTT_MS)
        s.end.gets(*flight(1, 10))
        times = s.end.times
        # Twice the window per round trip: a segment each 2 ms, ticks of about 1 ms; two ticks' worth at once at first.
        assert times[0] == 0
        assert times[-1] == pytest.approx(9 * RTT_MS / 20 - 2, abs=2)
        assert all(b - a <= 4 for a, b in itertools.pairwise(times))
        s.other.inbox.clear()
        s.mark()


def test_without_pacing_all_goes_at_once() -> None:
    with established(sack=True, rtt_ms=RTT_MS) as s:
        give(s, 20 * MSS)
        s.wait(1)
        s.end.gets(*flight(1, 10))
        assert s.end.times == [0] * 10
        assert s.end.live().pace_at == 0
        s.other.inbox.clear()
        s.mark()


def test_what_waits_for_its_instant_does_not_probe_the_window() -> None:
    with paced() as s:
        give(s, 4 * MSS)
        s.settle()
        s.end.live().pace_at = s.lab.now + 50_000
        s.end.inbox.clear()
        s.end.sends("A", ack=1 + MSS)
        s.end.sends("A", ack=1 + s.end.live().snd_max - s.end.live().iss - 1)
        s.settle()
        assert s.end.live().probing == 0
        s.wait(60)
        s.end.inbox.clear()
        s.other.inbox.clear()
        s.mark()


def test_bbr_is_always_paced_and_takes_a_block_with_its_first_data() -> None:
    with paced("congestion: bbr") as s:
        assert s.end.live().rate_block == 0
        give(s, 20 * MSS)
        s.wait(RTT_MS)
        s.end.gets(*flight(1, 10))
        assert s.end.times[-1] > 4
        assert s.end.live().rate_block
        assert s.other.live().rate_block == 0  # it only receives
        s.other.inbox.clear()
        s.mark()


def test_without_a_block_bbr_becomes_cubic() -> None:
    with paced("congestion: bbr") as s:
        engine = s.lab.engine()
        engine.span_block_count = engine.span_blocks_used = 0
        give(s, 100)
        s.end.gets("PA 1+100 ack 1")
        assert s.end.live().congestion == Congestion.CUBIC
        s.end.sends("A")
        s.other.inbox.clear()
        s.settle()
        assert s.lab.totals().values["bbr_refused_connections"] == 1
        s.mark()
