"""The requests of one connection are worked on by different engines; the answers come back in order."""

from __future__ import annotations

import random

import pytest

from ncore_ray.engine.connection import Role
from ncore_ray.engine.transaction.turn import LEG_WINDOW, MOST_OUTSTANDING
from ncore_ray.flow.assignment import set_active_engines
from ncore_ray.flow.distributor import distributor_view
from tests.engine.http.http_talk import answer, chunked, get, passed_request, passed_response, status_of
from tests.engine.remote.virtual_lab import count, owners_in_use
from tests.engine.transaction.transaction_lab import answer_all, answers, asked, pipeline, reply, roles, sharing
from tests.support.http_lab import SECOND, running

POST = b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
CLOSE = b"Connection: close\r\n"
SEED = 1


def test_pipelined_requests_are_worked_on_by_different_engines_at_once() -> None:
    with sharing(engines=3) as lab:
        client = lab.client().connect().send(pipeline(range(6)))
        assert set(asked(lab)) == set(range(6))
        assert count(lab, "http_requests") == [2, 2, 2]
        assert count(lab, "transactions") == [6, 0, 0]
        assert count(lab, "connections_opened") == [2, 2, 2]
        answer_all(lab)
        client.expect(answers(range(6)))


def test_answers_wait_for_their_turn() -> None:
    with sharing(engines=2) as lab:
        client = lab.client().connect().send(pipeline(range(4)))
        servers = asked(lab)
        for number in (3, 1, 2):
            reply(servers[number], number)
            client.expect_nothing()
        reply(servers[0], 0)
        client.expect(answers(range(4)))


def test_successive_requests_take_turns_and_use_their_virtual_connections_again() -> None:
    with sharing(engines=3) as lab:
        client = lab.client(engine=1).connect()
        for number in range(9):
            client.send(get(number))
            answer_all(lab)
            client.expect(answers([number]))
        assert count(lab, "http_requests") == [3, 3, 3]
        assert count(lab, "virtual_connections_opened") == [0, 3, 0]
        assert sum(count(lab, "http_reused_connections")) == 6


def test_requests_that_have_to_wait_for_memory_are_shared_out_evenly_all_the_same() -> None:
    with sharing(engines=3, frames=256) as lab:
        client = lab.client().connect().send(pipeline(range(60)))
        draw = random.Random(SEED)
        while servers := asked(lab):
            assert len(servers) < 12
            number = draw.choice(sorted(servers))
            reply(servers[number], number)
        client.expect(answers(range(60)))
        assert count(lab, "http_requests") == [20, 20, 20]


def test_idle_virtual_connections_are_given_up_and_opened_again() -> None:
    with sharing(engines=2) as lab:
        client = lab.client().connect().send(pipeline(range(2)))
        answer_all(lab)
        client.expect(answers(range(2)))
        assert roles(lab, 0) == [Role.CLIENT, Role.SERVER, Role.SPLIT, Role.LEG, Role.LEG]
        lab.wait(2 * SECOND)
        assert roles(lab, 0) == [Role.SERVER, Role.SPLIT]
        assert roles(lab, 1) == [Role.SERVER]
        client.send(get(2))
        answer_all(lab)
        client.expect(answers([2]))
        assert sum(count(lab, "virtual_connections_opened")) == 3
        assert sum(count(lab, "connections_reset")) == 0


def test_a_client_counts_once_and_where_its_tcp_ends() -> None:
    with sharing(engines=2) as lab:
        client = lab.client().connect().send(pipeline(range(5)))
        assert [lab.vserver(0, engine).connections for engine in (0, 1)] == [1, 0]
        answer_all(lab)
        client.take()
        lab.wait(2 * SECOND)
        assert [lab.vserver(0, engine).connections for engine in (0, 1)] == [1, 0]
        assert [lab.vserver(0, engine).total_connections for engine in (0, 1)] == [1, 0]
        assert sum(lab.vserver(0, engine).requests for engine in (0, 1)) == 5
        assert sum(lab.vserver(0, engine).received_bytes for engine in (0, 1)) == client.total_sent
        assert sum(lab.vserver(0, engine).sent_bytes for engine in (0, 1)) == client.total_received


