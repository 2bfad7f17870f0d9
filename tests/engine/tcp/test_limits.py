"""Full tables and an empty pool: the new is refused and counted, the old goes on."""

from __future__ import annotations

from ncore_ray.engine.tcp.state import TcpState
from tests.support.tcp_script import CLIENT, SYN, SYN_ACK, VIP, Script, established, open_pair, time_wait

OFF = "syn_cookies: off"


def another(s: Script, port: int) -> None:
    """Let the script's client go on from another port, as a fresh one."""
    s.client.own = (CLIENT, port)
    s.client.next = s.client.received = s.client.edge = 0


def test_half_open_limit() -> None:
    with Script(connections=16, tcp=OFF) as s:  # at least 16 half-open ones are allowed: the table is full first
        s.lab.engine().half_open_limit = 4
        for port in range(41000, 41006):
            another(s, port)
            s.client.opens()
            s.client.gets(*[SYN_ACK] * (port < 41004))
        assert s.lab.engine().half_open == 4
        s.counted(connections_accepted=4, drop_tcp_half_open_limit_packets=2)


def test_half_open_limit_spares_the_established() -> None:
    with established(tcp=OFF) as s:
        s.lab.engine().half_open_limit = 0
        s.end.sends("PA", data=3)
        s.other.gets("PA 1+3 ack 1")
        kept = (s.client.next, s.client.received)
        another(s, 41000)
        s.client.opens()
        s.client.gets()
        s.client.own = (CLIENT, 40000)
        s.client.next, s.client.received = kept
        s.counted(drop_tcp_half_open_limit_packets=1)


def test_full_table_keeps_the_old() -> None:
    with Script(connections=16, tcp=OFF) as s:
        s.lab.engine().half_open_limit = 99
        open_pair(s)
        kept = (s.client.next, s.client.received, s.client.edge, s.client.engine_first)
        s.mark()
        for port in range(41000, 41016):
            another(s, port)
            s.client.opens()
            s.client.gets(*[SYN_ACK] * (port < 41014))
        s.client.own = (CLIENT, 40000)
        s.client.next, s.client.received, s.client.edge, s.client.engine_first = kept
        s.client.sends("PA", data=3)
        s.service.gets("PA 1+3 ack 1")
        s.counted(connections_accepted=14, drop_tcp_table_full_packets=2)


def test_full_table_gives_the_place_of_the_oldest_handshake_to_the_service() -> None:
    with Script(connections=16) as s:
        s.lab.engine().half_open_limit = 99
        for port in range(41000, 41016):
            another(s, port)
            s.client.opens()
            s.client.gets(SYN_ACK)
        s.client.sends("A", 1, ack=1)
        s.service.gets(SYN)
        s.client.own = (CLIENT, 41000)
        assert s.client.state == TcpState.CLOSED
        s.counted(connections_accepted=16, half_open_evicted=1, connections_closed=1, connections_opened=1)


def test_full_table_has_no_place_for_the_service() -> None:
    with Script(connections=15) as s:
        s.lab.engine().half_open_limit = 99
        for port in range(41000, 41008):  # the last one finds one record, and none for its service
            another(s, port)
            s.client.opens()
            s.client.gets(SYN_ACK)
            s.client.sends("A", 1, ack=1)
            s.service.gets(*[SYN] * (port < 41007))
        s.client.gets("RA 1 ack 1")
        s.counted(
            connections_accepted=8, connections_opened=7, connections_closed=1, connections_reset=1, resets_sent=1
        )


def test_vserver_has_a_limit_of_handshakes() -> None:
    with Script(tcp=OFF) as s:
        s.lab.vserver_record(0).half_open_limit = 2
        for port in range(41000, 41003):
            another(s, port)
            s.client.opens()
            s.client.gets(*[SYN_ACK] * (port < 41002))
        assert (s.lab.vserver().half_open, s.lab.vserver().refused) == (2, 1)
        another(s, 41003)
        s.client.engine = (VIP, 80)  # another vServer has its own
        s.client.opens()
        s.client.gets(SYN_ACK)
        s.counted(connections_accepted=3, drop_tcp_half_open_limit_packets=1)


def test_vserver_has_a_limit_of_connections() -> None:
    with Script() as s:
        s.lab.vserver_record(0).connection_limit = 1
        for port in (41000, 41001):  # both SYNs come before the first handshake is over
            another(s, port)
            s.client.opens()
            s.client.gets(SYN_ACK)
        first, s.client.own = s.client.engine_first, (CLIENT, 41000)
        s.client.engine_first = s.client.live().iss
        s.client.sends("A", 1, ack=1)
        s.service.gets(SYN)
        s.client.own, s.client.engine_first = (CLIENT, 41001), first
        s.client.sends("A", 1, ack=1)
        s.client.gets()
        assert s.client.state == TcpState.SYN_RECEIVED  # until there is a place, or it gives up
        another(s, 41002)
        s.client.opens()
        s.client.gets()
        s.lab.vserver_record(0).connection_limit = 2
        s.client.own, s.client.engine_first = (CLIENT, 41001), first
        s.client.sends("PA", 1, ack=1, data=3)
        s.service.gets("S 0 win 65535 mss 1460 sackok scale 2")
        s.client.gets()
        s.wait(41)
        s.client.gets("A 1 ack 4")
        s.counted(connections_accepted=2, connections_opened=2, drop_tcp_connection_limit_packets=2, delayed_acks=1)


