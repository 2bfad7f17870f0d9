"""A spliced pair by script: what each end gets, and what the engine counts."""

from __future__ import annotations

import pytest

from ncore_ray.engine.tcp.state import TcpState
from tests.support.tcp_script import Script


def spliced(timeouts: str = "") -> Script:
    """Return a pair through whose handshake both ends have gone; counted from there."""
    script = Script(vserver="mode: splice", timeouts=timeouts)
    script.client.sends("S", 0, mss=1400, scale=0, window=50_000, sack=True, ts=(700, 0))
    script.service.gets("S 0 win 50000 mss 1400 sackok scale 0 echo 0")
    script.service.sends("SA", 0, ack=1, mss=1300, scale=0, window=40_000, sack=True, ts=(90_000, script.service.stamp))
    script.client.gets("SA 0 ack 1 win 40000 mss 1300 sackok scale 0 echo 700")
    script.client.sends("A", 1, ack=1, ts=(701, script.client.stamp))
    script.service.gets("A 1 ack 1 echo 90000")
    script.counted(connections_accepted=1, connections_opened=1, spliced_connections=1, spliced_segments=1)
    assert script.client.state == script.service.state == TcpState.SPLICED
    script.mark()
    return script


def test_both_ends_agree_on_what_both_have_said() -> None:
    with spliced() as s:
        s.counted()


def test_numbers_are_the_engines_own_at_both_sides() -> None:
    """So a port towards a service can be used again, whichever client comes (RFC 9293 §3.4.1)."""
    with spliced() as s:
        assert s.client.engine_first == s.client.live().iss
        assert s.service.engine_first == s.service.live().iss != s.client.first
        s.counted()


def test_data_and_acknowledgments_go_on_as_they_come() -> None:
    with spliced() as s:
        s.client.sends("PA", 1, ack=1, data=1288, ts=(710, s.client.stamp))
        s.service.gets("PA 1+1288 ack 1 echo 90000")
        s.service.sends("A", 1, ack=1289, ts=(90_500, s.service.stamp))
        s.client.gets("A 1 ack 1289 echo 710")
        s.wait(5_000)
        s.client.gets()
        s.counted(spliced_segments=2)


def test_what_comes_out_of_order_is_left_to_the_ends() -> None:
    with spliced() as s:
        s.client.sends("A", 1, ack=1, data=100)
        s.client.sends("A", 201, ack=1, data=100)
        s.service.gets("A 1+100 ack 1", "A 201+100 ack 1")
        s.service.sends("A", 1, ack=101, sack=[(201, 301)])
        s.client.gets("A 1 ack 101 sack 201-301")
        s.client.sends("A", 101, ack=1, data=100)
        s.service.gets("A 101+100 ack 1")
        assert s.lab.vserver().received_bytes == 300
        s.counted(spliced_segments=4)


def test_duplicates_are_told_through() -> None:
    with spliced() as s:
        for _ in range(2):
            s.service.sends("A", 1, ack=1, data=50)
        s.client.gets("A 1+50 ack 1", "A 1+50 ack 1")
        s.client.sends("A", 1, ack=51, sack=[(1, 51)])
        s.service.gets("A 1 ack 51 sack 1-51")
        assert (s.lab.vserver().sent_bytes, s.lab.service_stats().received_bytes) == (50, 50)
        s.counted(spliced_segments=3)


def test_marks_of_congestion_go_through() -> None:
    """ECN is a matter of the ends: their SYNs, the field of the IP header, and what they say of it (RFC 3168)."""
    with Script(vserver="mode: splice", ecn=True) as s:
        s.client.opens(scale=0)
        s.service.gets("SEC 0 win 65535 mss 1460 scale 0")
        s.service.opens(scale=0)
        s.client.gets("SAE 0 ack 1 win 65535 mss 1460 scale 0")
        s.client.sends("A", 1, data=10, mark=2)
        s.service.gets("A 1+10 ack 1 ecn 2")
        s.service.sends("AE", 1, ack=11, mark=3)
        s.client.gets("AE 1 ack 11 ecn 3")
        s.counted(connections_accepted=1, connections_opened=1, spliced_connections=1, spliced_segments=2)


def test_options_that_one_end_lacks_are_told_to_none() -> None:
    with Script(vserver="mode: splice") as s:
        s.client.sends("S", 0, mss=1460, scale=7, sack=True, ts=(5, 0))
        s.service.gets("S 0 win 65535 mss 1460 sackok scale 7 echo 0")
        s.service.sends("SA", 0, ack=1, mss=1200)
        s.client.scale = s.service.scale = 0
        s.client.gets("SA 0 ack 1 win 65535 mss 1200")
        s.client.sends("A", 1)
        s.service.gets("A 1 ack 1")
        s.counted(connections_accepted=1, connections_opened=1, spliced_connections=1, spliced_segments=1)


