"""LISTEN, SYN-SENT, SYN-RECEIVED (RFC 9293 §3.5, §3.10.7.2 to .4), options, and sequence numbers of the start."""

from __future__ import annotations

import itertools

import pytest

from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.lab.dry.engine import EngineLab
from tests.support.tcp_script import (
    PORT,
    SYN,
    SYN_ACK,
    VIP,
    WRAP,
    Script,
    established,
    open_client,
    syn_received,
    syn_sent,
)


def test_listen_syn() -> None:
    with Script() as s:
        s.client.opens()
        s.client.gets(SYN_ACK)
        assert s.client.state == TcpState.SYN_RECEIVED
        s.counted(connections_accepted=1)


def test_listen_syn_without_options() -> None:
    with Script() as s:
        s.client.sends("S")
        s.client.gets("SA 0 ack 1 win 65535 mss 1460")
        assert s.client.live().mss == 536
        s.counted(connections_accepted=1)


def test_listen_syn_with_data() -> None:
    with Script() as s:
        s.client.sends("S", data=b"early", mss=1460, scale=7)
        s.client.gets(SYN_ACK)
        s.counted(connections_accepted=1)


def test_listen_syn_and_fin() -> None:
    with Script() as s:
        s.client.sends("SF", mss=1460, scale=7)
        s.client.gets(SYN_ACK)
        s.counted(connections_accepted=1)


@pytest.mark.parametrize(
    ("flags", "answer"),
    [("A", "R 7"), ("SA", "R 7"), ("PA", "R 7"), ("FA", "R 7")],
)
def test_listen_no_connection(flags: str, answer: str) -> None:
    with Script() as s:
        s.client.engine_first = 0
        s.client.sends(flags, 0, ack=7)
        s.client.gets(answer)
        s.counted(drop_tcp_no_connection_packets=1, resets_sent=1)


@pytest.mark.parametrize("flags", ["F", ""])
def test_listen_neither_syn_nor_acknowledgment_is_dropped(flags: str) -> None:
    with Script() as s:
        s.client.engine_first = 0
        s.client.sends(flags, 0)
        s.client.gets()
        s.counted(drop_tcp_no_acknowledgment_packets=1)


@pytest.mark.parametrize("flags", ["R", "RA", "RSA"])
def test_listen_reset(flags: str) -> None:
    with Script() as s:
        s.client.sends(flags, 0, ack=7)
        s.client.gets()
        s.counted(drop_tcp_no_connection_packets=1)


def test_closed_port_syn() -> None:
    with Script() as s:
        s.client.engine = (VIP, 81)
        s.client.sends("S", 0, data=5)
        s.client.gets("RA 0 ack 6")
        s.counted(drop_tcp_no_connection_packets=1, resets_sent=1)


def test_syn_received_ack() -> None:
    with syn_received() as s:
        s.client.sends("A")
        s.client.gets()
        s.service.gets(SYN)
        assert (s.client.state, s.service.state) == (TcpState.ESTABLISHED, TcpState.SYN_SENT)
        s.counted(connections_opened=1)


def test_syn_received_data_and_fin_with_the_ack() -> None:
    with syn_received() as s:
        s.client.sends("PFA", data=3)
        s.client.gets("A 1 ack 5")
        s.service.gets(SYN)
        s.service.opens()
        s.service.gets("FPA 1+3 ack 1")
        assert (s.client.state, s.service.state) == (TcpState.CLOSE_WAIT, TcpState.FIN_WAIT_1)
        s.counted(connections_opened=1)


def test_syn_received_same_syn() -> None:
    with syn_received() as s:
        s.client.sends("S", 0, mss=1460, scale=7)
        s.client.gets(SYN_ACK)
        s.counted(drop_tcp_bad_sequence_packets=1, retransmitted_segments=1)


def test_syn_received_same_syn_does_not_put_off_the_end() -> None:
    with syn_received(tcp="syn_retries: 1") as s:
        for _ in range(2):
            s.wait(900)
            s.client.sends("S", 0, mss=1460, scale=7)
        s.wait(1300)
        s.client.gets(SYN_ACK, SYN_ACK, SYN_ACK)
        assert s.client.state == TcpState.CLOSED
        s.counted(
            drop_tcp_bad_sequence_packets=2,
            retransmission_timeouts=1,
            retransmitted_segments=3,
            connections_timed_out=1,
            connections_closed=1,
            connections_reset=1,
        )