def test_so_many_requests_are_worked_on_at_once_and_no_more() -> None:
    with sharing(engines=2) as lab:
        client = lab.client().connect().send(pipeline(range(40)))
        assert set(asked(lab)) == set(range(MOST_OUTSTANDING))
        reply(asked(lab)[1], 1)
        assert len(asked(lab)) == MOST_OUTSTANDING - 1
        reply(asked(lab)[0], 0)
        assert set(asked(lab)) == set(range(2, MOST_OUTSTANDING + 2))
        answer_all(lab)
        client.expect(answers(range(40)))


def test_a_request_that_is_not_safe_is_alone() -> None:
    with sharing(engines=2) as lab:
        client = lab.client().connect().send(get(0) + POST + pipeline([2, 3]))
        assert set(asked(lab)) == {0}
        reply(asked(lab)[0], 0)
        server = asked(lab)[1]
        assert set(asked(lab)) == {1}
        server.expect(passed_request(POST)).send(answer(b"1"))
        assert set(asked(lab)) == {2, 3}
        answer_all(lab)
        client.expect(answers(range(4)))
        assert count(lab, "http_requests") == [2, 2]


@pytest.mark.parametrize("size", [1, 7, 50])
def test_heads_and_bodies_that_come_in_pieces(size: int) -> None:
    body = b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b"abc" * 50, b"x")
    requests = [b"PUT /%d HTTP/1.1\r\nHost: a\r\n" % number + body for number in range(2)]
    with sharing(engines=2) as lab:
        client = lab.client().connect()
        raw = b"\r\n".join(requests) + get(2)
        for start in range(0, len(raw), size):
            client.send(raw[start : start + size])
            lab.settle()
        for number, request in enumerate(requests):
            asked(lab)[number].expect(passed_request(request)).send(answer(b"%d" % number))
        answer_all(lab)
        client.expect(answers(range(3)))


def test_a_large_body_goes_to_its_engine_as_far_as_that_takes_it() -> None:
    body = b"".join(b"%07d\n" % number for number in range(50_000))
    head = b"PUT /0 HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
    tcp = "receive_window: 32KiB, send_buffer: 32KiB"
    with sharing(engines=2, tcp=tcp) as lab:
        lab.servers[0].options = {"paused": True, "limit": 20_000}
        client = lab.client().connect().send(head + body)
        lab.settle()
        assert client.unacknowledged > 200_000
        server = asked(lab)[0]
        got = b""
        while len(got) < len(passed_request(head)) + len(body):
            got += server.read()
            lab.settle()
        assert got == passed_request(head) + body
        server.send(answer(b"0"))
        client.expect(answers([0]))


def test_large_answers_come_whole_and_those_that_wait_take_little_memory() -> None:
    content = b"".join(b"%07d\n" % number for number in range(40_000))
    with sharing(engines=2, frames=2_048) as lab:
        client = lab.client().connect().send(pipeline(range(MOST_OUTSTANDING)))
        servers = asked(lab)
        for number in range(1, MOST_OUTSTANDING):
            reply(servers[number], number, answer(content))
        lab.settle()
        client.expect_nothing()
        assert all(servers[number].unacknowledged for number in range(1, MOST_OUTSTANDING))
        held = sum(tcb.hold_chain_length for tcb in lab.connections(0) if tcb.role == Role.LEG)
        assert 0 < held <= (MOST_OUTSTANDING - 1) * LEG_WINDOW
        client.expect_nothing()
        reply(servers[0], 0)
        client.expect(answers([0]) + passed_response(answer(content)) * (MOST_OUTSTANDING - 1))
        assert owners_in_use(lab) == 0


