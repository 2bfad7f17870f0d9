"""The time in which nobody worked is given back: a successor looks at what came before it takes anything for late."""

from __future__ import annotations

from ncore_ray.engine.takeover.run import take_over
from ncore_ray.tables.service import Health
from tests.engine.http.http_talk import GET, OK, begin, passed_response
from tests.support.http_lab import SECOND, HttpLab, running


def be_dead(lab: HttpLab, span_us: int) -> None:
    """Let nobody work for a while; then a successor does."""
    lab.now += span_us
    found = take_over(lab.array, 0, lab.now)
    assert (found.broken, found.unmarked) == (0, 0)


def test_an_answer_that_was_waiting_comes_in_time() -> None:
    with running(timeouts="server: 2s") as lab:
        client, server = begin(lab, GET)
        be_dead(lab, 60 * SECOND)
        lab.wait(SECOND // 10)
        server.send(OK)
        client.expect(passed_response(OK))
        assert lab.counters().retransmission_timeouts == 0


def test_a_deadline_comes_all_the_same() -> None:
    with running(timeouts="server: 2s") as lab:
        client, _ = begin(lab, GET)
        be_dead(lab, 60 * SECOND)
        lab.wait(3 * SECOND)
        assert client.read().startswith(b"HTTP/1.1 504 ")


def test_probes_do_not_fail_by_it() -> None:
    with running(monitor="{type: tcp, interval: 1s, timeout: 200ms, fall: 1}") as lab:
        lab.wait(3 * SECOND)
        assert lab.watch(0).health == Health.UP
        lab.servers[0].silent = True
        lab.wait(SECOND // 2)
        while not any(tcb.role for tcb in lab.live() if tcb.state < 4):
            lab.wait(SECOND // 50)
        lab.servers[0].silent = False
        failed = lab.watch(0).failed_probes
        be_dead(lab, 30 * SECOND)
        lab.wait(SECOND // 10, 10_000)
        assert lab.watch(0).failed_probes == failed