def test_syn_received_other_syn_is_challenged() -> None:
    with syn_received() as s:
        s.client.sends("S", 99)
        s.client.gets("A 1 ack 1")
        s.counted(drop_tcp_unexpected_syn_packets=1, challenge_acks=1)


def test_syn_received_old_sequence() -> None:
    with syn_received() as s:
        s.client.sends("A", -9, data=2)
        s.client.gets("A 1 ack 1")
        s.counted(drop_tcp_bad_sequence_packets=1)


@pytest.mark.parametrize("ack", [0, 2, -5, 1 << 30])
def test_syn_received_bad_ack(ack: int) -> None:
    with syn_received() as s:
        s.client.sends("A", ack=ack)
        s.client.gets(f"R {ack}")
        assert s.client.state == TcpState.SYN_RECEIVED
        s.counted(drop_tcp_bad_acknowledgment_packets=1, resets_sent=1)


def test_syn_received_reset() -> None:
    with syn_received() as s:
        s.client.sends("R")
        s.client.gets()
        assert s.client.state == TcpState.CLOSED
        s.counted(connections_closed=1, connections_reset=1)


def test_syn_received_reset_of_another() -> None:
    with syn_received() as s:
        s.client.sends("R", 7)
        s.client.gets("A 1 ack 1")
        s.counted(drop_tcp_bad_reset_packets=1, challenge_acks=1)


def test_syn_received_no_ack_flag() -> None:
    with syn_received() as s:
        s.client.sends("P", data=3)
        s.client.gets()
        s.counted(drop_tcp_no_acknowledgment_packets=1)


def test_syn_received_silence() -> None:
    with syn_received(tcp="syn_retries: 3") as s:
        s.wait(20_000)
        s.client.gets(SYN_ACK, SYN_ACK, SYN_ACK)
        assert s.client.times == pytest.approx([1000, 3000, 7000], abs=4)
        assert s.client.state == TcpState.CLOSED
        s.counted(
            retransmission_timeouts=3,
            retransmitted_segments=3,
            connections_timed_out=1,
            connections_closed=1,
            connections_reset=1,
        )


def test_syn_sent_syn_ack() -> None:
    with syn_sent() as s:
        s.service.opens()
        s.service.gets("A 1 ack 1")
        assert s.service.state == TcpState.ESTABLISHED
        s.counted()


def test_syn_sent_syn_ack_with_data_of_the_client_waiting() -> None:
    with syn_sent() as s:
        s.client.sends("PA", data=9)
        s.service.opens()
        s.service.gets("PA 1+9 ack 1")
        s.client.gets()
        s.counted()


@pytest.mark.parametrize("flags", ["A", "SA", "FA"])
@pytest.mark.parametrize("ack", [0, 2, -9])
def test_syn_sent_bad_ack(flags: str, ack: int) -> None:
    with syn_sent() as s:
        s.service.sends(flags, 0, ack=ack)
        s.service.gets(f"R {ack}")
        assert s.service.state == TcpState.SYN_SENT
        s.counted(drop_tcp_bad_acknowledgment_packets=1, resets_sent=1)


def test_syn_sent_reset_with_bad_ack() -> None:
    with syn_sent() as s:
        s.service.sends("RA", 0, ack=2)
        s.service.gets()
        s.counted(drop_tcp_bad_acknowledgment_packets=1)


def test_syn_sent_reset_without_ack() -> None:
    with syn_sent() as s:
        s.service.sends("R", 0)
        s.service.gets()
        s.counted(drop_tcp_bad_reset_packets=1)


def test_syn_sent_ack_without_syn() -> None:
    with syn_sent() as s:
        s.service.sends("A", 1)
        s.service.gets()
        s.counted(drop_tcp_no_acknowledgment_packets=1)