def test_limit_of_connections_holds_for_cookies() -> None:
    with established(wrap=False) as s:
        s.lab.vserver_record(0).connection_limit = 2
        s.lab.vserver_record(0).syn_cookies = 1
        another(s, 41000)
        s.client.opens()
        s.client.gets(SYN_ACK)
        s.lab.vserver_record(0).connection_limit = 1
        s.client.sends("A")
        s.client.gets()
        assert s.client.state == TcpState.CLOSED
        s.lab.vserver_record(0).connection_limit = 2
        s.client.sends("A")
        s.service.gets("S 0 win 65535 mss 1460 sackok scale 2")
        s.counted(
            syn_cookies_sent=1,
            syn_cookies_accepted=1,
            connections_accepted=1,
            connections_opened=1,
            drop_tcp_connection_limit_packets=1,
        )


def test_full_table_takes_the_oldest_in_time_wait() -> None:
    with time_wait("client", connections=16) as s:
        s.lab.engine().half_open_limit = 99
        for port in range(41000, 41016):
            another(s, port)
            s.client.opens()
            s.client.gets(SYN_ACK)
        s.client.own = (CLIENT, 40000)
        assert s.client.state == TcpState.CLOSED
        s.counted(connections_accepted=16, time_wait_recycled=1, connections_closed=1)


def _empty_the_pool(s: Script) -> int:
    """Reserve all frames, so that none is left for new data; return the usual reserve."""
    engine = s.lab.engine()
    usual, engine.frame_reserve = engine.frame_reserve, engine.frame_count + 1
    return usual


def _refill_the_pool(s: Script, usual: int) -> None:
    s.lab.engine().frame_reserve = usual


def test_empty_pool_refuses_data_and_takes_its_acknowledgment() -> None:
    with established() as s:
        s.other.sends("PA", data=5)
        s.end.gets("PA 1+5 ack 1")
        usual = _empty_the_pool(s)
        s.end.sends("PA", data=3)
        s.end.gets()
        s.other.gets()
        assert s.end.live().send_chain_length == 0
        _refill_the_pool(s, usual)
        s.end.sends("PA", 1, data=3)
        s.other.gets("PA 1+3 ack 6")
        s.counted(drop_tcp_no_memory_packets=1)


def test_empty_pool_refuses_early_data() -> None:
    with established() as s:
        usual = _empty_the_pool(s)
        s.end.sends("PA", 4, data=3)
        s.end.gets("A 1 ack 1")
        _refill_the_pool(s, usual)
        s.counted(drop_tcp_no_memory_packets=1)


def test_empty_pool_still_closes() -> None:
    with established() as s:
        usual = _empty_the_pool(s)
        s.end.sends("FA")
        s.end.gets("A 1 ack 2")
        s.other.gets("FA 1 ack 1")
        _refill_the_pool(s, usual)
        s.counted()


def test_slow_service_does_not_stall_another_client() -> None:
    with established(frames=128) as s:
        for _ in range(60):
            s.end.sends("A", data=1024)
            s.settle()
        s.end.inbox.clear()
        s.other.inbox.clear()
        kept = (s.client.next, s.client.received, s.client.edge, s.client.engine_first, s.service.engine)
        another(s, 41000)
        s.client.opens()
        s.client.gets(SYN_ACK)
        s.client.sends("A")
        s.client.gets()
        assert s.service.inbox
        s.service.inbox.clear()
        s.client.own = (CLIENT, 40000)
        s.client.next, s.client.received, s.client.edge, s.client.engine_first, s.service.engine = kept
        s.mark()


def test_early_data_leaves_a_quarter_of_the_pool_to_data_in_order() -> None:
    with established() as s:
        engine = s.lab.engine()
        free, engine.free_frame_count = engine.free_frame_count, engine.frame_count >> 2
        s.end.sends("PA", 4, data=3)
        s.end.gets("A 1 ack 1")
        assert s.end.live().out_of_order_count == 0
        s.end.sends("PA", 1, data=6)
        s.end.gets()
        s.other.gets("PA 1+6 ack 1")
        s.other.sends("A")
        s.other.gets()
        engine.free_frame_count += free - (engine.frame_count >> 2)
        s.wait(41)
        s.end.gets("A 1 ack 7")
        s.counted(drop_tcp_no_memory_packets=1, delayed_acks=1)


def test_early_data_gives_way_to_data_in_order() -> None:
    """Else pools that are full of early data would let nothing through for ever."""
    with established() as s:
        engine = s.lab.engine()
        s.end.sends("PA", 4, data=3)
        s.end.gets("A 1 ack 1")
        usual, engine.frame_reserve = engine.frame_reserve, engine.free_frame_count
        s.end.sends("PA", 1, data=3)
        s.other.gets("PA 1+3 ack 1")
        assert s.end.live().out_of_order_count == 0
        engine.frame_reserve = usual
        s.wait(41)
        s.end.gets("A 1 ack 4")
        s.end.sends("PA", 4, data=3)
        s.other.gets("PA 4+3 ack 1")
        s.wait(41)
        s.end.gets("A 1 ack 7")
        s.counted(out_of_order_segments=1, delayed_acks=2)
