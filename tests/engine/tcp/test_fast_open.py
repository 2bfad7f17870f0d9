"""Data with the SYN of a client that was here before (TCP Fast Open, RFC 7413)."""

from __future__ import annotations

import pytest

from ncore_ray.engine.tcp.state import TcpState
from tests.support.tcp_script import CLIENT, SYN, SYN_ACK, VIP, Script

OPEN = "fast_open: 2"


def again(s: Script, port: int, own: str = CLIENT) -> None:
    """Let the script's client go on from another port, as a fresh one."""
    s.client.own = (own, port)
    s.client.next = s.client.received = s.client.edge = 0
    s.client.said.clear()


def known(**options: object) -> Script:
    """A client has asked for a cookie, got it, and gone again."""
    script = Script("client", wrap=False, **{"tcp": OPEN, **options})  # type: ignore[arg-type]
    script.client.sends("S", mss=1460, scale=7, fast_open=b"")
    script.client.gets(f"{SYN_ACK} cookie")
    script.client.sends("R")
    script.client.gets()
    assert len(script.client.cookie) == 8
    again(script, 41000)
    script.mark()
    return script


def test_listen_request_is_told_a_cookie() -> None:
    with Script(tcp=OPEN, wrap=False) as s:
        s.client.sends("S", mss=1460, scale=7, fast_open=b"", data=3)
        s.client.gets(f"{SYN_ACK} cookie")
        assert s.client.state == TcpState.SYN_RECEIVED
        s.counted(connections_accepted=1, fast_open_cookies=1)


def test_listen_without_the_option_nothing_is_told() -> None:
    with Script(tcp=OPEN, wrap=False) as s:
        s.client.opens()
        s.client.gets(SYN_ACK)
        s.counted(connections_accepted=1)


def test_listen_off_says_nothing_of_cookies() -> None:
    with Script(wrap=False) as s:
        s.client.sends("S", mss=1460, scale=7, fast_open=b"12345678", data=3)
        s.client.gets(SYN_ACK)
        s.counted(connections_accepted=1)


def test_listen_data_with_the_cookie_go_to_the_service_at_once() -> None:
    with known() as s:
        s.client.sends("S", mss=1460, scale=7, fast_open=s.client.cookie, data=b"hello")
        s.client.gets(SYN_ACK.replace("ack 1", "ack 6"))
        s.service.gets(SYN)
        s.service.opens()
        s.service.gets("PA 1+5 ack 1")
        assert s.client.state == TcpState.SYN_RECEIVED
        assert s.lab.engine().fast_open_pending == 1
        s.service.sends("PA", data=4)
        s.client.gets()  # before the client has proven to be there, nothing goes out
        s.client.sends("A")
        s.client.gets("PA 1+4 ack 6")
        assert s.lab.engine().fast_open_pending == 0
        s.wait(45)
        s.service.gets("A 6 ack 5")
        s.counted(connections_accepted=1, connections_opened=1, fast_open_taken=1, delayed_acks=1)


def test_syn_received_same_syn_and_data_are_answered_once_more() -> None:
    with known() as s:
        for _ in range(2):
            s.client.sends("S", 0, mss=1460, scale=7, fast_open=s.client.cookie, data=b"hello")
            s.client.gets(SYN_ACK.replace("ack 1", "ack 6"))
        s.service.gets(SYN)
        s.counted(
            connections_accepted=1,
            connections_opened=1,
            fast_open_taken=1,
            drop_tcp_bad_sequence_packets=1,
            retransmitted_segments=1,
        )


def test_listen_wrong_cookie_gets_the_right_one() -> None:
    with known() as s:
        right = s.client.cookie
        s.client.sends("S", mss=1460, scale=7, fast_open=bytes(8), data=3)
        s.client.gets(f"{SYN_ACK} cookie")
        assert s.client.cookie == right
        s.client.sends("PA", 1, data=3)
        s.service.gets(SYN)
        s.wait(41)
        s.client.gets("A 1 ack 4")
        s.counted(
            connections_accepted=1, connections_opened=1, fast_open_cookies=1, fast_open_refused=1, delayed_acks=1
        )


