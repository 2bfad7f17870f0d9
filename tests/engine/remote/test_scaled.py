"""Virtual connections while engines come and go: what there is stays, what comes sees the engines of now."""

from __future__ import annotations

from typing import Any

from ncore_ray.flow.scaling import give_new_flows_to
from tests.engine.http.http_talk import GET, OK, get, passed_request, passed_response
from tests.engine.remote.test_key import REQUESTS, exchange, serve
from tests.engine.remote.virtual_lab import FUNCTIONAL, count
from tests.support.http_lab import HttpLab, running
from tests.support.tcp_peer import Peer

TWO_OF_FOUR: Any = "2, max_engines: 4"
KEY = "cookie: session"
VALUES = range(24)


def places(lab: HttpLab) -> list[int]:
    """Return the engines that serve clients with some values, whose packets come to engine 0."""
    return [serve(lab, REQUESTS[KEY] % value, 0) for value in VALUES]


def test_values_move_only_to_those_that_came_and_back() -> None:
    with running(engines=TWO_OF_FOUR, key=KEY) as lab:
        before = places(lab)
        assert set(before) == {0, 1}
        request = REQUESTS[KEY] % before.index(1)
        old = lab.client().connect().send(request)
        assert exchange(lab, old, request) == 1
        give_new_flows_to(lab.array, range(4))
        more = places(lab)
        assert set(more) == {0, 1, 2, 3}
        assert all(now in (was, 2, 3) for was, now in zip(before, more, strict=True))
        old.send(get(1))
        assert exchange(lab, old, get(1)) == 1
        give_new_flows_to(lab.array, [0, 1])
        assert places(lab) == before
        old.close()
        old.expect_eof()


def answer_all(lab: HttpLab, client: Peer, number: int) -> None:
    """Do some exchanges, one after the other."""
    for _ in range(number):
        client.send(GET)
        lab.settle()
        for peer in list(lab.servers[0].peers.values()):
            if peer.received:
                peer.expect(passed_request(GET)).send(OK)
        client.expect(passed_response(OK))


def test_requests_of_one_connection_go_to_those_that_came() -> None:
    with running(engines=TWO_OF_FOUR, unit="transaction") as lab:
        client = lab.client().connect()
        answer_all(lab, client, 8)
        assert count(lab, "http_requests") == [4, 4, 0, 0]
        give_new_flows_to(lab.array, range(4))
        answer_all(lab, client, 8)
        assert sum(count(lab, "http_requests")) == 16
        assert min(count(lab, "http_requests")[2:]) == 2
        give_new_flows_to(lab.array, [0, 1])
        served = count(lab, "http_requests")[2:]
        answer_all(lab, client, 8)
        assert count(lab, "http_requests")[2:] == served
        client.close()
        client.expect_eof()


def test_clients_are_served_by_those_that_came() -> None:
    with running(engines=TWO_OF_FOUR, distribution=FUNCTIONAL, connections=128) as lab:
        for _ in range(8):
            lab.client().connect().send(GET)
        lab.settle()
        assert count(lab, "http_requests") == [0, 8, 0, 0]
        give_new_flows_to(lab.array, range(4))
        for _ in range(30):
            lab.client().connect().send(GET)
        lab.settle()
        assert sum(count(lab, "http_requests")) == 38
        assert min(count(lab, "http_requests")[2:]) > 4
        assert count(lab, "http_requests")[0] == 0
