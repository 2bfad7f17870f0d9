"""Which service gets the next request: exact sequences, and what failures and load change about them."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from ncore_ray.tables.service import Health
from tests.engine.http.http_talk import GET, OK, passed_request
from tests.support.http_lab import SECOND, HttpLab, running
from tests.support.tcp_peer import Peer

MONITORED = "{type: tcp, interval: 1h, timeout: 1s}"


def _served(lab: HttpLab, count: int) -> list[int]:
    """Let a client send requests, one after the other; return the services that got them."""
    client = lab.client().connect()
    order = []
    for _ in range(count):
        client.send(GET)
        lab.settle()
        for number, host in enumerate(lab.servers):
            for peer in host.peers.values():
                if peer.received:
                    assert peer.read() == passed_request(GET)
                    order.append(number)
                    peer.send(OK)
        client.take()
    assert len(order) == count
    return order


def test_round_robin() -> None:
    with running(services=3) as lab:
        assert _served(lab, 8) == [0, 1, 2, 0, 1, 2, 0, 1]


def test_round_robin_goes_on_for_other_clients() -> None:
    with running(services=3) as lab:
        assert _served(lab, 2) == [0, 1]
        assert _served(lab, 4) == [2, 0, 1, 2]


def test_round_robin_with_weights() -> None:
    with running(services=3, weights=(1, 3, 2)) as lab:
        assert _served(lab, 13) == [0, 1, 1, 1, 2, 2, 0, 1, 1, 1, 2, 2, 0]


def test_round_robin_of_one_service() -> None:
    with running(services=1, weights=(2,)) as lab:
        assert _served(lab, 7) == [0] * 7


def test_round_robin_leaves_out_what_is_down() -> None:
    with running(services=3, weights=(1, 2, 1), monitor=MONITORED) as lab:
        lab.wait(SECOND)
        lab.watch(1).health = int(Health.DOWN)
        assert _served(lab, 4) == [0, 2, 0, 2]
        lab.watch(1).health = int(Health.UP)
        assert _served(lab, 5) == [0, 1, 1, 2, 0]


def test_service_that_was_never_probed_gets_nothing() -> None:
    with running(services=2, monitor=MONITORED) as lab:
        lab.wait(SECOND)
        lab.watch(0).health = int(Health.UNKNOWN)
        assert _served(lab, 3) == [1, 1, 1]


def _hold(lab: HttpLab, count: int) -> list[tuple[int, Peer, Peer]]:
    """Open requests that stay unanswered; return service, client and server connection of each."""
    held = []
    for _ in range(count):
        client = lab.client().connect().send(GET)
        lab.settle()
        fresh = [(k, p) for k, host in enumerate(lab.servers) for p in host.peers.values() if p.received and not p.gone]
        ((number, server),) = fresh
        server.read()
        held.append((number, client, server))
    return held


def _busy(lab: HttpLab) -> list[int]:
    return [lab.service_stats(number).busy for number in range(len(lab.servers))]


def test_least_connection_fills_the_emptiest() -> None:
    with running(services=3, method="leastconnection") as lab:
        held = _hold(lab, 9)
        assert _busy(lab) == [3, 3, 3]
        for number, client, server in held:
            if number == 1:
                server.send(OK)
                client.take()
        assert _busy(lab) == [3, 0, 3]
        assert [number for number, *_ in _hold(lab, 3)] == [1, 1, 1]


def test_least_connection_with_weights() -> None:
    with running(services=2, weights=(1, 3), method="leastconnection") as lab:
        _hold(lab, 8)
        assert _busy(lab) == [2, 6]


def test_least_connection_leaves_out_what_is_down() -> None:
    with running(services=3, method="leastconnection", monitor=MONITORED) as lab:
        lab.wait(SECOND)
        lab.watch(2).health = int(Health.DOWN)
        _hold(lab, 4)
        assert _busy(lab) == [2, 2, 0]


def test_idle_connections_do_not_count_as_busy() -> None:
    with running(services=2, method="leastconnection") as lab:
        _served(lab, 6)
        assert _busy(lab) == [0, 0]
        assert [lab.service_stats(k).requests for k in range(2)] == [3, 3]


def test_service_that_failed_is_tried_again_only_if_there_is_no_other() -> None:
    with running(services=3) as lab:
        lab.servers[0].refuse = True
        assert _served(lab, 6) == [1, 2, 1, 2, 1, 2]
        lab.servers[0].refuse = False
        assert 0 in _served(lab, 3)


def test_service_that_failed_is_avoided_though_it_is_still_its_turn() -> None:
    with running(services=2, weights=(3, 1)) as lab:
        lab.servers[0].refuse = True
        assert _served(lab, 1) == [1]
        assert lab.servers[0].syns == 1


def test_service_that_failed_is_avoided_though_it_is_the_emptiest() -> None:
    with running(services=2, weights=(3, 1), method="leastconnection") as lab:
        _hold(lab, 4)
        lab.servers[0].refuse = True
        before = lab.servers[0].syns
        assert [number for number, *_ in _hold(lab, 2)] == [1, 1]
        assert lab.servers[0].syns == before + 1  # the first of the two found both equally full


@settings(max_examples=20)
@given(
    st.lists(st.sampled_from(["open", "answer", "client", "server"]), max_size=20), st.randoms(use_true_random=False)
)
def test_busy_is_always_what_is_open(actions: list[str], random: Random) -> None:
    """Whatever ends a request, from either side, the count of busy connections is that of the open requests."""
    with running(services=2, method="leastconnection") as lab:
        held: list[tuple[int, Peer, Peer]] = []
        for action in actions:
            if action == "open":
                held += _hold(lab, 1)
            elif held:
                _, client, server = held.pop(random.randrange(len(held)))
                if action == "answer":
                    server.send(OK)
                elif action == "client":
                    client.reset()
                else:
                    server.reset()
                client.take()
                client.reset()
            lab.settle()
            assert _busy(lab) == [sum(number == k for number, *_ in held) for k in range(2)]