def test_listen_cookie_of_another_address() -> None:
    with known() as s:
        again(s, 41000, "10.1.0.3")
        right = s.client.cookie
        s.client.sends("S", mss=1460, scale=7, fast_open=right, data=3)
        s.client.gets(f"{SYN_ACK} cookie")
        assert s.client.cookie != right
        s.counted(connections_accepted=1, fast_open_cookies=1, fast_open_refused=1)


@pytest.mark.parametrize(("hours", "is_good"), [(1, True), (60, False)])
def test_listen_cookie_of_long_ago(hours: int, is_good: bool) -> None:
    with known() as s:
        s.lab.now += hours * 3_600_000_000
        s.lab.learn(1, "10.2.0.2", s.service.mac)
        s.mark()
        s.client.sends("S", mss=1460, scale=7, fast_open=s.client.cookie, data=b"hello")
        if is_good:
            s.client.gets(SYN_ACK.replace("ack 1", "ack 6"))
            s.service.gets(SYN)
            s.counted(connections_accepted=1, connections_opened=1, fast_open_taken=1)
        else:
            s.client.gets(f"{SYN_ACK} cookie")
            s.counted(connections_accepted=1, fast_open_cookies=1, fast_open_refused=1)


def test_listen_more_than_may_wait_take_the_usual_way() -> None:
    with known() as s:
        for port in range(41000, 41003):
            again(s, port)
            s.client.sends("S", mss=1460, scale=7, fast_open=s.client.cookie, data=b"hello")
            s.client.gets(SYN_ACK.replace("ack 1", "ack 6") if port < 41002 else SYN_ACK)
        s.service.inbox.clear()
        s.strays.clear()
        assert s.lab.engine().fast_open_pending == 2
        s.counted(connections_accepted=3, connections_opened=2, fast_open_taken=2, fast_open_refused=1)


def test_syn_received_reset_frees_the_place() -> None:
    with known() as s:
        s.client.sends("S", mss=1460, scale=7, fast_open=s.client.cookie, data=b"hello")
        s.client.gets(SYN_ACK.replace("ack 1", "ack 6"))
        s.service.gets(SYN)
        s.client.sends("R", 6)
        s.client.gets()
        assert s.lab.engine().fast_open_pending == 0
        s.service.inbox.clear()
        s.mark()


def test_full_table_never_takes_the_place_of_the_client_that_room_is_made_for() -> None:
    with known(connections=16) as s:
        s.lab.engine().half_open_limit = 99
        s.client.sends("S", mss=1460, scale=7, fast_open=s.client.cookie, data=b"hello")
        s.client.gets(SYN_ACK.replace("ack 1", "ack 6"))
        s.service.gets(SYN)
        cookie = s.client.cookie
        for port in range(42000, 42013):
            again(s, port)
            s.client.opens()
            s.client.gets(SYN_ACK)
        again(s, 43000)  # the last free record; its service needs another one
        s.client.sends("S", mss=1460, scale=7, fast_open=cookie, data=b"hello")
        s.client.gets(SYN_ACK.replace("ack 1", "ack 6"))
        assert s.client.state == TcpState.SYN_RECEIVED
        for port, state in ((41000, TcpState.SYN_RECEIVED), (42000, TcpState.CLOSED), (42001, TcpState.SYN_RECEIVED)):
            s.client.own = (CLIENT, port)
            assert s.client.state == state
        s.service.gets(SYN)
        s.counted(
            connections_accepted=15,
            connections_opened=2,
            connections_closed=1,
            fast_open_taken=2,
            half_open_evicted=1,
        )


def test_listen_request_over_http_is_served() -> None:
    with known() as s:
        s.client.engine = (VIP, 80)
        s.service.own = ("10.2.0.2", 80)
        s.client.sends("S", mss=1460, scale=7, fast_open=s.client.cookie, data=b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        s.client.gets(SYN_ACK.replace("ack 1", "ack 28"))
        s.service.gets(SYN)
        s.counted(connections_accepted=1, connections_opened=1, fast_open_taken=1, http_requests=1)
