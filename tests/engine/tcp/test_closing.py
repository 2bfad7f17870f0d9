"""CLOSE-WAIT, FIN-WAIT-1, FIN-WAIT-2, CLOSING, LAST-ACK, TIME-WAIT (RFC 9293 §3.6), of both sides of a pair."""

from __future__ import annotations

import pytest

from ncore_ray.engine.tcp.state import TcpState
from tests.support.tcp_script import (
    SYN_ACK,
    close_wait,
    closing,
    established,
    fin_wait_1,
    fin_wait_2,
    last_ack,
    time_wait,
)

pytestmark = pytest.mark.parametrize("side", ["client", "service"])


def test_established_fin(side: str) -> None:
    with established(side) as s:
        s.end.sends("FA")
        s.end.gets("A 1 ack 2")
        s.other.gets("FA 1 ack 1")
        assert (s.end.state, s.other.state) == (TcpState.CLOSE_WAIT, TcpState.FIN_WAIT_1)
        s.counted()


def test_established_data_and_fin(side: str) -> None:
    with established(side) as s:
        s.end.sends("FPA", data=5)
        s.end.gets("A 1 ack 7")
        s.other.gets("FPA 1+5 ack 1")
        s.counted()


def test_established_fin_before_its_data(side: str) -> None:
    with established(side) as s:
        s.end.sends("FA", 6)
        s.end.gets("A 1 ack 1")
        s.end.sends("PA", 1, data=5)
        s.other.gets("PA 1+5 ack 1")
        s.wait(45)
        s.end.gets("A 1 ack 6")
        s.end.sends("FA", 6)
        s.end.gets("A 1 ack 7")
        s.other.gets("FA 6 ack 1")
        s.counted(delayed_acks=1)


def test_close_wait_fin_again(side: str) -> None:
    with close_wait(side) as s:
        s.end.sends("FA", 1)
        s.end.gets("A 1 ack 2")
        s.counted(drop_tcp_bad_sequence_packets=1)


def test_close_wait_data_behind_the_fin(side: str) -> None:
    with close_wait(side) as s:
        s.end.sends("PA", 2, data=3)
        s.end.gets("A 1 ack 2")
        s.other.gets()
        s.counted()


def test_close_wait_still_sends(side: str) -> None:
    with close_wait(side) as s:
        s.other.sends("PA", data=4)
        s.end.gets("PA 1+4 ack 2")
        s.end.sends("A")
        s.end.gets()
        s.wait(45)
        s.other.gets("A 2 ack 5")
        s.counted(delayed_acks=1)


def test_close_wait_reset(side: str) -> None:
    with close_wait(side) as s:
        s.end.sends("R")
        s.end.gets()
        s.other.gets("RA 2 ack 1")
        s.counted(connections_closed=2, connections_reset=2, resets_sent=1)


def test_fin_wait_1_ack(side: str) -> None:
    with fin_wait_1(side) as s:
        s.end.sends("A")
        s.end.gets()
        assert s.end.state == TcpState.FIN_WAIT_2
        s.counted()


def test_fin_wait_1_fin_and_ack(side: str) -> None:
    with fin_wait_1(side) as s:
        s.end.sends("FA")
        s.end.gets("A 2 ack 2")
        s.other.gets("FA 1 ack 2")
        assert s.end.state == TcpState.TIME_WAIT
        s.counted()


def test_fin_wait_1_fin(side: str) -> None:
    with fin_wait_1(side) as s:
        s.end.sends("FA", ack=1)
        s.end.gets("A 2 ack 2")
        s.other.gets("FA 1 ack 2")
        assert (s.end.state, s.other.state) == (TcpState.CLOSING, TcpState.LAST_ACK)
        s.counted()


def test_fin_wait_1_data(side: str) -> None:
    with fin_wait_1(side) as s:
        s.end.sends("PA", data=7, ack=1)
        s.other.gets("PA 1+7 ack 2")
        s.wait(45)
        s.end.gets("A 2 ack 8")
        s.counted(delayed_acks=1)


