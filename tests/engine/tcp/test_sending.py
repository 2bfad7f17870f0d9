"""Data that goes out: windows, timers, loss and its repair (RFC 5681, RFC 6298, RFC 6582, RFC 9293 §3.8)."""

from __future__ import annotations

import pytest

from ncore_ray.engine.tcp.state import TcpState
from tests.support.tcp_script import Script, established

sides = pytest.mark.parametrize("side", ["client", "service"])
MSS = 1460


def give(s: Script, length: int, piece: int = 1024) -> None:
    """Let the other end send so much that the engine passes on to the end under test."""
    while length > 0:
        s.other.sends("A", data=min(piece, length))
        length -= piece
    s.settle()
    s.other.inbox.clear()


def flight(first: int, count: int, *, last: bool = False, ack: int = 1) -> list[str]:
    """Return full segments from a relative sequence number on; the last one may end what there is."""
    texts = [f"A {first + MSS * i}+{MSS} ack {ack}" for i in range(count)]
    return [*texts[:-1], "P" + texts[-1]] if last else texts


@sides
def test_established_lost_segment_is_sent_again(side: str) -> None:
    with established(side, tcp="retries: 3") as s:
        give(s, 100)
        s.end.gets("PA 1+100 ack 1")
        s.wait(2_900)
        s.end.gets(*["PA 1+100 ack 1"] * 3)
        assert s.end.times == pytest.approx([200, 600, 1400], abs=5)
        s.wait(200)
        s.other.gets("A 1 ack 101", "RA 1 ack 101")
        assert s.other.times == pytest.approx([40, 3000], abs=5)
        s.counted(
            retransmission_timeouts=3,
            retransmitted_segments=3,
            delayed_acks=1,
            connections_timed_out=1,
            connections_closed=2,
            connections_reset=2,
            resets_sent=1,
        )


def test_established_backed_off_timer_is_kept_until_a_fresh_sample() -> None:
    with established() as s:
        give(s, 100)
        s.end.gets("PA 1+100 ack 1")
        s.wait(700)
        s.end.gets("PA 1+100 ack 1", "PA 1+100 ack 1")
        s.end.sends("A")
        s.settle()
        assert s.end.live().rto == 800_000  # Karn: that acknowledgment says nothing of the way
        give(s, 100)
        s.end.gets("PA 101+100 ack 1")
        s.wait(10)
        s.end.sends("A")
        s.settle()
        assert s.end.live().rto == 200_000
        s.other.inbox.clear()
        s.counted(retransmission_timeouts=2, retransmitted_segments=2, delayed_acks=1)


@pytest.mark.parametrize("samples", [[300, 300], [300, 100, 500], [50, 900, 20, 20, 20]])
def test_established_timer_follows_the_samples(samples: list[int]) -> None:
    with established(rtt_ms=samples[0]) as s:
        smoothed, variation = float(samples[0]), samples[0] / 2
        for sample in samples[1:]:
            give(s, 10)
            s.end.inbox.clear()
            s.end.received += 10
            s.lab.now += 1000 * sample
            s.end.sends("A")
            s.settle()
            variation = 0.75 * variation + 0.25 * abs(smoothed - sample)
            smoothed = 0.875 * smoothed + 0.125 * sample
        tcb = s.end.live()
        assert tcb.srtt / 8000 == pytest.approx(smoothed, abs=0.1)
        assert tcb.rttvar / 4000 == pytest.approx(variation, abs=0.1)
        assert tcb.rto / 1000 == pytest.approx(max(smoothed + 4 * variation, 200), abs=1)
        s.end.inbox.clear()
        s.other.inbox.clear()
        s.mark()


def test_established_timer_has_bounds() -> None:
    with established(tcp="min_rto: 300ms, max_rto: 1s, retries: 5") as s:
        give(s, 100)
        s.wait(4_000)
        s.end.gets(*["PA 1+100 ack 1"] * 6)
        assert s.end.times == pytest.approx([0, 300, 900, 1900, 2900, 3900], abs=8)
        s.other.inbox.clear()
        s.mark()


