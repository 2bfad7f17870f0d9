"""Losses found by the time of sending (RFC 8985 §6), and the tail loss probe (§7)."""

from __future__ import annotations

import pytest

from ncore_ray.engine.tcp.hystart import MOST_SEGMENTS
from tests.engine.tcp.test_sack import at, block
from tests.engine.tcp.test_sending import MSS, flight, give
from tests.support.tcp_script import Script, established

RTT = 100
"""ms; the reordering window is a quarter of it, the probe time-out twice of it, the retransmission time-out 300 ms."""
sides = pytest.mark.parametrize("side", ["client", "service"])


def pair(side: str = "client") -> Script:
    """Both connections of the pair are open, with SACK."""
    return established(side, sack=True, tcp="congestion: newreno", rtt_ms=RTT)


def fly(s: Script, segments: int, *, sent: int = 0) -> None:
    """Let the engine send so many segments, as far as its window allows, and a round trip pass."""
    give(s, segments * MSS)
    s.end.gets(*flight(1, min(segments, sent or 10), last=segments <= 10))
    s.wait(RTT)


# Losses.


@sides
def test_a_segment_overtaken_by_one_is_lost_after_the_reordering_window(side: str) -> None:
    with pair(side) as s:
        fly(s, 10)
        s.end.sends("A", ack=1, sack=[block(1, 2)])
        s.end.gets()
        s.wait(23)
        s.end.gets()
        s.wait(4)
        s.end.gets(f"A 1+{MSS} ack 1")
        assert s.end.live().min_rtt == pytest.approx(1000 * RTT, abs=2)
        s.end.sends("A", ack=at(10))
        s.end.gets()
        s.counted(fast_retransmits=1, retransmitted_segments=1)
        s.other.inbox.clear()


def test_a_segment_that_was_only_overtaken_is_not_sent_again() -> None:
    with pair() as s:
        fly(s, 10)
        s.end.sends("A", ack=1, sack=[block(1, 3)])
        s.wait(10)
        s.end.sends("A", ack=at(3))
        s.wait(50)
        s.end.gets()
        assert s.end.live().reordering == 1
        s.other.inbox.clear()
        s.mark()


def test_where_packets_overtake_three_duplicates_do_not_suffice() -> None:
    with pair() as s:
        fly(s, 10)
        s.end.sends("A", ack=1, sack=[block(1, 2)])
        s.end.sends("A", ack=at(2))
        s.end.sends("A", ack=at(2), sack=[block(4, 8)])
        s.end.gets()
        s.wait(27)
        s.end.gets(f"A {at(2)}+{MSS} ack 1")
        assert s.end.live().lost_bytes == MSS  # its turn comes when the window allows
        s.other.inbox.clear()
        s.mark()


def test_what_is_lost_once_more_is_found_by_what_was_sent_after_it() -> None:
    with pair() as s:
        fly(s, 40)
        s.end.sends("A", ack=1, sack=[block(1, 10)])
        s.end.gets(f"A 1+{MSS} ack 1", *flight(at(10), 4))  # ssthresh is 5 segments
        s.wait(RTT)
        s.end.sends("A", ack=1, sack=[block(1, 12)])
        s.settle()
        assert next(s.end._text(segment) for _, segment in s.end.inbox) == f"A 1+{MSS} ack 1"
        tcb = s.end.live()
        assert tcb.recovery_at == s.lab.now  # a second congestion (RFC 5681 §4.3)
        assert tcb.in_recovery
        s.end.inbox.clear()
        s.other.inbox.clear()
        assert s.lab.totals().values["lost_retransmissions"] == 1
        assert s.lab.totals().values["retransmission_timeouts"] == 0
        s.mark()


