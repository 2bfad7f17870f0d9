"""Keep-alive, user time-out and TIME-WAIT of a vServer of its own (RFC 9293 §3.8.3, §3.8.4, §3.6.1)."""

from __future__ import annotations

import pytest

from ncore_ray.engine.tcp.state import TcpState
from tests.support.tcp_script import Script, established, time_wait

SECOND = 1_000_000
PATIENT = "client_idle: 4min, server: 4min"


def test_established_keepalive_of_the_vserver() -> None:
    with Script("client", timeouts=PATIENT) as s:
        s.lab.vserver_record(0).keepalive_us = 2 * SECOND
        s.client.opens()
        s.client.gets("SA 0 ack 1 win 65535 mss 1460 scale 2")
        s.client.sends("A")
        s.service.gets("S 0 win 65535 mss 1460 sackok scale 2")
        s.service.opens()
        s.service.gets("A 1 ack 1")
        s.mark()
        s.wait(2_010)
        s.client.gets("A 0 ack 1")
        s.service.gets("A 0 ack 1")
        s.client.sends("A")
        s.service.sends("A")
        s.wait(1_000)
        s.client.gets()
        s.service.gets()
        s.counted(keepalive_probes=2)


@pytest.mark.parametrize("side", ["client", "service"])
def test_established_silent_peer_of_a_vserver_with_keepalive(side: str) -> None:
    with established(side, timeouts=f"{PATIENT}, keepalive: 2s") as s:
        for _ in range(27):
            s.wait(1_000)
            if s.other.inbox and s.other.tcb():
                s.other.inbox.clear()
                s.other.sends("A")
        assert s.end.state == TcpState.CLOSED
        assert len(s.end.inbox) >= 5
        s.end.inbox.clear()
        s.other.inbox.clear()
        assert s.lab.totals().minus(s._before)["connections_timed_out"] == 1
        s.mark()


def test_established_keepalive_that_was_switched_off_stops() -> None:
    with established(timeouts=f"{PATIENT}, keepalive: 2s") as s:
        s.lab.vserver_record(0).keepalive_us = 0
        s.wait(60_000)
        s.client.gets()
        s.service.gets()
        assert s.client.live().keepalive_at == 0
        s.counted()


@pytest.mark.parametrize("seconds", [1, 5, 20])
def test_established_user_timeout(seconds: int) -> None:
    """The peer acknowledges nothing: the connection ends at the time-out, be it between two retransmissions."""
    with established(timeouts=f"{PATIENT}, user: {seconds}s", tcp="min_rto: 200ms, sack: false") as s:
        s.other.sends("PA", data=3)
        s.end.gets("PA 1+3 ack 1")
        s.wait(45)
        s.other.gets("A 1 ack 4")
        s.wait(1000 * seconds - 65)
        assert s.end.state == TcpState.ESTABLISHED
        s.wait(40)
        assert s.end.state == TcpState.CLOSED
        again = len(s.end.inbox)
        s.end.inbox.clear()
        s.other.gets("RA 1 ack 4")
        s.counted(
            connections_timed_out=1,
            user_timeouts=1,
            connections_closed=2,
            connections_reset=2,
            resets_sent=1,
            delayed_acks=1,
            retransmission_timeouts=again,
            retransmitted_segments=again,
        )


def test_established_user_timeout_is_longer_than_the_retries() -> None:
    """With a user time-out the number of retransmissions does not count."""
    with established(timeouts=f"{PATIENT}, user: 5min", tcp="retries: 1, sack: false") as s:
        s.other.sends("PA", data=3)
        s.settle()
        s.wait(120_000)
        assert s.end.state == TcpState.ESTABLISHED
        s.end.inbox.clear()
        s.end.sends("A", ack=4)
        s.end.gets()
        assert s.end.live().retransmissions == 0
        s.other.inbox.clear()
        s.mark()


def test_established_user_timeout_begins_anew_with_progress() -> None:
    with established(timeouts=f"{PATIENT}, user: 3s", tcp="sack: false") as s:
        for turn in range(4):
            s.other.sends("PA", data=3)
            s.settle()
            s.wait(2_500)
            s.end.sends("A", ack=4 + 3 * turn)
            s.settle()
        assert s.end.state == TcpState.ESTABLISHED
        s.end.inbox.clear()
        s.other.inbox.clear()
        s.mark()


def test_established_user_timeout_spares_a_peer_that_answers_probes() -> None:
    with established(timeouts=f"{PATIENT}, user: 3s", tcp="sack: false") as s:
        s.end.sends("A", window=0)
        s.other.sends("PA", data=3)
        s.settle()
        for _ in range(40):
            s.wait(1_000)
            if s.end.inbox:
                s.end.inbox.clear()
                s.end.sends("A", window=0)
                s.settle()
        assert s.end.state == TcpState.ESTABLISHED
        s.other.inbox.clear()
        s.mark()


def test_established_user_timeout_ends_a_closed_window_of_nobody() -> None:
    with established(timeouts=f"{PATIENT}, user: 3s", tcp="sack: false") as s:
        s.end.sends("A", window=0)
        s.other.sends("PA", data=3)
        s.settle()
        s.wait(20_000)
        assert s.end.state == TcpState.CLOSED
        assert s.lab.counters().user_timeouts == 1
        s.end.inbox.clear()
        s.other.inbox.clear()
        s.mark()


@pytest.mark.parametrize("seconds", [0, 1, 30])
def test_time_wait_of_the_vserver(seconds: int) -> None:
    with established() as s:
        s.lab.vserver_record(0).time_wait_us = seconds * SECOND
        s.other.sends("FA")
        s.other.gets("A 1 ack 2")
        s.end.gets("FA 1 ack 1")
        s.end.sends("FA")
        s.end.gets("A 2 ack 2")
        s.other.gets("FA 1 ack 2")
        if seconds:
            assert s.end.state == TcpState.TIME_WAIT
            s.wait(1000 * seconds - 10)
            assert s.end.state == TcpState.TIME_WAIT
        s.wait(20)
        assert s.end.state == TcpState.CLOSED
        s.other.inbox.clear()
        s.mark()


def test_time_wait_of_another_length_keeps_the_queue() -> None:
    with time_wait("client") as s:
        s.lab.vserver_record(0).time_wait_us = 60 * SECOND
        s.client.sends("FA", 1)  # begins it anew
        s.client.gets("A 2 ack 2")
        s.wait(20_000)
        assert s.client.state == TcpState.TIME_WAIT
        assert s.lab.engine().time_wait_first == s.lab.engine().time_wait_last != 0
        s.mark()