def test_a_client_that_does_not_read_holds_up_only_itself() -> None:
    content = bytes(100_000)
    with sharing(engines=2, tcp="receive_window: 16KiB, send_buffer: 16KiB") as lab:
        slow = lab.client(paused=True, limit=10_000).connect().send(pipeline(range(30)))
        reply(asked(lab)[0], 0, answer(content))
        quick = lab.client().connect().send(get(100))
        reply(asked(lab)[100], 100)
        quick.expect(answers([100]))
        got = b""
        for _ in range(1_000):
            for number, server in asked(lab).items():
                reply(server, number)
            got += slow.read()
        assert got == passed_response(answer(content)) + answers(range(1, 30))


def test_every_kind_of_answer_has_its_end_marked() -> None:
    kinds = [
        (b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n"),
        (b"GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"x", b"yz", trailers=b"A: b\r\n")),
        (b"OPTIONS", b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"),
    ]
    with sharing(engines=2) as lab:
        client = lab.client().connect()
        requests = [b"%s /%d HTTP/1.1\r\nHost: a\r\n\r\n" % (kind[0], number) for number, kind in enumerate(kinds)]
        client.send(b"".join(requests))
        for number, server in asked(lab).items():
            server.expect(passed_request(requests[number])).send(kinds[number][1])
        client.expect(b"".join(passed_response(kind[1]) for kind in kinds))
        client.send(get(9))
        answer_all(lab)
        client.expect(answers([9]))


def test_interim_answers_come_before_the_final_one() -> None:
    put = b"PUT /0 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    with sharing(engines=2) as lab:
        client = lab.client().connect().send(put)
        server = asked(lab)[0]
        server.read()
        server.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert client.take().startswith(b"HTTP/1.1 100 Continue\r\n")
        client.send(b"ab")
        server.expect(b"ab").send(answer(b"0"))
        client.expect(answers([0]))


def test_engine_that_takes_no_new_flows_gets_no_new_requests() -> None:
    with sharing(engines=3) as lab:
        client = lab.client().connect().send(pipeline(range(6)))
        answer_all(lab)
        client.take()
        set_active_engines(lab.array, distributor_view(lab.array), [0, 2])
        client.send(pipeline(range(6)))
        answer_all(lab)
        client.expect(answers(range(6)))
        assert count(lab, "http_requests") == [5, 2, 5]


def test_engine_that_stopped_breathing_gets_no_requests() -> None:
    with sharing(engines=3) as lab:
        client = lab.client().connect()
        lab.heart(1).heartbeat_at = lab.now
        lab.wait(6 * SECOND)
        client.send(pipeline(range(6)))
        answer_all(lab)
        client.expect(answers(range(6)))
        assert count(lab, "http_requests") == [3, 0, 3]
        lab.heart(1).heartbeat_at = 0


def test_one_engine_serves_flows() -> None:
    with sharing(engines=1) as lab:
        client = lab.client().connect().send(pipeline(range(3)))
        answer_all(lab)
        client.expect(answers(range(3)))
        assert (lab.engine().links, lab.engine().turns) == (0, 0)


def test_without_the_unit_nothing_is_set_up() -> None:
    with running(engines=2, key="cookie: a") as lab:
        assert lab.engine().links != 0
        assert lab.engine().turns == 0
        assert lab.blueprint.links is not None
        assert lab.blueprint.links[0].pairs == 2


def test_table_full_at_the_first_request() -> None:
    with sharing(engines=2, connections=16) as lab:
        clients = [lab.client().connect() for _ in range(16)]
        clients[0].send(get(0))
        assert status_of(clients[0].take()) == 503
        clients[0].expect_eof()
        assert count(lab, "transactions_lost") == [1, 0]


def test_table_nearly_full_lets_requests_wait_for_each_other() -> None:
    with sharing(engines=2, connections=64) as lab:
        others = [lab.client().connect() for _ in range(55)]
        client = lab.client().connect().send(pipeline(range(8)))
        assert len(asked(lab)) < 3
        answer_all(lab)
        client.expect(answers(range(8)))
        assert not any(other.eof for other in others)