def test_duplicates_widen_the_window_once_in_a_round() -> None:
    with pair() as s:
        fly(s, 40)
        tcb = s.end.live()
        for _ in range(3):
            s.end.sends("A", ack=at(2), sack=[block(0, 1)])
            s.settle()
        assert (tcb.window_steps, tcb.window_kept) == (1, 16)
        s.wait(RTT)
        s.end.sends("A", ack=(tcb.snd_max - s.end.engine_first) % (1 << 32), sack=[block(3, 4)])
        s.settle()
        assert (tcb.window_steps, tcb.window_kept) == (2, 16)
        s.end.inbox.clear()
        s.other.inbox.clear()
        s.mark()


def test_sixteen_recoveries_without_duplicates_narrow_the_window() -> None:
    with pair() as s:
        give(s, 10)
        tcb = s.end.live()
        tcb.window_steps, tcb.window_kept = 3, 2
        s.end.gets("PA 1+10 ack 1")
        s.end.sends("A", ack=11)
        first = 11
        for kept in (1, 0):
            s.wait(1)
            tcb.cwnd = 10 * MSS
            give(s, 4 * MSS)
            s.end.inbox.clear()
            s.wait(RTT)
            edges = [first + MSS * i for i in range(5)]
            s.end.sends("A", ack=first, sack=[(edges[1], edges[4])])
            s.settle()
            assert tcb.in_recovery
            s.end.sends("A", ack=edges[4])
            s.settle()
            first = edges[4]
            assert (tcb.in_recovery, tcb.window_kept) == (0, kept)
        assert tcb.window_steps == 0
        s.end.inbox.clear()
        s.other.inbox.clear()
        s.mark()


def test_an_acknowledgment_too_soon_for_what_was_sent_again_is_of_the_first() -> None:
    with pair() as s:
        fly(s, 10)
        s.end.sends("A", ack=1, sack=[block(1, 5)])
        s.end.gets(f"A 1+{MSS} ack 1")
        tcb = s.end.live()
        s.wait(5)
        s.end.sends("A", ack=at(5))
        s.settle()
        assert tcb.rack_rtt == pytest.approx(1000 * RTT, abs=2)
        s.end.inbox.clear()
        s.other.inbox.clear()
        s.mark()


# The tail.


@sides
def test_silence_of_two_round_trips_brings_the_last_segment_again(side: str) -> None:
    with pair(side) as s:
        fly(s, 5)
        s.end.sends("A", ack=at(3))
        s.wait(2 * RTT + 3)
        s.end.gets(f"PA {at(4)}+{MSS} ack 1")
        assert s.end.times == pytest.approx([3 * RTT], abs=3)
        s.wait(RTT)
        s.end.sends("A", ack=at(3), sack=[block(4, 5)])  # the fourth is missing
        s.end.gets(f"A {at(3)}+{MSS} ack 1")
        s.end.sends("A", ack=at(5))
        s.end.gets()
        s.other.inbox.clear()
        s.counted(tail_loss_probes=1, fast_retransmits=1, retransmitted_segments=2)


def test_new_bytes_are_a_probe_too() -> None:
    with pair() as s:
        fly(s, 20)
        s.wait(RTT + 3)
        s.end.gets(*flight(at(10), 1))
        s.wait(200)
        s.end.gets()  # one probe, then the retransmission timer from there on
        s.end.sends("A", ack=at(11))
        s.settle()
        assert s.end.live().tail_probe == 0
        s.end.inbox.clear()
        s.other.inbox.clear()
        s.mark()


def test_the_acknowledgment_of_one_segment_may_wait() -> None:
    with pair() as s:
        give(s, 100)
        s.end.gets("PA 1+100 ack 1")
        s.wait(305)
        s.end.gets("PA 1+100 ack 1")
        assert s.end.times == pytest.approx([2 * RTT + 60], abs=3)
        assert s.end.live().cwnd == 10 * MSS
        s.other.inbox.clear()
        s.counted(tail_loss_probes=1, retransmitted_segments=1, delayed_acks=1)


