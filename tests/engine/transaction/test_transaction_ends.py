"""What ends a connection whose requests are shared out: the client, its server, an engine, time, or an upgrade."""

from __future__ import annotations

import pytest

from ncore_ray.engine.connection import Role
from tests.engine.http.http_talk import GET, answer, get, passed_request, passed_response, status_of
from tests.engine.remote.virtual_lab import count
from tests.engine.transaction.transaction_lab import answer_all, answers, asked, pipeline, reply, roles, sharing
from tests.support.http_lab import SECOND

CLOSE = b"Connection: close\r\n"
CLOSING_GET = b"GET /%d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
UPGRADE = b"GET /%d HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: chat\r\nConnection: upgrade\r\n\r\n"


@pytest.mark.parametrize(
    ("bad", "status"),
    [
        (b"GET / HTTP/9.9\r\n\r\n", 505),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 9_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    ],
)
@pytest.mark.parametrize("before", [0, 3])
def test_bad_request_is_refused_after_the_answers_before_it(bad: bytes, status: int, before: int) -> None:
    with sharing(engines=2) as lab:
        client = lab.client().connect().send(pipeline(range(before)) + bad + get(9))
        assert len(asked(lab)) == before
        client.expect_nothing() if before else None
        answer_all(lab)
        got = client.take()
        assert got.startswith(answers(range(before)))
        assert status_of(got[len(answers(range(before))) :]) == status
        client.expect_eof()
        client.close()
        assert sum(count(lab, "http_refused_requests")) == 1
        assert sum(count(lab, "http_requests")) == before


def test_bad_body_is_refused_by_the_engine_that_has_it() -> None:
    put = b"PUT /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    with sharing(engines=2) as lab:
        client = lab.client().connect().send(get(0) + put + b"3\r\nabcX" + get(2))
        answer_all(lab)
        got = client.take()
        assert got.startswith(answers([0]))
        assert status_of(got[len(answers([0])) :]) == 400
        client.expect_eof()


def test_body_that_is_too_large() -> None:
    put = b"PUT /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n"
    with sharing(engines=2, http="max_body: 1KiB") as lab:
        client = lab.client().connect().send(get(0) + put + bytes(1_500))
        answer_all(lab)
        client.send(bytes(500))
        got = client.take()
        assert status_of(got[len(answers([0])) :]) == 413
        client.expect_eof()


@pytest.mark.parametrize("before", [0, 3])
def test_request_that_closes_is_the_last(before: int) -> None:
    with sharing(engines=2) as lab:
        client = lab.client().connect().send(pipeline(range(before)) + CLOSING_GET % before + pipeline([8, 9]))
        servers = asked(lab)
        assert set(servers) >= set(range(before + 1))
        for number in range(before):
            reply(servers[number], number)
        servers[before].read()
        servers[before].send(answer(b"%d" % before))
        client.expect(answers(range(before)) + answers([before], CLOSE)).expect_eof()
        client.close()
        lab.wait(3 * SECOND)
        assert Role.SPLIT not in roles(lab, 0)
        assert Role.LEG not in roles(lab, 0)


def test_http_1_0_request() -> None:
    with sharing(engines=2) as lab:
        client = lab.client().connect().send(b"GET /0 HTTP/1.0\r\n\r\n")
        server = asked(lab)[0]
        server.read()
        server.send(answer(b"0"))
        client.expect(answers([0], CLOSE)).expect_eof()
        assert count(lab, "transactions") == [0, 0]


@pytest.mark.parametrize("before", [0, 3])
def test_upgrade_gets_the_whole_connection_after_the_answers_before_it(before: int) -> None:
    with sharing(engines=2) as lab:
        client = lab.client(engine=1).connect().send(pipeline(range(before)) + UPGRADE % before + b"early")
        assert set(asked(lab)) == (set(range(before)) or {0})
        if before:
            answer_all_but_upgrade = {number: asked(lab)[number] for number in range(before)}
            for number, server in answer_all_but_upgrade.items():
                reply(server, number)
            client.expect(answers(range(before)))
        server = asked(lab)[before]
        server.read()
        server.send(SWITCH + b"hello")
        assert client.take().endswith(b"\r\n\r\nhello")
        server.expect(b"early")
        client.send(b"more")
        server.expect(b"more")
        client.close()
        server.expect_eof()
        server.send(b"bye").close()
        client.expect(b"bye").expect_eof()