def test_syn_sent_refused() -> None:
    with syn_sent() as s:
        s.service.sends("RA", 0)
        s.service.gets(SYN)  # once more, from another port
        s.service.sends("RA", 0)
        s.client.gets("RA 1 ack 1")
        s.counted(connections_opened=1, connections_refused=2, connections_closed=3, connections_reset=1, resets_sent=1)


def test_syn_sent_silence() -> None:
    with syn_sent(timeouts="connect: 60s", tcp="syn_retries: 2") as s:
        s.wait(20_000)
        s.service.gets(SYN, SYN, SYN, SYN, SYN)
        assert s.service.times == pytest.approx([1000, 3000, 7000, 8000, 10_000], abs=8)
        s.client.gets("RA 1 ack 1")
        assert s.client.times == pytest.approx([14_000], abs=10)
        s.counted(
            connections_opened=1,
            retransmission_timeouts=4,
            retransmitted_segments=4,
            connections_timed_out=2,
            connections_refused=2,
            connections_closed=3,
            connections_reset=1,
            resets_sent=1,
        )


def test_syn_sent_simultaneous_open() -> None:
    with syn_sent() as s:
        s.service.sends("S", mss=1000, scale=3)
        s.service.gets(SYN_ACK)
        assert s.service.state == TcpState.SYN_RECEIVED
        s.service.sends("SA", 0, ack=1)
        s.service.gets("A 1 ack 1")
        assert s.service.state == TcpState.ESTABLISHED
        assert s.service.live().mss == 1000
        s.counted(retransmitted_segments=1)


def test_syn_sent_simultaneous_open_plain_ack() -> None:
    with syn_sent() as s:
        s.service.sends("S", mss=1000, scale=3)
        s.service.gets(SYN_ACK)
        s.service.sends("A")
        s.service.gets()
        assert s.service.state == TcpState.ESTABLISHED
        s.counted(retransmitted_segments=1)


def test_syn_sent_unknown_neighbour_is_asked_for() -> None:
    with Script("service", learn=False) as s:
        s.client.opens()
        s.client.gets(SYN_ACK)
        s.client.sends("A")
        s.client.gets()
        s.service.gets()
        s.wait(20)
        s.answer_arp()
        s.wait(10)
        s.service.gets(SYN)
        s.counted(connections_accepted=1, connections_opened=1, drop_send_no_neighbour_packets=1)


def test_syn_sent_unknown_neighbour_costs_little() -> None:
    with Script("service", learn=False) as s:
        s.client.opens()
        s.client.gets(SYN_ACK)
        s.client.sends("A")
        s.client.gets()
        s.arp_answers = False
        work = 0
        for _ in range(1_000):
            s.lab.now += 1_024
            work += s.lab.breathe()
            s._collect()
        assert work < 150
        s.answer_arp()
        s.wait(100)
        s.service.gets(SYN)
        s.counted(connections_accepted=1, connections_opened=1, drop_send_no_neighbour_packets=1)


def test_syn_sent_unknown_neighbour_leaves_the_timer_alone() -> None:
    with Script("service", learn=False) as s:
        s.client.opens()
        s.client.gets(SYN_ACK)
        s.client.sends("A")
        s.client.gets()
        s.answer_arp()
        s.client.sends("PA", data=1)  # the work that finds the address is another than the timer's
        s.wait(900)
        s.service.gets(SYN)
        s.client.gets("A 1 ack 2")
        s.counted(connections_accepted=1, connections_opened=1, drop_send_no_neighbour_packets=1, delayed_acks=1)


@pytest.mark.parametrize(("offered", "used"), [(0, 536), (1, 64), (536, 536), (1400, 1400), (1460, 1460), (9000, 1460)])
def test_syn_segment_size(offered: int, used: int) -> None:
    with Script() as s:
        s.client.opens(mss=offered)
        s.client.gets(SYN_ACK)
        assert s.client.live().mss == used
        s.counted(connections_accepted=1)


@pytest.mark.parametrize(("offered", "used"), [(0, 0), (7, 7), (14, 14), (15, 14), (255, 14)])
def test_syn_window_scale(offered: int, used: int) -> None:
    with Script() as s:
        s.client.opens(scale=offered)
        s.client.gets(SYN_ACK)
        assert s.client.live().snd_scale == used
        s.counted(connections_accepted=1)


