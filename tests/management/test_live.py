"""Changes of a running data plane: no flow is lost, and all engines work by the new configuration or none does."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import numpy as np
import pytest

from ncore_ray.arena.core import Core
from ncore_ray.blueprint import tables
from ncore_ray.blueprint.rows import TableFullError, effective
from ncore_ray.config.apply import apply
from ncore_ray.config.language import parse_command
from ncore_ray.machine.record import size_of, table, view
from ncore_ray.management.counters import health_of_all
from ncore_ray.management.live import LiveError
from ncore_ray.tables.own_address import AddressKind, OwnAddress, given_up_addresses
from ncore_ray.tables.service import Health, MonitorKind
from tests.engine.http.http_talk import GET, OK, exchange, passed_request, passed_response
from tests.management.live_lab import LiveLab, changing
from tests.support.http_lab import SECOND
from tests.support.tcp_peer import Peer


def ask(lab: LiveLab, client: Peer) -> int:
    """Let a client send a request and have it answered; return which server got it."""
    client.send(GET)
    lab.settle()
    for number, host in enumerate(lab.servers):
        for peer in host.peers.values():
            if peer.received:
                assert peer.read() == passed_request(GET)
                peer.send(OK)
                client.expect(passed_response(OK))
                return number
    raise AssertionError("no server was asked")


def test_weights_change_under_a_connection() -> None:
    with changing(services=2) as lab:
        client = lab.client().connect()
        assert [ask(lab, client) for _ in range(4)] == [0, 1, 0, 1]
        lab.change("set service s1 weight=3")
        assert sorted(ask(lab, client) for _ in range(8)) == [0, 0, 1, 1, 1, 1, 1, 1]


def test_method_and_timeouts() -> None:
    with changing(services=2) as lab:
        lab.change("set vserver v method=leastconnection timeouts.header=2s", "set timeouts client_idle=9s")
        record = lab.vserver_record(0)
        assert (record.method, record.header_us, record.client_idle_us) == (1, 2 * SECOND, 9 * SECOND)
        client = lab.client().connect()
        client.send(GET[:5])
        lab.wait(3 * SECOND)
        assert client.take().startswith(b"HTTP/1.1 408 ")


def test_settings_of_engines() -> None:
    with changing(engines=2) as lab:
        lab.change("set timeouts keepalive=7s", "set tcp retries=3 sack=false", "set limits idle_server_connections=5")
        for engine in lab.engine_indexes:
            header = lab.engine(engine)
            assert (header.keepalive_us, header.retries, header.sack, header.idle_limit) == (7 * SECOND, 3, 0, 5)


def test_what_handshakes_go_by() -> None:
    with changing() as lab:
        lab.change(
            "set vserver v tcp.half_open=3 tcp.connections=4 tcp.mss=1200 tcp.send_buffer=64KiB timeouts.time_wait=1s",
            "set tcp syn_cookies=always challenge_acks=7 fast_open=9",
            "set timeouts user=30s",
            "set service s0 mss=1300",
        )
        record = lab.vserver_record(0)
        assert (record.half_open_limit, record.connection_limit, record.mss, record.send_limit) == (3, 4, 1200, 65536)
        assert (record.syn_cookies, record.time_wait_us, record.user_us) == (1, SECOND, 30 * SECOND)
        assert lab.service(0).mss == 1300
        assert (lab.engine().challenge_limit, lab.engine().fast_open_limit, lab.engine().user_us) == (7, 9, 30 * SECOND)
        client = lab.client().connect()
        assert [ask(lab, client) for _ in range(2)] == [0, 0]
        assert lab.counters().syn_cookies_accepted == 1
        lab.change("unset vserver v tcp.connections", "set tcp fast_open=off")
        assert (lab.vserver_record(0).connection_limit, lab.engine().fast_open_limit) == (0, 0)


def test_a_service_comes_in() -> None:
    with changing() as lab:
        client = lab.client().connect()
        assert [ask(lab, client) for _ in range(2)] == [0, 0]
        lab.new_server("10.2.0.9")
        lab.change("add service s9 address=10.2.0.9:80 monitor=none", "bind v s9")
        assert sorted(ask(lab, client) for _ in range(4)) == [0, 0, 1, 1]


def test_a_service_goes_while_it_works() -> None:
    with changing(services=2) as lab:
        client = lab.client().connect()
        client.send(GET)
        server = lab.servers[0].accept()
        server.expect(passed_request(GET)).send(OK[:-1])
        lab.settle()
        lab.change("unbind v s0", "rm service s0")
        assert lab.services() == ["s0*", "s1"]
        server.send(OK[-1:])
        client.expect(passed_response(OK))
        assert [ask(lab, client) for _ in range(3)] == [1, 1, 1]
        assert not lab.tables.has_drained()  # its connection waits in the pool
        lab.wait(40 * SECOND)
        assert lab.tables.has_drained()
        assert lab.look() is not None
        assert lab.services() == ["s1"]


def test_a_vserver_goes_and_its_clients_finish() -> None:
    with changing(protocol="TCP") as lab:
        client = lab.client().connect()
        server = lab.servers[0].accept()
        lab.change("rm vserver v", "rm service s0")
        assert (lab.vservers(), lab.services()) == (["v*"], ["s0*"])
        late = lab.client()
        late.connect()
        late.expect_reset()
        client.send(b"ping")
        server.expect(b"ping").send(b"pong")
        client.expect(b"pong").close()
        server.expect_eof().close()
        lab.wait(10 * SECOND)
        assert lab.look() is not None
        assert (lab.vservers(), lab.services()) == ([], [])


def test_an_http_client_of_a_vserver_that_goes_is_told_so() -> None:
    with changing() as lab:
        client = lab.client().connect()
        assert ask(lab, client) == 0
        lab.change("rm vserver v", "rm service s0")
        client.send(GET)
        server = next(iter(lab.servers[0].peers.values()))
        server.expect(passed_request(GET)).send(OK)
        client.expect(passed_response(OK, b"Connection: close\r\n")).expect_eof()


def test_another_protocol_is_another_vserver_at_the_same_address() -> None:
    with changing() as lab:
        client = lab.client().connect()
        assert ask(lab, client) == 0
        lab.change("set vserver v protocol=TCP")
        assert lab.vservers() == ["v*", "v"]
        stream = lab.client().connect()
        stream.send(b"no HTTP")
        lab.settle()
        assert sorted(peer.read() for peer in lab.servers[0].peers.values() if peer.received) == [b"no HTTP"]
        client.send(GET)
        lab.settle()
        server = next(peer for peer in lab.servers[0].peers.values() if peer.received)
        server.expect(passed_request(GET)).send(OK)
        client.expect(passed_response(OK, b"Connection: close\r\n")).expect_eof()


def test_requests_that_engines_share_go_on_through_changes() -> None:
    with changing(services=2, engines=2, unit="transaction") as lab:
        client = lab.client().connect()
        assert sorted(ask(lab, client) for _ in range(4)) == [0, 0, 1, 1]
        lab.change("set service s1 weight=3", "set vserver v timeouts.header=5s")
        assert lab.of_engine(1) == effective(lab.wanted)
        assert {ask(lab, client) for _ in range(8)} == {0, 1}
        lab.change("unbind v s0", "rm service s0")
        assert {ask(lab, client) for _ in range(3)} == {1}
        lab.change("rm vserver v", "rm service s1")
        client.send(GET)
        lab.settle()
        server = next(peer for peer in lab.servers[1].peers.values() if peer.received)
        server.expect(passed_request(GET)).send(OK)
        lab.settle()
        assert client.take().startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_udp_session_outlives_its_vserver() -> None:
    with changing(protocol="UDP") as lab:
        lab.client_host.send_datagram(5000, ("10.1.0.100", 80), b"one")
        lab.settle()
        lab.change("rm vserver v", "rm service s0")
        lab.client_host.send_datagram(5000, ("10.1.0.100", 80), b"two")
        lab.client_host.send_datagram(5001, ("10.1.0.100", 80), b"new")
        lab.settle()
        assert [datagram[3] for datagram in lab.servers[0].datagrams] == [b"one", b"two"]
        assert lab.counters().drop_udp_no_vserver_packets == 1
        lab.wait(40 * SECOND)
        assert lab.look() is not None
        assert (lab.vservers(), lab.services()) == ([], [])


def test_an_address_that_was_given_up_stays_so_until_it_comes_anew() -> None:
    with changing() as lab:
        rows = table(OwnAddress, lab.array, lab.arena.addresses + lab.arena.bank, lab.arena.address_count)
        place = int(np.flatnonzero(rows["kind"] == AddressKind.VIP)[0])
        rows["given_up"][place], rows["other_mac"][place] = 1, 0x0200_0000_0099  # as an engine does
        lost = {ip_address("10.1.0.100"): 0x0200_0000_0099}
        assert lab.look() is None  # nobody else has changed anything
        for command in ("set service s0 weight=3", "set tcp retries=7"):
            lab.change(command)
            assert given_up_addresses(lab.array) == lost
        assert health_of_all(lab.array)["address 10.1.0.100"] == "given up: the host 02:00:00:00:00:99 has it, too"
        lab.change("rm vserver v")
        lab.look()
        lab.change("add vserver v address=10.1.0.100:80 protocol=HTTP services=s0")
        assert given_up_addresses(lab.array) == {}
        assert ask(lab, lab.client().connect()) == 0


def test_a_vserver_comes_on_a_new_address() -> None:
    with changing() as lab:
        lab.change("add vserver w address=10.1.0.101:81 protocol=HTTP services=s0")
        client = lab.client_of("10.1.0.101", 81).connect()
        assert ask(lab, client) == 0
        assert lab.vserver(1).requests == 1


def test_a_row_that_is_given_again_counts_from_zero() -> None:
    with changing() as lab:
        ask(lab, lab.client().connect())
        lab.change("add vserver w address=10.1.0.100:81 protocol=HTTP services=s0")
        ask(lab, client := lab.client_of("10.1.0.100", 81).connect())
        client.close()
        lab.wait(10 * SECOND)
        lab.change("rm vserver w")
        lab.wait(10 * SECOND)
        assert lab.look() is not None
        assert lab.vservers() == ["v"]
        lab.change("add vserver x address=10.1.0.100:82 protocol=HTTP services=s0")
        assert lab.vservers() == ["v", "x"]
        assert (lab.vserver(1).requests, lab.vserver(1).total_connections) == (0, 0)
        assert lab.vserver(0).requests == 1


def test_a_service_that_is_watched_from_now_on_is_not_left_out() -> None:
    with changing(monitor="none") as lab:
        client = lab.client().connect()
        assert ask(lab, client) == 0
        lab.change("set service s0 monitor.type=tcp monitor.interval=60s")
        assert lab.service(0).monitor == MonitorKind.TCP
        assert lab.watch(0).health == Health.UP
        assert ask(lab, client) == 0
        lab.wait(SECOND)
        assert lab.watch(0).probes == 1


def test_a_service_that_drains_is_probed_no_more() -> None:
    with changing(services=2, monitor="{type: tcp, interval: 1s, timeout: 1s}") as lab:
        lab.servers[1].silent = True
        lab.wait(3 * SECOND)
        lab.change("unbind v s1", "rm service s1")
        lab.wait(2 * SECOND)
        probes = lab.watch(1).probes
        assert probes > 0
        lab.wait(5 * SECOND)
        assert lab.watch(1).probes == probes
        lab.change("add service s1 address=10.2.0.3:80 monitor=tcp")  # it has its row again
        assert (lab.services(), lab.watch(1).health) == (["s0", "s1"], Health.UNKNOWN)
        lab.change("rm service s1")
        lab.wait(5 * SECOND)
        assert lab.look() is not None
        assert lab.services() == ["s0"]


def test_a_shorter_interval_begins_at_once() -> None:
    with changing(monitor="{type: tcp, interval: 1h, timeout: 1s}") as lab:
        lab.wait(SECOND)
        assert lab.watch(0).probes == 1
        lab.change("set service s0 monitor.interval=1s")
        lab.wait(3 * SECOND)
        assert lab.watch(0).probes >= 3


def test_fewer_services_than_the_cursor_of_round_robin() -> None:
    with changing(services=4) as lab:
        client = lab.client().connect()
        assert [ask(lab, client) for _ in range(3)] == [0, 1, 2]
        lab.change("unbind v s1", "unbind v s2", "unbind v s3")
        assert [ask(lab, client) for _ in range(3)] == [0, 0, 0]


def configuration_of_core(lab: LiveLab, engine: int) -> int:
    return view(Core, lab.array, lab.arena.cores + (1 + engine) * size_of(Core)).configuration


def test_engines_acknowledge_what_they_work_by() -> None:
    with changing(engines=4) as lab:
        assert [configuration_of_core(lab, engine) for engine in range(4)] == [1] * 4
        done = lab.change("set service s0 weight=2")
        assert (done.epoch, done.late) == (2, ())
        assert [configuration_of_core(lab, engine) for engine in range(4)] == [2] * 4
        assert [lab.of_engine(engine) for engine in range(4)] == [effective(lab.wanted)] * 4


def test_while_an_engine_works_by_the_one_before_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ncore_ray.management.live.ACKNOWLEDGE_S", 0.01)
    with changing(engines=2) as lab:
        lab.asleep = frozenset({1})
        done = lab.change("set service s0 weight=2")
        assert done.late == (2,)
        before = lab.tables.image()
        with pytest.raises(LiveError, match="actor 2 has not taken over the configuration before this one"):
            lab.change("set service s0 weight=3")
        assert lab.tables.image() == before
        lab.followers = [1]  # it has died: nobody waits for it
        lab.change("set service s0 weight=4")
        lab.asleep, lab.followers = frozenset(), [1, 2]
        assert lab.of_engine(1).service("s0").weight == 4


def test_a_change_that_finds_no_room_changes_nothing() -> None:
    with changing(limits="services: 2") as lab:
        before = lab.tables.image()
        wanted = [f"add service x{k} address=10.2.0.{20 + k}:80" for k in range(2)]
        with pytest.raises(TableFullError, match=r"limits\.services: all 2 rows"):
            lab.tables.change(apply(map(parse_command, wanted), lab.wanted))
        assert lab.tables.image() == before
        exchange_once(lab)


def exchange_once(lab: LiveLab) -> None:
    client = lab.client().connect()
    client.send(GET)
    server = lab.servers[0].accept()
    server.expect(passed_request(GET)).send(OK)
    client.expect(passed_response(OK))
    exchange(client, server)


def test_tables_that_do_not_say_what_was_written_never_come_into_force(monkeypatch: pytest.MonkeyPatch) -> None:
    with changing() as lab:
        before = lab.tables.image()
        written = tables.write_bank

        def write_wrongly(array: Any, arena: Any, bank: int, *rest: Any) -> None:
            written(array, arena, bank, *rest)
            lab.array[lab.arena.services + bank + 2 * 8] ^= 5  # the port

        monkeypatch.setattr("ncore_ray.management.live.write_bank", write_wrongly)
        with pytest.raises(LiveError, match="nothing was changed"):
            lab.change("set service s0 monitor=tcp")
        assert lab.tables.image() == before
