"""One engine terminates the TCP of clients, others serve them: both ends of every stream behave as on one engine."""

from __future__ import annotations

import hashlib

import pytest

from ncore_ray.arena.core import Core
from ncore_ray.engine.connection import Role
from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.machine.record import size_of, view
from tests.engine.http.http_talk import GET, OK, begin, exchange, passed_request, passed_response, refused
from tests.engine.remote.virtual_lab import FUNCTIONAL, count, joined, owners_in_use
from tests.support.http_lab import SECOND, running

CONTENT = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(8_000))


def test_each_engine_does_its_part_and_no_other() -> None:
    with running(engines=2, distribution=FUNCTIONAL) as lab:
        client, server = begin(lab)
        server.send(OK)
        client.expect(passed_response(OK))
        exchange(client, server)
        assert count(lab, "connections_accepted") == [1, 0]
        assert count(lab, "connections_opened") == [0, 1]
        assert count(lab, "http_requests") == [0, 2]
        assert count(lab, "virtual_connections_opened") == [1, 0]
        assert count(lab, "virtual_connections_accepted") == [0, 1]
        assert count(lab, "virtual_sent_bytes") == count(lab, "virtual_received_bytes")[::-1]
        assert [(tcb.role, tcb.state) for tcb in lab.connections(0)] == [
            (Role.RELAYED, TcpState.ESTABLISHED),
            (Role.FAR, TcpState.VIRTUAL),
        ]
        assert [tcb.role for tcb in lab.connections(1)] == [Role.CLIENT, Role.SERVER]


def test_a_client_counts_where_it_is_served() -> None:
    with running(engines=2, distribution=FUNCTIONAL) as lab:
        client, server = begin(lab)
        server.send(OK)
        client.expect(passed_response(OK))
        assert [lab.vserver(0, engine).connections for engine in (0, 1)] == [0, 1]
        assert [lab.vserver(0, engine).total_connections for engine in (0, 1)] == [0, 1]
        assert lab.vserver(0, 1).received_bytes == client.total_sent
        assert lab.vserver(0, 1).sent_bytes == client.total_received


def test_clients_are_shared_out_among_the_engines_that_serve() -> None:
    functions = "functions: [transport, application, application, both]"
    with running(engines=4, distribution=f"{FUNCTIONAL}, {functions}", connections=128) as lab:
        for _ in range(40):
            lab.client().connect().send(GET)
        lab.settle()
        requests = count(lab, "http_requests")
        assert requests[0] == 0
        assert sum(requests) == 40
        assert min(requests[1:]) > 4


def test_an_engine_with_both_functions_keeps_its_clients() -> None:
    with running(engines=2, distribution=f"{FUNCTIONAL}, functions: [transport, both]") as lab:
        client = lab.client(engine=1).connect().send(GET)
        lab.servers[0].accept().expect(passed_request(GET)).send(OK)
        client.expect(passed_response(OK))
        assert count(lab, "virtual_connections_opened") == [0, 0]


@pytest.mark.parametrize("size", [1, 2_048, 100_000, len(CONTENT)])
def test_bytes_go_both_ways_in_order(size: int) -> None:
    with running(engines=2, distribution=FUNCTIONAL, protocol="TCP") as lab:
        client, server = joined(lab)
        client.send(CONTENT[:size])
        server.expect(CONTENT[:size])
        server.send(CONTENT[-size:])
        client.expect(CONTENT[-size:])


@pytest.mark.parametrize("first", ["client", "server"])
def test_half_close_is_carried_through(first: str) -> None:
    with running(engines=2, distribution=FUNCTIONAL, protocol="TCP") as lab:
        client, server = joined(lab)
        one, other = (client, server) if first == "client" else (server, client)
        one.send(b"all of it").close()
        other.expect(b"all of it").expect_eof()
        other.send(CONTENT[:5_000])
        one.expect(CONTENT[:5_000])
        assert not one.eof
        other.close()
        one.expect_eof()
        lab.wait(6 * SECOND)
        assert lab.connections(0) == lab.connections(1) == []
        assert count(lab, "connections_reset") == [0, 0]


@pytest.mark.parametrize("first", ["client", "server"])
def test_reset_is_carried_through(first: str) -> None:
    with running(engines=2, distribution=FUNCTIONAL, protocol="TCP") as lab:
        client, server = joined(lab)
        one, other = (client, server) if first == "client" else (server, client)
        one.reset()
        other.expect_reset()
        assert lab.connections(0) == lab.connections(1) == []


def test_client_that_goes_in_the_breath_that_it_came_in_leaves_nothing() -> None:
    with running(engines=2, distribution=FUNCTIONAL, protocol="TCP") as lab:
        lab.asleep = frozenset({1})
        client = lab.client().connect()
        client.reset()
        for _ in range(3):
            lab.step_engines()
        assert lab.connections(0) == []
        lab.asleep = frozenset()
        lab.settle()
        assert lab.connections(1) == []
        assert not lab.servers[0].waiting