def test_established_acknowledgment_restarts_the_timer() -> None:
    with established() as s:
        give(s, 100)
        s.end.gets("PA 1+100 ack 1")
        give(s, 100)
        s.end.gets("PA 101+100 ack 1")
        s.wait(150)
        s.end.sends("A", ack=101)
        s.wait(150)
        s.end.gets()
        s.wait(60)
        s.end.gets("PA 101+100 ack 1")
        s.other.inbox.clear()
        s.mark()


def test_established_initial_window() -> None:
    with established() as s:
        give(s, 20 * MSS)
        s.end.gets(*flight(1, 10))
        s.end.sends("A", ack=1 + 2 * MSS)
        s.end.gets(*flight(1 + 10 * MSS, 4))  # slow start: what was acknowledged, and as much again
        s.counted()


@pytest.mark.parametrize("segments", [1, 4])
def test_established_initial_window_is_configuration(segments: int) -> None:
    with established(tcp=f"initial_window: {segments}") as s:
        give(s, 20 * MSS)
        s.end.gets(*flight(1, segments))
        s.counted()


def test_established_peers_window() -> None:
    with established() as s:
        s.end.sends("A", window=23)  # shifted by 7: 2,944
        give(s, 5 * MSS)
        s.end.gets(*flight(1, 2))
        s.end.sends("A", window=23)
        s.end.gets(*flight(1 + 2 * MSS, 2))
        s.counted()


def test_established_fast_retransmit() -> None:
    with established(tcp="congestion: newreno") as s:
        give(s, 10 * MSS)
        s.end.gets(*flight(1, 10, last=True))
        for _ in range(2):
            s.end.sends("A", ack=1)
        s.end.gets()
        s.end.sends("A", ack=1)
        s.end.gets(f"A 1+{MSS} ack 1")
        tcb = s.end.live()
        assert (tcb.ssthresh, tcb.cwnd) == (5 * MSS, 8 * MSS)  # RFC 5681 §3.2
        s.end.sends("A", ack=1 + 10 * MSS)
        s.end.gets()
        assert tcb.cwnd <= 5 * MSS
        s.counted(fast_retransmits=1, retransmitted_segments=1)


def test_established_partial_acknowledgment() -> None:
    with established() as s:
        give(s, 10 * MSS)
        s.end.gets(*flight(1, 10, last=True))
        for _ in range(3):
            s.end.sends("A", ack=1)
        s.end.gets(f"A 1+{MSS} ack 1")
        s.end.sends("A", ack=1 + 4 * MSS)
        s.end.gets(f"A {1 + 4 * MSS}+{MSS} ack 1")  # RFC 6582 §3.2: the next hole, at once
        s.end.sends("A", ack=1 + 10 * MSS)
        s.end.gets()
        assert not s.end.live().in_recovery
        s.counted(fast_retransmits=1, retransmitted_segments=2)


def test_established_recovery_sends_new_data_for_more_duplicates() -> None:
    with established(tcp="congestion: newreno") as s:
        give(s, 30 * MSS)
        s.end.gets(*flight(1, 10))
        for _ in range(3):
            s.end.sends("A", ack=1)
            s.settle()
        s.end.gets(*flight(1 + 10 * MSS, 2), f"A 1+{MSS} ack 1")  # two by RFC 3042, then the lost one
        for _ in range(8):
            s.end.sends("A", ack=1)
            s.settle()
        s.end.gets(*flight(1 + 12 * MSS, 4))
        s.counted(fast_retransmits=1, retransmitted_segments=1)


def test_established_duplicates_of_an_old_loss_are_passed_over() -> None:
    with established() as s:
        give(s, 4 * MSS)
        s.end.gets(*flight(1, 4, last=True))
        s.wait(210)
        s.end.gets(f"A 1+{MSS} ack 1")
        s.end.sends("A", ack=1 + MSS)
        s.end.gets(*flight(1 + MSS, 2))
        for _ in range(5):
            s.end.sends("A", ack=1 + MSS)
        s.settle()
        assert s.end.live().in_recovery == 0  # RFC 6582 §3.2 step 2
        s.end.inbox.clear()
        s.mark()


