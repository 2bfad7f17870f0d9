"""SYNs answered without memory of them (RFC 4987 §3.6), and what the acknowledgment brings back."""

from __future__ import annotations

import pytest

from ncore_ray.engine.handshake.cookie import scale_of_class, size_of_class
from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.machine.jit import entry_kernel
from tests.support.tcp_script import CLIENT, SYN, WRAP, Script, time_wait

ALWAYS = "syn_cookies: always"
SIZES = [64, 536, 1220, 1360, 1400, 1440, 1452, 1460]
SCALES = [-1, 0, 2, 4, 6, 7, 8, 10]
"""What the classes of cookies stand for."""
SYN_ACK = "SA 0 ack 1 win 65535 mss 1460 scale 2"


def greeted(**options: object) -> Script:
    """The engine has answered a client's SYN with a cookie."""
    script = Script("client", wrap=False, **{"tcp": ALWAYS, **options})  # type: ignore[arg-type]
    script.client.opens()
    script.client.gets(SYN_ACK)
    script.counted(syn_cookies_sent=1)
    script.mark()
    return script


def test_listen_syn_takes_no_connection() -> None:
    with greeted() as s:
        assert s.client.state == TcpState.CLOSED
        assert s.lab.engine().live_connections == 0
        assert (s.lab.vserver().connections, s.lab.vserver().cookies) == (0, 1)


def test_cookie_ack_opens() -> None:
    with greeted() as s:
        s.client.sends("A")
        s.client.gets()
        s.service.gets(SYN)
        assert s.client.state == TcpState.ESTABLISHED
        assert (s.client.live().mss, s.client.live().snd_scale, s.client.live().rcv_scale) == (1460, 7, 2)
        s.counted(syn_cookies_accepted=1, connections_accepted=1, connections_opened=1)


def test_cookie_data_comes_before_the_ack() -> None:
    """The acknowledgment was lost: the first data bring the cookie back as well."""
    with greeted() as s:
        s.client.sends("PA", data=5)
        s.service.gets(SYN)
        s.service.opens()
        s.service.gets("PA 1+5 ack 1")
        s.wait(41)
        s.client.gets("A 1 ack 6")
        s.counted(syn_cookies_accepted=1, connections_accepted=1, connections_opened=1, delayed_acks=1)


def test_cookie_pair_exchanges_data() -> None:
    with Script("client", wrap=False, tcp=ALWAYS) as s:
        s.client.opens()
        s.client.gets(SYN_ACK)
        s.client.sends("PA", data=3)
        s.service.gets(SYN)
        s.service.opens()
        s.service.gets("PA 1+3 ack 1")
        s.service.sends("PFA", data=4)
        s.service.gets("A 4 ack 6")
        s.client.gets("FPA 1+4 ack 4")
        s.counted(syn_cookies_sent=1, syn_cookies_accepted=1, connections_accepted=1, connections_opened=1)


@pytest.mark.parametrize("change", [-1, 1, 256, 1 << 16, 1 << 31])
def test_cookie_that_was_never_sent(change: int) -> None:
    with greeted() as s:
        s.client.sends("A", ack=1 + change)
        s.client.gets(f"R {(1 + change + WRAP // 2) % WRAP - WRAP // 2}")
        assert s.client.state == TcpState.CLOSED
        s.counted(drop_tcp_no_connection_packets=1, resets_sent=1, syn_cookies_refused=1)


def test_cookie_of_another_port() -> None:
    with greeted() as s:
        s.client.own = (CLIENT, 40001)
        s.client.sends("A")
        s.client.gets("R 1")
        s.counted(drop_tcp_no_connection_packets=1, resets_sent=1, syn_cookies_refused=1)


def test_cookie_of_another_sequence() -> None:
    with greeted() as s:
        s.client.sends("A", 2)
        s.client.gets("R 1")
        s.counted(drop_tcp_no_connection_packets=1, resets_sent=1, syn_cookies_refused=1)


@pytest.mark.parametrize(("seconds", "is_good"), [(1, True), (25, True), (75, False), (135, False), (3600, False)])
def test_cookie_age(seconds: int, is_good: bool) -> None:
    with greeted() as s:
        s.lab.now += seconds * 1_000_000
        s.lab.engine().cookies_until = s.lab.now  # another client came lately
        s.client.sends("A")
        if is_good:
            s.service.gets(SYN)
            s.counted(syn_cookies_accepted=1, connections_accepted=1, connections_opened=1)
        else:
            s.client.gets("R 1")
            s.counted(drop_tcp_no_connection_packets=1, resets_sent=1, syn_cookies_refused=1)


def test_cookie_is_not_looked_at_when_none_was_sent() -> None:
    with greeted() as s:
        s.lab.now += 140_000_000
        s.client.sends("A")
        s.client.gets("R 1")
        s.counted(drop_tcp_no_connection_packets=1, resets_sent=1)


def test_cookie_reset_and_syn_do_nothing() -> None:
    with greeted() as s:
        s.client.sends("R", 1)
        s.client.gets()
        s.client.sends("SA", 0)
        s.client.gets("R 1")
        s.counted(drop_tcp_no_connection_packets=2, resets_sent=1)