def test_fin_wait_1_silence(side: str) -> None:
    with fin_wait_1(side, tcp="retries: 3") as s:
        s.wait(10_000)
        s.end.gets("FA 1 ack 1", "FA 1 ack 1", "FA 1 ack 1")
        assert s.end.times == pytest.approx([200, 600, 1400], abs=5)
        s.other.gets("RA 1 ack 2")
        assert s.other.times == pytest.approx([3000], abs=6)
        s.counted(
            retransmission_timeouts=3,
            retransmitted_segments=3,
            connections_timed_out=1,
            connections_closed=2,
            connections_reset=2,
            resets_sent=1,
        )


def test_fin_wait_1_reset(side: str) -> None:
    with fin_wait_1(side) as s:
        s.end.sends("R")
        s.end.gets()
        s.other.gets("RA 1 ack 2")
        s.counted(connections_closed=2, connections_reset=2, resets_sent=1)


def test_fin_wait_2_data(side: str) -> None:
    with fin_wait_2(side) as s:
        s.end.sends("PA", data=7)
        s.other.gets("PA 1+7 ack 2")
        s.other.sends("A")
        s.wait(45)
        s.end.gets("A 2 ack 8")
        s.counted(delayed_acks=1)


def test_fin_wait_2_fin(side: str) -> None:
    with fin_wait_2(side) as s:
        s.end.sends("FA")
        s.end.gets("A 2 ack 2")
        s.other.gets("FA 1 ack 2")
        assert (s.end.state, s.other.state) == (TcpState.TIME_WAIT, TcpState.LAST_ACK)
        s.counted()


def test_fin_wait_2_silence_ends_with_the_idle_time(side: str) -> None:
    with fin_wait_2(side, timeouts="client_idle: 2s") as s:
        s.wait(2_100)
        s.end.gets("RA 2 ack 1")
        s.other.gets("RA 1 ack 2")
        s.counted(connections_timed_out=1, connections_closed=2, connections_reset=2, resets_sent=2)


def test_closing_ack(side: str) -> None:
    with closing(side) as s:
        s.end.sends("A", ack=2)
        s.end.gets()
        assert s.end.state == TcpState.TIME_WAIT
        s.counted()


def test_closing_fin_again(side: str) -> None:
    with closing(side) as s:
        s.end.sends("FA", 1, ack=1)
        s.end.gets("A 2 ack 2")
        assert s.end.state == TcpState.CLOSING
        s.counted(drop_tcp_bad_sequence_packets=1)


def test_closing_fin_sent_again(side: str) -> None:
    with closing(side) as s:
        s.wait(210)
        s.end.gets("FA 1 ack 2")
        s.counted(retransmission_timeouts=1, retransmitted_segments=1)


def test_closing_reset(side: str) -> None:
    with closing(side) as s:
        s.end.sends("R")
        s.end.gets()
        assert s.end.state == TcpState.CLOSED
        s.counted(connections_closed=1)


def test_closing_silence(side: str) -> None:
    with closing(side, tcp="retries: 1") as s:
        s.wait(700)
        s.end.gets("FA 1 ack 2")
        assert s.end.state == TcpState.CLOSED
        s.counted(retransmission_timeouts=1, retransmitted_segments=1, connections_timed_out=1, connections_closed=1)


def test_last_ack_ack(side: str) -> None:
    with last_ack(side) as s:
        s.end.sends("A")
        s.end.gets()
        assert (s.end.state, s.other.state) == (TcpState.CLOSED, TcpState.TIME_WAIT)
        s.counted(connections_closed=1)


def test_last_ack_fin_again(side: str) -> None:
    with last_ack(side) as s:
        s.end.sends("FA", 1, ack=1)
        s.end.gets("A 2 ack 2")
        s.counted(drop_tcp_bad_sequence_packets=1)


def test_last_ack_reset_leaves_the_other_end_alone(side: str) -> None:
    with last_ack(side) as s:
        s.end.sends("R")
        s.end.gets()
        s.other.gets()
        assert (s.end.state, s.other.state) == (TcpState.CLOSED, TcpState.TIME_WAIT)
        s.counted(connections_closed=1)