def test_segment_sizes_are_limited_on_both_ways() -> None:
    with Script(vserver="mode: splice") as s:
        s.lab.vserver_record(0).mss = 1_000
        s.client.sends("S", 0, mss=1460, scale=0)
        s.service.gets("S 0 win 65535 mss 1000 scale 0")
        s.lab.service(0).mss = 900
        s.service.sends("SA", 0, ack=1, mss=1460, scale=0)
        s.client.gets("SA 0 ack 1 win 65535 mss 900 scale 0")
        s.counted(connections_accepted=1, connections_opened=1)


@pytest.mark.parametrize("first", ["client", "service"])
def test_half_closes_and_what_stands_for_time_wait(first: str) -> None:
    with spliced(timeouts="time_wait: 4s") as s:
        one, other = (s.client, s.service) if first == "client" else (s.service, s.client)
        one.sends("FA", 1, ack=1)
        other.gets("FA 1 ack 1")
        other.sends("A", 1, ack=2, data=20)
        one.gets("A 1+20 ack 2")
        other.sends("FA", 21, ack=2)
        one.gets("FA 21 ack 2")
        assert s.client.state == TcpState.SPLICED
        one.sends("A", 2, ack=22)
        other.gets("A 2 ack 22")
        assert s.client.state == s.service.state == TcpState.SPLICE_ENDED
        s.wait(2_000)
        other.sends("FA", 21, ack=2)
        one.gets("FA 21 ack 2")
        s.wait(2_010)
        assert s.client.state == s.service.state == TcpState.CLOSED
        s.counted(spliced_segments=5, connections_closed=2)


def test_new_connection_takes_the_place_of_one_that_has_ended() -> None:
    with spliced() as s:
        s.client.sends("FA", 1, ack=1)
        s.service.gets("FA 1 ack 1")
        s.service.sends("FA", 1, ack=2)
        s.client.gets("FA 1 ack 2")
        s.client.sends("A", 2, ack=2)
        s.service.gets("A 2 ack 2")
        previous = s.service.engine[1]
        s.client.first = (s.client.first + 100_000) % (1 << 32)
        s.client.next = s.client.received = 0
        s.client.sends("S", 0, mss=1400, scale=0)
        s.settle()
        (_, syn), s.service.inbox = s.service.inbox[0], []
        assert syn.source[1] != previous
        assert s.client.state == TcpState.SPLICE_OPENING
        s.counted(spliced_segments=3, connections_accepted=1, connections_opened=1, connections_closed=1)


@pytest.mark.parametrize("first", ["client", "service"])
def test_sure_reset_ends_the_pair(first: str) -> None:
    with spliced() as s:
        one, other = (s.client, s.service) if first == "client" else (s.service, s.client)
        one.sends("RA", 1, ack=1)
        other.gets("RA 1 ack 1")
        assert s.client.state == s.service.state == TcpState.CLOSED
        s.counted(spliced_segments=1, connections_reset=1, connections_closed=2)


def test_reset_behind_data_in_flight_ends_the_pair_when_nobody_says_more() -> None:
    with spliced() as s:
        s.client.sends("A", 1, ack=1, data=100)
        s.service.gets("A 1+100 ack 1")
        s.client.sends("RA", 101, ack=1)
        s.service.gets("RA 101 ack 1")
        assert s.client.state == TcpState.SPLICED
        s.wait(3_100)
        assert s.client.state == s.service.state == TcpState.CLOSED
        s.counted(spliced_segments=2, connections_reset=1, connections_closed=2)


def test_forged_reset_in_the_window_ends_nothing() -> None:
    """The service challenges it (RFC 5961 §3.2), which is passed on, and the pair lives."""
    with spliced() as s:
        s.client.sends("R", 5_000)
        s.service.gets("R 5000")
        s.service.sends("A", 1, ack=1)
        s.client.gets("A 1 ack 1")
        s.wait(10_000)
        s.client.sends("A", 1, ack=1, data=10)
        s.service.gets("A 1+10 ack 1")
        assert s.client.state == TcpState.SPLICED
        s.counted(spliced_segments=3)


@pytest.mark.parametrize("sequence", [0, 40_002, 1 << 31])
def test_forged_reset_outside_the_window_goes_nowhere(sequence: int) -> None:
    with spliced() as s:
        s.client.sends("R", sequence)
        s.service.gets()
        s.counted(drop_tcp_bad_reset_packets=1)


def test_forged_data_go_nowhere() -> None:
    with spliced() as s:
        s.client.sends("A", 40_002, ack=1, data=b"x")
        s.client.sends("A", 1 << 31, ack=1, data=b"x")
        s.client.sends("A", 1, ack=2, data=b"x")
        s.client.sends("A", 1, ack=-200_000, data=b"x")
        s.client.sends("P", 1, data=b"x")
        s.service.gets()
        s.counted(
            drop_tcp_out_of_window_packets=2,
            drop_tcp_bad_acknowledgment_packets=1,
            drop_tcp_old_acknowledgment_packets=1,
            drop_tcp_no_acknowledgment_packets=1,
        )