def test_slow_reader_holds_up_the_writer_and_no_more_than_the_windows_is_kept() -> None:
    limits = "receive_window: 16KiB, send_buffer: 16KiB"
    with running(engines=2, distribution=FUNCTIONAL, protocol="TCP", tcp=limits, frames=128) as lab:
        client, server = joined(lab)
        client.paused, client.limit = True, 4_096
        client.acknowledge()
        server.send(CONTENT)
        lab.settle()
        assert 8 <= owners_in_use(lab) <= 2 * (16 + 16) * 1024 // 2048 + 8
        assert server.unacknowledged > len(CONTENT) - 3 * 16 * 1024 - 4_096
        got = b""
        for _ in range(500):
            lab.wait(20_000, 20_000)
            got += client.read()
        assert got == CONTENT[: len(got)]
        assert len(got) > 100_000


def test_small_pieces_never_hold_more_memory_than_large_ones() -> None:
    limits = "receive_window: 16KiB, send_buffer: 16KiB"
    with running(engines=2, distribution=FUNCTIONAL, protocol="TCP", tcp=limits, frames=128) as lab:
        client, server = joined(lab)
        client.paused, client.limit = True, 4_096
        client.acknowledge()
        for start in range(0, 12_000, 10):
            server.send(CONTENT[start : start + 10])
            lab.step_engines()
        lab.settle()
        assert owners_in_use(lab) <= 2 * (16 + 16) * 1024 // 2048 + 8
        got = b""
        for _ in range(400):
            lab.wait(20_000, 20_000)
            got += client.read()
        assert got == CONTENT[:12_000]


def test_pool_of_frames_that_runs_dry() -> None:
    """Many slow readers want more memory than there is: what does not fit waits, nothing is lost, and all goes on."""
    with running(engines=2, distribution=FUNCTIONAL, protocol="TCP", frames=48) as lab:
        lab.servers[0].options = {"paused": True, "limit": 1_000}
        pairs = [joined(lab) for _ in range(6)]
        for client, _ in pairs:
            client.send(CONTENT[:20_000])
            lab.settle()
        assert count(lab, "virtual_memory_waits")[1] > 0
        received = [b"" for _ in pairs]
        for _ in range(250):
            lab.wait(100_000, 50_000)
            received = [got + server.read() for got, (_, server) in zip(received, pairs, strict=True)]
        assert received == [CONTENT[:20_000]] * 6
        assert count(lab, "connections_reset") == [0, 0]


def test_idle_client_is_closed_by_the_engine_that_serves_it() -> None:
    with running(engines=2, distribution=FUNCTIONAL, timeouts="client_idle: 5s") as lab:
        client, server = begin(lab)
        server.send(OK)
        client.expect(passed_response(OK))
        lab.wait(6 * SECOND)
        client.expect_eof()
        assert count(lab, "connections_timed_out") == [0, 1]
        client.close()
        lab.wait(6 * SECOND)
        assert lab.connections(0) == []


def test_clients_of_an_engine_that_died_are_reset() -> None:
    with running(engines=2, distribution=FUNCTIONAL) as lab:
        client, server = begin(lab)
        core = view(Core, lab.array, lab.arena.cores + 2 * size_of(Core))
        lab.asleep = frozenset({1})
        core.heartbeat_at = lab.now
        lab.wait(SECOND)
        client.expect_nothing()
        lab.wait(9 * SECOND)
        client.expect_reset()
        core.heartbeat_at = 0
        lab.asleep = frozenset()
        server.expect_reset()


def test_bad_request_is_refused_as_ever() -> None:
    with running(engines=2, distribution=FUNCTIONAL) as lab:
        client = lab.client().connect().send(b"GET / HTTP/9.9\r\n\r\n")
        refused(lab, client, 505)


def test_client_that_reads_slowly_gets_the_last_byte_of_a_connection_that_was_closed() -> None:
    """The engine that serves has nothing left to send and would give a client that has it all two seconds to close."""
    response = b"HTTP/1.0 200 OK\r\n\r\n" + CONTENT[:30_000]
    with running(engines=2, distribution=FUNCTIONAL) as lab:
        client, server = begin(lab)
        client.paused, client.limit = True, 2_048
        client.acknowledge()
        server.send(response).close()
        lab.settle()
        got = b""
        while not client.eof:
            lab.wait(SECOND // 2)
            got += client.read()
        client.close()
        lab.wait(3 * SECOND)
        assert got.endswith(CONTENT[:30_000])
        assert not client.was_reset


def test_table_that_is_full_at_the_other_end_refuses_the_client() -> None:
    functions = "functions: [transport, transport, transport, application]"
    with running(engines=4, distribution=f"{FUNCTIONAL}, {functions}", connections=16) as lab:
        clients = [lab.client(engine=engine).connect() for engine in (0, 1, 2) for _ in range(6)]
        assert len(lab.connections(3)) == 16
        assert count(lab, "virtual_connections_refused") == [0, 0, 0, 2]
        assert [client.was_reset for client in clients].count(True) == 2
        assert lab.vserver(0, 3).errors == 2


def test_no_half_is_left_when_the_client_is_refused_for_want_of_a_connection() -> None:
    with running(engines=2, distribution=FUNCTIONAL, connections=17) as lab:
        clients = [lab.client().connect() for _ in range(9)]
        refused(lab, clients[8], 503)
        assert count(lab, "virtual_connections_refused") == [1, 0]
        assert len(lab.connections(1)) == 8
