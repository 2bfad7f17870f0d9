"""Probes through the appliance's own stack: when a service is taken for up or down, and who probes it."""

from __future__ import annotations

import pytest

from ncore_ray.tables.service import Health
from tests.engine.http.http_talk import GET, OK, passed_request, passed_response, refused
from tests.support.http_lab import SECOND, HttpLab, running

TCP = "{type: tcp, interval: 2s, timeout: 500ms, fall: 2, rise: 2}"
HTTP = "{type: http, path: /health, host: probe.example, interval: 2s, timeout: 500ms, fall: 1, rise: 1}"
PROBE = b"GET /health HTTP/1.1\r\nHost: probe.example\r\n"


def _health(lab: HttpLab, number: int = 0) -> Health:
    return Health(lab.watch(number).health)


def test_service_is_unknown_until_its_first_probe() -> None:
    with running(monitor=TCP) as lab:
        assert _health(lab) == Health.UNKNOWN
        lab.wait(100_000)
        assert _health(lab) == Health.UP
        assert lab.watch(0).probes == 1


@pytest.mark.parametrize("how", ["refuse", "silent"])
def test_service_that_never_answered_is_down_at_once(how: str) -> None:
    with running(monitor=TCP) as lab:
        setattr(lab.servers[0], how, True)
        lab.wait(SECOND)
        assert _health(lab) == Health.DOWN


@pytest.mark.parametrize("how", ["refuse", "silent"])
def test_fall_and_rise(how: str) -> None:
    with running(monitor=TCP) as lab:
        lab.wait(SECOND)
        assert _health(lab) == Health.UP
        setattr(lab.servers[0], how, True)
        lab.wait(2 * SECOND)
        assert (lab.watch(0).failures, _health(lab)) == (1, Health.UP)
        lab.wait(2 * SECOND)
        assert (lab.watch(0).failures, _health(lab)) == (2, Health.DOWN)
        setattr(lab.servers[0], how, False)
        lab.wait(2 * SECOND)
        assert (lab.watch(0).successes, _health(lab)) == (1, Health.DOWN)
        lab.wait(2 * SECOND)
        assert (lab.watch(0).successes, _health(lab)) == (2, Health.UP)
        assert lab.watch(0).failed_probes == 2


def test_probes_come_at_their_interval() -> None:
    with running(monitor=TCP) as lab:
        lab.wait(20_500_000, 100_000)
        assert lab.watch(0).probes in (10, 11)
        assert lab.servers[0].syns == lab.watch(0).probes


def test_probe_leaves_nothing_behind() -> None:
    with running(monitor=TCP) as lab:
        lab.wait(SECOND)
        assert lab.live() == []
        peer = lab.servers[0].accept()
        assert peer.was_reset
        assert lab.service_stats().connections == 0
        assert lab.service_stats().total_connections == 0


def test_service_that_refuses_a_client_is_left_out_at_once_and_comes_back() -> None:
    with running(services=2, monitor=TCP) as lab:
        lab.wait(SECOND)
        lab.servers[0].refuse = True
        lab.servers[1].waiting.clear()
        client = lab.client().connect().send(GET)
        lab.servers[1].accept().expect(passed_request(GET)).send(OK)
        client.expect(passed_response(OK))
        assert _health(lab, 0) == Health.DOWN
        assert lab.service_stats(0).failures == 1
        before = lab.servers[0].syns
        lab.wait(100_000)
        assert lab.servers[0].syns == before + 1, "it is probed at once, not at its next turn"
        lab.servers[0].refuse = False
        lab.wait(5 * SECOND)
        assert _health(lab, 0) == Health.UP


def test_all_services_down() -> None:
    with running(services=2, monitor=TCP) as lab:
        for host in lab.servers:
            host.refuse = True
        lab.wait(SECOND)
        refused(lab, lab.client().connect().send(GET), 503)
        assert lab.counters().connections_refused == 0


# HTTP probes.


def _probed(lab: HttpLab, *pieces: bytes, close: bool = False) -> Health:
    """Answer one probe in pieces; return what is known of the service afterwards."""
    count = lab.servers[0].syns
    while lab.servers[0].syns == count:
        lab.wait(50_000)
    peer = lab.servers[0].waiting.pop()
    lab.settle()
    assert peer.received.startswith(PROBE)
    assert peer.received.endswith(b"\r\n\r\n")
    for piece in pieces:
        peer.send(piece)
        lab.settle()
    if close:
        peer.close()
    lab.wait(600_000)
    assert peer.was_reset or peer.eof
    return _health(lab)