def test_established_fast_retransmit_after_2_gib() -> None:
    with established() as s:
        tcb = s.end.live()
        tcb.recover = (tcb.snd_una + (1 << 31) + 5) % (1 << 32)  # as if it had been set 2 GiB ago
        tcb.recover = (tcb.snd_una - (1 << 30) - 9) % (1 << 32)
        give(s, 10)
        s.end.inbox.clear()
        s.end.sends("A", ack=11)
        s.settle()
        assert (tcb.snd_una - tcb.recover) % (1 << 32) == 1
        s.other.inbox.clear()
        s.mark()


@pytest.mark.parametrize("kind", ["data", "window", "fin"])
def test_established_no_duplicate(kind: str) -> None:
    with established() as s:
        give(s, 10 * MSS)
        s.end.gets(*flight(1, 10, last=True))
        for i in range(4):
            if kind == "data":
                s.end.sends("PA", data=1, ack=1)
            elif kind == "window":
                s.end.sends("A", ack=1, window=60_000 + i)
            else:
                s.end.sends("FA", 1, ack=1)
        s.settle()
        assert s.end.live().duplicate_acks == 0
        s.end.inbox.clear()
        s.other.inbox.clear()
        s.mark()


def test_established_time_out_begins_with_one_segment() -> None:
    with established(tcp="congestion: newreno") as s:
        give(s, 10 * MSS)
        s.end.gets(*flight(1, 10, last=True))
        s.wait(210)
        s.end.gets(f"A 1+{MSS} ack 1")
        tcb = s.end.live()
        assert (tcb.cwnd, tcb.ssthresh) == (MSS, 5 * MSS)  # RFC 5681 §3.1
        s.end.sends("A", ack=1 + MSS)
        s.end.gets(*flight(1 + MSS, 2))
        s.end.sends("A", ack=1 + 10 * MSS)
        s.end.gets()
        s.counted(retransmission_timeouts=1, retransmitted_segments=3, delayed_acks=0)


def test_established_idle_connection_begins_anew() -> None:
    with established() as s:
        give(s, 100)
        s.end.gets("PA 1+100 ack 1")
        s.end.sends("A")
        s.settle()
        s.end.live().cwnd = 60 * MSS
        s.wait(1000)
        s.other.inbox.clear()
        give(s, 20 * MSS)
        s.end.gets(*flight(101, 10))  # RFC 5681 §4.1
        s.mark()


@sides
def test_established_zero_window_is_probed(side: str) -> None:
    with established(side) as s:
        s.end.sends("A", window=0)
        give(s, 1000)
        s.end.gets()
        s.wait(210)
        s.end.gets("A 1+1 ack 1")
        for ms in (400, 800, 1600):
            s.end.sends("A", ack=1, window=0)
            s.wait(ms + 5)
            s.end.gets("A 1+1 ack 1")
        s.end.sends("A", ack=1, window=100)
        s.end.gets("PA 1+1000 ack 1")  # the byte that was thrown away too
        assert s.end.live().rto == 200_000
        s.other.inbox.clear()
        s.counted(zero_window_probes=4, retransmitted_segments=4, delayed_acks=1)


def test_established_zero_window_probe_is_taken() -> None:
    with established() as s:
        s.end.sends("A", window=0)
        give(s, 1000)
        s.wait(210)
        s.end.gets("A 1+1 ack 1")
        s.end.sends("A", ack=2, window=0)
        s.wait(210)
        s.end.gets("A 2+1 ack 1")
        s.end.sends("A", ack=3, window=100)
        s.end.gets("PA 3+998 ack 1")
        s.other.inbox.clear()
        s.mark()


def test_established_zero_window_probe_of_the_last_byte() -> None:
    with established() as s:
        s.end.sends("A", window=0)
        give(s, 1)
        s.wait(210)
        s.end.gets("PA 1+1 ack 1")
        s.end.sends("A", ack=1, window=9)
        s.end.gets("PA 1+1 ack 1")
        s.other.inbox.clear()
        s.mark()