def test_syn_without_window_scale_scales_neither_way() -> None:
    with Script() as s:
        s.client.opens(scale=-1)
        s.client.gets("SA 0 ack 1 win 65535 mss 1460")
        s.client.show_windows = True
        s.client.sends("A", window=1000)
        s.service.gets(SYN)
        s.client.sends("FA")
        s.client.gets("A 1 ack 2 win 65534")
        assert s.client.live().snd_wnd == 65535
        s.counted(connections_accepted=1, connections_opened=1)


def test_syn_window_scale_of_both_sides() -> None:
    with established() as s:
        s.client.show_windows = True
        s.client.sends("A", window=3)
        s.client.sends("FA", window=5)
        s.client.gets("A 1 ack 2 win 131072")
        s.service.gets("FA 1 ack 1")
        assert s.client.live().snd_wnd == 5 << 7
        s.counted()


@pytest.mark.parametrize(
    "options", [b"\x02\x04\x05\xb4\x03\x03\x07\x00", b"\x01\x01\x01\x01", b"\xfe\x04\x00\x00", b"\x00\xff\xff\xff"]
)
def test_listen_syn_unknown_options(options: bytes) -> None:
    with Script() as s:
        s.inject(0, s.client.segment("S", 0, 0, options=options))
        s.settle()
        assert s.client.state == TcpState.SYN_RECEIVED
        s.client.inbox.clear()
        s.counted(connections_accepted=1)


@pytest.mark.parametrize(
    "options", [b"\x02\x00\x05\xb4", b"\x02\x01\x05\xb4", b"\x02\x09\x05\xb4", b"\x01\x01\x01\x02"]
)
def test_listen_syn_broken_options(options: bytes) -> None:
    with Script() as s:
        s.inject(0, s.client.segment("S", 0, 0, options=options))
        s.client.gets()
        s.counted(drop_tcp_bad_header_packets=1)


def test_lost_syn_makes_the_start_careful() -> None:
    with syn_sent() as s:
        s.wait(1100)
        s.service.gets(SYN)
        s.service.opens()
        s.service.gets("A 1 ack 1")
        tcb = s.service.live()
        assert (tcb.cwnd, tcb.rto) == (1460, 3_000_000)  # RFC 5681 §3.1, RFC 6298 §5.7
        s.counted(retransmission_timeouts=1, retransmitted_segments=1)


def test_first_round_trip_sets_the_timer() -> None:
    with Script(rtt_ms=400) as s:
        open_client(s)
        tcb = s.client.live()
        assert (tcb.srtt >> 3, tcb.rttvar >> 2, tcb.rto) == (400_000, 200_000, 1_200_000)  # RFC 6298 §2.2
        s.counted(connections_accepted=1, connections_opened=1)


def _first_number(lab_now: int, port: int, secret: int = 0) -> int:
    s = Script(wrap=False)
    s.lab.now = lab_now
    s.lab.arena.secret_1 += secret
    s.client.own = (s.client.own[0], port)
    s.client.opens()
    s.settle()
    return s.client.inbox[0][1].sequence


def test_initial_sequence_numbers_grow_with_time() -> None:
    start = 1_000_000_000
    first = _first_number(start, 40000)
    for us in (1, 400, 1 << 20, 1 << 33):  # RFC 6528 §3, with a faster clock
        assert (_first_number(start + us, 40000) - first) % WRAP == (us << 4) % WRAP


def test_initial_sequence_numbers_differ_by_flow_and_secret() -> None:
    start = 1_000_000_000
    numbers = [_first_number(start, port) for port in range(40000, 40008)] + [_first_number(start, 40000, 1)]
    gaps = sorted((b - a) % WRAP for a, b in itertools.pairwise(numbers))
    assert len(set(numbers)) == 9
    assert gaps[0] > 1 << 16


def test_lab_answers_on_the_vservers_port_only() -> None:
    with Script() as s:
        assert isinstance(s.lab, EngineLab)
        for port in (PORT - 1, PORT + 1):
            s.client.engine = (VIP, port)
            s.client.sends("S", 0)
            s.client.gets("RA 0 ack 1")
        s.counted(drop_tcp_no_connection_packets=2, resets_sent=2)