def test_a_probe_is_due_no_later_than_the_timer_expires() -> None:
    with pair() as s:
        give(s, 100)
        s.end.gets("PA 1+100 ack 1")
        s.wait(1)
        tcb = s.end.live()
        tcb.rto = 150_000
        tcb.retransmit_at = s.lab.now + 150_000
        give(s, 100)
        s.end.gets("PA 101+100 ack 1")
        assert tcb.recheck_at == tcb.retransmit_at
        s.wait(152)
        s.end.gets("PA 1+200 ack 1")
        s.other.inbox.clear()
        s.counted(tail_loss_probes=1, retransmitted_segments=1)


@pytest.mark.parametrize("was_lost", [False, True])
def test_only_a_probe_that_repaired_something_was_a_congestion(was_lost: bool) -> None:
    with pair() as s:
        fly(s, 5)
        s.wait(RTT + 3)
        s.end.gets(f"PA {at(4)}+{MSS} ack 1")
        tcb = s.end.live()
        s.end.sends("A", ack=at(5), sack=[] if was_lost else [block(4, 5)])
        s.settle()
        before = tcb.cwnd
        give(s, 100)
        s.end.inbox.clear()
        s.end.sends("A", ack=at(5) + 100)
        s.settle()
        assert tcb.tail_probe == 0
        assert (tcb.cwnd < before) == was_lost
        s.other.inbox.clear()
        s.mark()


def test_a_lost_fin_is_probed_for() -> None:
    with pair() as s:
        give(s, 3 * MSS)
        s.other.sends("FA")
        s.end.gets(*flight(1, 3, last=True), f"FA {at(3)} ack 1")
        s.wait(2 * RTT + 3)
        s.end.gets("PA 2922+1175 ack 1", "FPA 4097+284 ack 1")
        s.other.inbox.clear()
        s.mark()


def test_no_probe_without_sack() -> None:
    with established(rtt_ms=RTT) as s:
        fly(s, 5)
        s.wait(RTT + 50)
        s.end.gets()
        s.other.inbox.clear()
        s.mark()


# Time-outs that were not needed (RFC 5682).


def timed_out(s: Script) -> None:
    """Ten of forty segments are in flight, and neither the probe nor anything else is answered."""
    fly(s, 40)
    s.wait(4 * RTT + 10)
    s.end.gets(*flight(at(10), 1), f"A 1+{MSS} ack 1")
    assert s.end.times == pytest.approx([2 * RTT, 5 * RTT], abs=8)
    assert s.end.live().cwnd == MSS


def test_a_time_out_that_only_came_too_soon_is_undone() -> None:
    with pair() as s:
        timed_out(s)
        tcb = s.end.live()
        s.end.sends("A", ack=at(1))
        s.end.gets(*flight(at(11), 2))  # new bytes (§3.1, step 2)
        s.end.sends("A", ack=at(2))
        s.settle()
        assert (tcb.in_recovery, tcb.lost_bytes) == (0, 0)
        assert tcb.cwnd >= 10 * MSS
        assert tcb.ssthresh == 1 << 30
        assert all(segment.sequence - s.end.engine_first > 11 * MSS for _, segment in s.end.inbox)
        s.end.inbox.clear()
        s.other.inbox.clear()
        assert s.lab.totals().values["spurious_timeouts"] == 1
        s.mark()


def test_new_bytes_that_arrive_first_show_a_true_loss() -> None:
    with pair() as s:
        timed_out(s)
        s.end.sends("A", ack=at(1))
        s.end.gets(*flight(at(11), 2))
        s.end.sends("A", ack=at(1), sack=[block(11, 12)])
        s.end.gets(*flight(at(1), 2))  # one segment is in flight, three may be (step 3a)
        assert s.end.live().in_recovery
        assert s.lab.totals().values["spurious_timeouts"] == 0
        s.other.inbox.clear()
        s.mark()


def test_everything_acknowledged_at_once_says_nothing() -> None:
    with pair() as s:
        timed_out(s)
        s.end.sends("A", ack=at(11))
        s.settle()
        tcb = s.end.live()
        assert (tcb.in_recovery, tcb.verification) == (0, 0)
        assert tcb.cwnd <= (1 + MOST_SEGMENTS) * MSS  # slow start
        s.end.inbox.clear()
        s.other.inbox.clear()
        s.mark()