def test_established_zero_window_answered_for_long() -> None:
    with established(tcp="retries: 2, max_rto: 1s") as s:
        s.end.sends("A", window=0)
        give(s, 10)
        for _ in range(20):
            s.wait(1_010)
            s.end.inbox.clear()
            s.end.sends("A", ack=1, window=0)
        s.settle()
        assert s.end.state == TcpState.ESTABLISHED
        s.other.inbox.clear()
        s.mark()


def test_established_zero_window_unanswered() -> None:
    with established(tcp="retries: 2") as s:
        s.end.sends("A", window=0)
        give(s, 10)
        s.wait(2_000)
        s.end.gets("A 1+1 ack 1", "A 1+1 ack 1")
        s.other.gets("A 1 ack 11", "RA 1 ack 11")
        s.counted(
            zero_window_probes=2,
            retransmitted_segments=1,
            delayed_acks=1,
            connections_timed_out=1,
            connections_closed=2,
            connections_reset=2,
            resets_sent=1,
        )


def test_established_fin_waits_for_the_window() -> None:
    with established() as s:
        s.end.sends("A", window=0)
        s.other.sends("FA")
        s.other.gets("A 1 ack 2")
        s.end.gets()
        s.wait(210)
        s.end.gets("FA 1 ack 1")  # as a probe
        s.end.sends("A", ack=1, window=0)
        s.wait(410)
        s.end.gets("FA 1 ack 1")
        s.end.sends("A", ack=1, window=1)
        s.end.gets("FA 1 ack 1")
        s.counted(zero_window_probes=2, retransmitted_segments=2)


def test_established_window_taken_back() -> None:
    with established() as s:
        give(s, 4 * MSS)
        s.end.gets(*flight(1, 4, last=True))
        s.end.sends("A", ack=1 + MSS, window=0)
        s.end.gets()
        s.wait(3_000)
        assert s.end.inbox  # it goes on asking, and does not fall silent
        s.end.inbox.clear()
        s.end.sends("A", ack=1 + MSS, window=100)
        s.settle()
        assert s.end.inbox
        s.end.inbox.clear()
        s.other.inbox.clear()
        s.mark()


def test_established_small_window_is_not_filled() -> None:
    with established() as s:
        s.end.sends("A", window=7)  # 896 of the 65,535 that it told before
        give(s, 5000)
        s.end.gets()  # RFC 9293 §3.8.6.2.1
        s.wait(210)
        s.end.gets("A 1+896 ack 1")  # the override time-out
        s.end.sends("A", ack=897, window=100)
        s.end.gets(f"A 897+{MSS} ack 1", f"A 2357+{MSS} ack 1", "PA 3817+1184 ack 1")
        s.other.inbox.clear()
        s.mark()


def test_established_old_acknowledgment_does_not_change_the_window() -> None:
    with established() as s:
        give(s, 10)
        s.end.gets("PA 1+10 ack 1")
        s.end.sends("A", ack=11, window=300)
        s.settle()
        s.end.sends("A", ack=1, window=1)
        s.settle()
        assert s.end.live().snd_wnd == 300 << 7
        s.other.inbox.clear()
        s.counted()


def test_established_keep_alive() -> None:
    with established(timeouts="keepalive: 2s, client_idle: 280s") as s:
        s.wait(2_010)
        s.end.gets("A 0 ack 1")
        s.other.gets("A 0 ack 1")
        s.end.sends("A")
        s.other.sends("A")
        s.wait(1_900)
        s.end.gets()
        s.wait(200)
        s.end.gets("A 0 ack 1")
        s.other.inbox.clear()
        s.mark()


def test_established_keep_alive_unanswered() -> None:
    with established(timeouts="keepalive: 2s, client_idle: 280s") as s:
        for _ in range(9):
            s.wait(1_500)
            s.other.inbox.clear()
            s.other.sends("A")
        s.settle()
        s.end.gets(*["A 0 ack 1"] * 5)
        assert s.end.times == pytest.approx([2000, 4000, 6000, 8000, 10_000], abs=8)
        assert s.end.state == TcpState.CLOSED
        s.other.inbox.clear()
        s.mark()