@pytest.mark.parametrize("scale", range(-1, 15))
@pytest.mark.parametrize("mss", [64, 300, 536, 1459, 1460, 9000])
def test_cookie_keeps_options_without_timestamps(mss: int, scale: int) -> None:
    """Never more than what was offered: of what lies between two classes the lower one."""
    with Script("client", wrap=False, tcp=ALWAYS) as s:
        s.client.sends("S", mss=mss, scale=scale, sack=True)
        s.client.gets("SA 0 ack 1 win 65535 mss 1460 sackok" + (" scale 2" if scale >= 0 else ""))
        s.client.sends("A")
        s.service.gets(SYN)
        tcb = s.client.live()
        assert tcb.mss == max(size for size in SIZES if size <= mss)
        assert tcb.snd_scale == max(shift for shift in SCALES if shift <= scale)
        assert tcb.sack_permitted
        assert tcb.rcv_scale == (2 if scale >= 0 else 0)
        s.counted(syn_cookies_sent=1, syn_cookies_accepted=1, connections_accepted=1, connections_opened=1)


@pytest.mark.parametrize("sack", [False, True])
@pytest.mark.parametrize("scale", [-1, 0, 3, 9, 14])
def test_cookie_keeps_options_in_the_timestamp(scale: int, sack: bool) -> None:
    with Script("client", wrap=False, tcp=f"{ALWAYS}, timestamps: true") as s:
        s.client.sends("S", mss=1400, scale=scale, sack=sack, ts=(7, 0))
        options = (" sackok" if sack else "") + (" scale 2" if scale >= 0 else "")
        s.client.gets(f"SA 0 ack 1 win 65535 mss 1460{options} echo 7")
        first = s.client.stamp
        s.lab.now += 1_000
        s.client.sends("PA", data=2, ts=(8, first))
        s.service.gets(f"{SYN} echo 0")
        tcb = s.client.live()
        assert (tcb.mss, tcb.snd_scale, tcb.sack_permitted, tcb.timestamps) == (1388, scale, sack, 1)
        s.wait(41)
        s.client.gets("A 1 ack 3 echo 8")
        assert 0 < (s.client.stamp - first) % WRAP < 128, "timestamps go back"
        s.counted(
            syn_cookies_sent=1, syn_cookies_accepted=1, connections_accepted=1, connections_opened=1, delayed_acks=1
        )


def test_cookies_come_with_too_many_handshakes() -> None:
    with Script(wrap=False, tcp="syn_cookies: auto") as s:
        s.lab.engine().half_open_limit = 1
        s.client.own = (CLIENT, 41000)
        s.client.opens()
        s.client.gets(SYN_ACK)
        s.client.own = (CLIENT, 41001)
        s.client.next = s.client.received = s.client.edge = 0
        s.client.opens()
        s.client.gets(SYN_ACK)
        assert (s.lab.engine().half_open, s.lab.engine().live_connections) == (1, 1)
        s.client.sends("A")
        s.service.gets(SYN)
        assert s.client.state == TcpState.ESTABLISHED
        s.counted(connections_accepted=2, syn_cookies_sent=1, syn_cookies_accepted=1, connections_opened=1)


def test_time_wait_gets_a_record_and_no_cookie() -> None:
    """A cookie might be a number that the former connection has used."""
    with time_wait("client") as s:
        s.lab.vserver_record(0).syn_cookies = 1
        last = s.client.live().snd_max
        s.client.first = (s.client.first + 1000) % WRAP
        s.client.next = s.client.received = s.client.edge = 0
        s.client.opens()
        s.client.gets(SYN_ACK)
        assert s.client.state == TcpState.SYN_RECEIVED
        assert 0 < (s.client.live().iss - last) % WRAP < WRAP // 2
        s.counted(connections_accepted=1, connections_closed=1)


def test_full_table_of_handshakes_gives_one_up_for_a_cookie() -> None:
    with Script(connections=16, wrap=False) as s:
        s.lab.engine().half_open_limit = 99
        for port in range(41000, 41017):
            s.client.own = (CLIENT, port)
            s.client.next = s.client.received = s.client.edge = 0
            s.client.opens()
            s.client.gets(SYN_ACK)
        s.client.sends("A")  # and the connection to the service takes the second place
        s.service.gets(SYN)
        s.counted(
            connections_accepted=17,
            syn_cookies_sent=1,
            syn_cookies_accepted=1,
            half_open_evicted=2,
            connections_closed=2,
            connections_opened=1,
        )
        s.client.own = (CLIENT, 41000)
        assert s.client.state == TcpState.CLOSED
        s.client.own = (CLIENT, 41002)
        assert s.client.state == TcpState.SYN_RECEIVED


@entry_kernel
def class_of(number: int) -> int:
    return size_of_class(number) << 8 | (scale_of_class(number) + 1)


def test_classes() -> None:
    classes = [class_of(number) for number in range(8)]
    assert [one >> 8 for one in classes] == SIZES
    assert [(one & 0xFF) - 1 for one in classes] == SCALES