@pytest.mark.parametrize(
    ("status", "good"), [(199, False), (200, True), (204, True), (302, True), (399, True), (400, False), (503, False)]
)
def test_expected_statuses(status: int, good: bool) -> None:
    with running(monitor=HTTP) as lab:
        assert _probed(lab, b"HTTP/1.1 %d Some\r\nContent-Length: 0\r\n\r\n" % status) == (
            Health.UP if good else Health.DOWN
        )


def test_own_expectation() -> None:
    with running(monitor='{type: http, path: /health, host: probe.example, expect: "401-403"}') as lab:
        assert _probed(lab, b"HTTP/1.1 200 OK\r\n\r\n") == Health.DOWN
        assert _probed(lab, b"HTTP/1.1 401 Who\r\n\r\n") == Health.UP


@pytest.mark.parametrize(
    "answer", [b"HTTP/2.0 200 OK\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 2x0 OK\r\n", b"\0" * 20]
)
def test_answer_that_is_no_status_line(answer: bytes) -> None:
    with running(monitor=HTTP) as lab:
        assert _probed(lab, b"HTTP/1.1 200 OK\r\n\r\n") == Health.UP
        assert _probed(lab, answer) == Health.DOWN


def test_status_line_in_pieces() -> None:
    with running(monitor=HTTP) as lab:
        assert _probed(lab, *(bytes([byte]) for byte in b"HTTP/1.1 200")) == Health.UP


def test_server_that_accepts_and_says_nothing() -> None:
    with running(monitor=HTTP) as lab:
        assert _probed(lab) == Health.DOWN


@pytest.mark.parametrize("part", [b"", b"HTTP/1.1 20"])
def test_server_that_closes_too_early(part: bytes) -> None:
    with running(monitor=HTTP) as lab:
        assert _probed(lab, *([part] if part else []), close=True) == Health.DOWN


def test_answer_and_fin_in_a_row() -> None:
    with running(monitor=HTTP) as lab:
        assert _probed(lab, b"HTTP/1.0 200 OK\r\n\r\nfine", close=True) == Health.UP


# Engines share what they know.


def test_one_engine_probes_and_all_know() -> None:
    with running(services=3, engines=2, monitor=TCP) as lab:
        lab.wait(SECOND)
        assert [host.syns for host in lab.servers] == [1, 1, 1]
        assert [lab.counters(engine).connections_opened for engine in (0, 1)] == [2, 1]
        assert all(_health(lab, number) == Health.UP for number in range(3))


def test_engine_that_does_not_probe_reports_a_failure() -> None:
    with running(engines=2, monitor=TCP) as lab:
        lab.wait(SECOND)
        lab.servers[0].refuse = True
        refused(lab, lab.client(engine=1).connect().send(GET), 503)
        assert _health(lab) == Health.DOWN
        lab.servers[0].refuse = False
        lab.wait(5 * SECOND)
        assert _health(lab) == Health.UP


def test_full_table_says_nothing_about_a_service() -> None:
    with running(connections=16, monitor=TCP) as lab:
        lab.wait(SECOND)
        assert all(lab.client().connect().established for _ in range(16))
        failed = lab.watch(0).failed_probes
        lab.wait(8 * SECOND)
        assert _health(lab) == Health.UP
        assert lab.watch(0).failed_probes == failed


def test_draining_engine_probes_no_more() -> None:
    with running(monitor=TCP) as lab:
        lab.wait(SECOND)
        lab.drain()
        count = lab.servers[0].syns
        lab.wait(6 * SECOND)
        assert lab.servers[0].syns == count


def test_service_without_a_route_is_down() -> None:
    with running(monitor=TCP) as lab:
        lab.service(0).route = -1
        lab.wait(5 * SECOND)
        assert _health(lab) == Health.DOWN


def test_probe_whose_syn_is_given_up_before_its_time() -> None:
    with running(monitor="{type: tcp, interval: 10s, timeout: 5s, fall: 1}", tcp="syn_retries: 0") as lab:
        lab.servers[0].silent = True
        lab.wait(2 * SECOND)
        assert _health(lab) == Health.DOWN