def test_probe_of_a_closed_window_goes_through() -> None:
    with spliced() as s:
        s.service.edge = 0
        s.service.sends("A", 1, ack=1, window=0)
        s.client.edge = -70_000
        s.client.gets("A 1 ack 1")
        s.client.sends("A", 0, ack=1, data=b"x")
        s.service.received = 1
        s.settle()
        assert [segment.payload for _, segment in s.service.inbox] == [b"x"]
        s.service.inbox.clear()
        s.counted(spliced_segments=2)


def test_syn_within_a_connection_is_challenged() -> None:
    """RFC 5961 §4.2: the client of a host that has begun anew says by a reset that the old connection is gone."""
    with spliced() as s:
        s.client.sends("S", 9_999, mss=1400, scale=0)
        s.client.gets("A 1 ack 1")
        s.client.sends("R", 1)
        s.service.gets("R 1")
        assert s.client.state == TcpState.CLOSED
        s.counted(
            drop_tcp_unexpected_syn_packets=1,
            challenge_acks=1,
            spliced_segments=1,
            connections_reset=1,
            connections_closed=2,
        )


def test_syn_is_said_again_until_the_service_answers() -> None:
    with Script(vserver="mode: splice", timeouts="connect: 10s") as s:
        s.client.sends("S", 0, mss=1460, scale=0)
        s.service.gets("S 0 win 65535 mss 1460 scale 0")
        s.wait(900)
        s.client.sends("S", 0, mss=1460, scale=0)
        s.service.gets()
        s.wait(110)
        s.service.gets("S 0 win 65535 mss 1460 scale 0")
        s.wait(2_010)
        s.service.gets("S 0 win 65535 mss 1460 scale 0")
        s.service.sends("SA", 0, ack=1, mss=1460, scale=0)
        s.client.gets("SA 0 ack 1 win 65535 mss 1460 scale 0")
        s.client.sends("S", 0, mss=1460, scale=0)
        s.client.gets("SA 0 ack 1 win 65535 mss 1460 scale 0")
        s.service.sends("SA", 0, ack=1, mss=1460, scale=0)
        s.client.gets("SA 0 ack 1 win 65535 mss 1460 scale 0")
        s.counted(connections_accepted=1, connections_opened=1)


def test_lost_acknowledgment_of_the_answer_comes_again() -> None:
    """The service answers once more, and the client acknowledges once more."""
    with spliced() as s:
        s.service.sends("SA", 0, ack=1, mss=1300, scale=0, window=40_000, sack=True, ts=(90_001, s.service.stamp))
        s.client.gets("SA 0 ack 1 win 40000 mss 1300 sackok scale 0 echo 700")
        s.client.sends("A", 1, ack=1)
        s.service.gets("A 1 ack 1")
        s.counted(spliced_segments=1)


def test_client_that_never_acknowledges_the_answer() -> None:
    with Script(vserver="mode: splice") as s:
        s.client.opens(scale=0)
        s.service.gets("S 0 win 65535 mss 1460 scale 0")
        s.service.opens(scale=0)
        s.client.gets("SA 0 ack 1 win 65535 mss 1460 scale 0")
        s.wait(30_100)
        s.client.gets("RA 1 ack 1")
        s.service.gets("RA 1 ack 1")
        s.counted(
            connections_accepted=1,
            connections_opened=1,
            connections_timed_out=1,
            connections_reset=2,
            connections_closed=2,
            resets_sent=2,
        )


def test_idle_pair_ends() -> None:
    with spliced(timeouts="client_idle: 5s") as s:
        for _ in range(3):
            s.wait(4_000)
            s.service.sends("A", 0, ack=1)  # a keep-alive of the service
            s.client.gets("A 0 ack 1")
            s.client.sends("A", 1, ack=1)
            s.service.gets("A 1 ack 1")
        s.wait(5_100)
        s.client.gets("RA 1 ack 1")
        s.service.gets("RA 1 ack 1")
        s.counted(spliced_segments=6, connections_timed_out=1, connections_reset=2, connections_closed=2, resets_sent=2)


def test_unknown_way_to_the_service_is_looked_for() -> None:
    with Script(vserver="mode: splice", learn=False) as s:
        s.client.sends("S", 0, mss=1460, scale=0)
        s.settle()
        s.answer_arp()
        s.wait(10)
        s.service.gets("S 0 win 65535 mss 1460 scale 0")
        s.counted(connections_accepted=1, connections_opened=1)


def test_who_still_knows_a_former_connection_is_reset() -> None:
    """RFC 9293 §3.5.1, figure 9: a service that keeps an old connection answers with what it knows of it."""
    with Script(vserver="mode: splice") as s:
        s.client.sends("S", 0, mss=1460, scale=0)
        s.service.gets("S 0 win 65535 mss 1460 scale 0")
        s.service.sends("A", 77, ack=5)
        s.service.gets("R 5")
        s.counted(connections_accepted=1, connections_opened=1, drop_tcp_bad_acknowledgment_packets=1, resets_sent=1)