def test_client_that_ends_its_stream_gets_all_answers() -> None:
    with sharing(engines=2) as lab:
        client = lab.client().connect().send(pipeline(range(20))).close()
        answer_all(lab)
        client.expect(answers(range(20))).expect_eof()


def test_client_that_ends_its_stream_in_a_head_or_before_any() -> None:
    with sharing(engines=2) as lab:
        lab.client().connect().close().expect_eof()
        lab.client().connect().send(GET[:-2]).close().expect_eof()
        client = lab.client().connect().send(get(0) + GET[:-2]).close()
        answer_all(lab)
        client.expect(answers([0])).expect_eof()


def test_client_that_ends_its_stream_in_a_body() -> None:
    put = b"PUT /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nonly this"
    with sharing(engines=2) as lab:
        client = lab.client().connect().send(get(0) + put).close()
        reply(asked(lab)[0], 0)
        got = client.take()
        assert got.startswith(answers([0]))
        assert status_of(got[len(answers([0])) :]) == 503
        client.expect_eof()
        assert sum(count(lab, "transactions_lost")) == 1


def test_client_that_is_reset_gives_all_up() -> None:
    with sharing(engines=2) as lab:
        client = lab.client().connect().send(pipeline(range(4)) + GET[:5])
        servers = asked(lab)
        reply(servers[2], 2)
        client.reset()
        lab.settle()
        assert all(servers[number].was_reset for number in (0, 1, 3))
        assert Role.SPLIT not in roles(lab, 0)
        assert Role.LEG not in roles(lab, 0)


def test_server_that_fails_before_its_answer() -> None:
    with sharing(engines=2) as lab:
        client = lab.client().connect().send(pipeline(range(4)))
        servers = asked(lab)
        servers[2].reset()
        client.expect_nothing()
        for number in (3, 1, 0):
            reply(servers[number], number)
        got = client.take()
        assert got.startswith(answers(range(2)))
        assert status_of(got[len(answers(range(2))) :]) == 502
        client.expect_eof()


def test_server_that_fails_within_its_answer() -> None:
    with sharing(engines=2) as lab:
        client = lab.client().connect().send(pipeline(range(3)))
        servers = asked(lab)
        servers[1].read()
        servers[1].send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart")
        client.expect_nothing()
        servers[1].reset()
        reply(servers[2], 2)
        client.expect_nothing()
        reply(servers[0], 0)
        lab.settle()
        assert client.read().startswith(answers([0]))
        client.expect_reset()


def test_answer_without_a_length_is_the_last() -> None:
    with sharing(engines=2) as lab:
        client = lab.client().connect().send(pipeline(range(3)))
        servers = asked(lab)
        servers[1].read()
        raw = b"HTTP/1.1 200 OK\r\n\r\nuntil the end"
        servers[1].send(raw).close()
        reply(servers[2], 2)
        reply(servers[0], 0)
        client.expect(answers([0]) + passed_response(raw, CLOSE)).expect_eof()


def test_answer_before_the_end_of_its_request_is_the_last() -> None:
    put = b"PUT /0 HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"
    with sharing(engines=2) as lab:
        client = lab.client().connect().send(put + b"part")
        server = asked(lab)[0]
        server.expect(passed_request(put) + b"part").send(answer(b"early"))
        client.expect(passed_response(answer(b"early"))).expect_eof()
        client.send(bytes(96) + get(1))
        assert asked(lab) == {}


def test_server_that_does_not_answer_in_time_is_told_of_in_its_turn() -> None:
    with sharing(engines=2, timeouts="server: 3s") as lab:
        client = lab.client().connect().send(pipeline(range(3)))
        servers = asked(lab)
        reply(servers[2], 2)
        lab.wait(2 * SECOND)
        reply(servers[0], 0)
        client.expect(answers([0]))
        lab.wait(2 * SECOND)
        assert status_of(client.take()) == 504
        client.expect_eof()