def test_last_ack_silence_leaves_the_other_end_alone(side: str) -> None:
    with last_ack(side, tcp="retries: 1") as s:
        s.wait(700)
        s.end.gets("FA 1 ack 2")
        s.other.gets()
        assert (s.end.state, s.other.state) == (TcpState.CLOSED, TcpState.TIME_WAIT)
        s.counted(retransmission_timeouts=1, retransmitted_segments=1, connections_timed_out=1, connections_closed=1)


def test_time_wait_ends(side: str) -> None:
    with time_wait(side) as s:
        s.wait(4_990)
        assert s.end.state == TcpState.TIME_WAIT
        s.wait(20)
        assert s.end.state == TcpState.CLOSED
        s.counted(connections_closed=1)


def test_time_wait_fin_again_begins_it_anew(side: str) -> None:
    with time_wait(side) as s:
        s.wait(3_000)
        s.end.sends("FA", 1)
        s.end.gets("A 2 ack 2")
        s.wait(4_900)
        assert s.end.state == TcpState.TIME_WAIT
        s.wait(200)
        assert s.end.state == TcpState.CLOSED
        s.counted(drop_tcp_bad_sequence_packets=1, connections_closed=1)


def test_time_wait_ack(side: str) -> None:
    with time_wait(side) as s:
        s.end.sends("A")
        s.end.gets()
        s.counted()


def test_time_wait_data(side: str) -> None:
    with time_wait(side) as s:
        s.end.sends("PA", data=3)
        s.end.gets("A 2 ack 2")
        s.other.gets()
        s.counted()


def test_time_wait_reset(side: str) -> None:
    with time_wait(side) as s:
        s.end.sends("R")
        s.end.gets()
        assert s.end.state == TcpState.CLOSED
        s.counted(connections_closed=1)


def test_time_wait_old_syn(side: str) -> None:
    with time_wait(side) as s:
        s.end.sends("S", -7)
        s.end.gets("A 2 ack 2")
        assert s.end.state == TcpState.TIME_WAIT
        s.counted(drop_tcp_bad_sequence_packets=1)


def test_half_close_carries_data_of_the_other_direction_through(side: str) -> None:
    with fin_wait_2(side) as s:
        for i in range(4):
            s.end.sends("PA", data=1000)
            s.other.gets(f"PA {1 + 1000 * i}+1000 ack 2")
            s.other.sends("A")
        s.end.gets("A 2 ack 2001", "A 2 ack 4001")
        s.end.sends("FA")
        s.end.gets("A 2 ack 4002")
        s.other.gets("FA 4001 ack 2")
        s.counted()


def test_new_syn_in_time_wait(side: str) -> None:
    if side == "service":
        return
    with time_wait("client") as s:
        former = s.client.live().snd_max
        s.client.sends("S", 9, mss=1460, scale=7)
        s.settle()
        (_, segment), *_ = s.client.inbox
        assert (segment.sequence - former) % (1 << 32) < 1 << 31  # beyond everything of the former connection
        assert segment.sequence != former
        s.client.inbox.clear()
        assert s.client.state == TcpState.SYN_RECEIVED
        s.counted(connections_accepted=1, connections_closed=1)


def test_new_syn_after_time_wait(side: str) -> None:
    with time_wait(side) as s:
        s.wait(5_100)
        s.client.edge = 0
        s.client.sends("S", 0, mss=1460, scale=7)
        s.client.gets(SYN_ACK)
        s.counted(connections_accepted=1, connections_closed=1)


def test_time_wait_before_the_other_end_has_taken_everything(side: str) -> None:
    with fin_wait_2(side, tcp="receive_window: 64KiB, send_buffer: 4KiB, retries: 30") as s:
        for _ in range(10):
            s.end.sends("A", data=1400)
        s.end.sends("FA")
        s.settle()
        assert s.end.state == TcpState.TIME_WAIT
        s.end.inbox.clear()
        s.wait(6_000)
        assert s.end.state == TcpState.CLOSED
        for _ in range(20):
            s.settle()
            for _, segment in s.other.inbox:
                s.other._text(segment)  # compares the bytes
            s.other.inbox.clear()
            s.other.sends("A")
            s.wait(50)
        s.other.inbox.clear()
        assert s.other.received == 14_002
        assert s.other.state == TcpState.CLOSED
        s.mark()