def test_answer_may_wait_for_its_turn_for_longer_than_a_server_may_be_silent() -> None:
    content = bytes(200_000)
    with sharing(engines=2, timeouts="server: 3s", frames=2_048) as lab:
        client = lab.client().connect().send(pipeline(range(3)))
        servers = asked(lab)
        servers[0].read()
        servers[0].send(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n")
        reply(servers[1], 1, answer(content))
        reply(servers[2], 2, answer(content))
        for _ in range(10):
            lab.wait(2 * SECOND, 200_000)
            servers[0].send(b"ab")
        client.expect(passed_response(answer(b"ab" * 10)) + 2 * passed_response(answer(content)))


def test_silent_client_is_closed() -> None:
    with sharing(engines=2, timeouts="client_idle: 5s, header: 3s") as lab:
        never = lab.client().connect()
        client = lab.client().connect().send(pipeline(range(2)))
        answer_all(lab)
        client.expect(answers(range(2)))
        lab.wait(4 * SECOND)
        never.expect_eof()
        client.expect_nothing()
        lab.wait(2 * SECOND)
        client.expect_eof()
        assert sum(count(lab, "connections_timed_out")) == 2


def test_client_that_takes_nothing_of_an_answer_is_reset() -> None:
    with sharing(engines=2, timeouts="client_idle: 5s", tcp="receive_window: 64KiB, send_buffer: 8KiB") as lab:
        client = lab.client(paused=True, limit=1_000).connect().send(pipeline(range(2)))
        servers = asked(lab)
        reply(servers[0], 0, answer(bytes(14_000)))
        lab.settle()
        assert lab.counters().virtual_received_bytes > 14_000
        lab.wait(4 * SECOND)
        assert len(client.read(100)) == 100
        lab.wait(4 * SECOND)
        assert not client.was_reset
        lab.wait(8 * SECOND)
        assert client.was_reset
        assert servers[1].was_reset


def test_client_that_is_slow_with_a_head_has_its_time_from_the_last_answer_on() -> None:
    with sharing(engines=2, timeouts="header: 3s") as lab:
        client = lab.client().connect().send(get(0) + GET[:-1])
        server = asked(lab)[0]
        lab.wait(5 * SECOND)
        client.expect_nothing()
        reply(server, 0)
        client.expect(answers([0]))
        lab.wait(2 * SECOND)
        client.expect_nothing()
        lab.wait(2 * SECOND)
        assert status_of(client.take()) == 408
        client.expect_eof()


def test_client_that_is_slow_with_a_body() -> None:
    put = b"PUT /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nonly this"
    with sharing(engines=2, timeouts="client_idle: 3s") as lab:
        client = lab.client().connect().send(get(0) + put)
        reply(asked(lab)[0], 0)
        client.expect(answers([0]))
        lab.wait(5 * SECOND)
        assert status_of(client.take()) == 408
        client.expect_eof()


def test_drain_lets_requests_be_answered_and_sends_idle_clients_home() -> None:
    with sharing(engines=2) as lab:
        idle, busy = lab.client().connect(), lab.client().connect().send(pipeline(range(2)))
        servers = asked(lab)
        lab.drain()
        lab.wait(SECOND)
        idle.expect_eof()
        busy.expect_nothing()
        reply(servers[1], 1)
        reply(servers[0], 0)
        busy.expect(answers([0], CLOSE)).expect_eof()
        assert sum(count(lab, "connections_drained")) == 1


def test_drain_closes_a_client_between_two_requests() -> None:
    with sharing(engines=2) as lab:
        client = lab.client().connect().send(pipeline(range(3)))
        answer_all(lab)
        client.expect(answers(range(3)))
        lab.drain()
        lab.wait(SECOND)
        client.expect_eof()
        assert sum(count(lab, "connections_drained")) == 1


def test_engine_that_dies_is_told_of_in_its_turn() -> None:
    with sharing(engines=2) as lab:
        lab.heart(0).heartbeat_at = lab.heart(1).heartbeat_at = lab.now
        client = lab.client().connect().send(pipeline(range(4)))
        servers = asked(lab)
        for number in (1, 3, 0):
            reply(servers[number], number)
        client.expect(answers([0, 1]))
        assert count(lab, "http_requests") == [2, 2]
        lab.asleep = frozenset({1})
        while not client.eof:
            assert lab.now < lab.heart(1).heartbeat_at + 12 * SECOND
            lab.wait(SECOND // 4)
            lab.heart(0).heartbeat_at = lab.now
        assert status_of(client.take()) == 503
        client.expect_eof()
        assert count(lab, "transactions_lost") == [1, 0]
        lab.asleep = frozenset()
        lab.heart(0).heartbeat_at = lab.heart(1).heartbeat_at = 0
