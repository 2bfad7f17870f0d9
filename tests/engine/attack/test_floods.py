"""Floods of SYNs, acknowledgments and resets: a client that behaves is served, and nothing is kept or lost for good."""

from __future__ import annotations

import pytest

from ncore_ray.engine.connection import Role, Tcb
from ncore_ray.lab.dry.engine import EngineLab
from ncore_ray.lab.dry.siege import Siege
from ncore_ray.machine.jit import JIT
from ncore_ray.machine.record import size_of
from tests.support.tcp_script import check_accounts, check_nothing_leaked

VISITS = 100 if JIT else 10
PART = 200


def besiege(kind: str, seed: int, tcp: str = "") -> Siege:
    """Let a client come time and again while segments of a flood arrive; some of them before the first time."""
    siege = Siege(kind, seed, tcp=tcp)
    before = len(siege.lab.connections())
    siege.visit(2_000)
    for _ in range(VISITS - 1):
        siege.visit(PART)
        check_accounts(siege.lab.totals())
    assert before == 0
    check_nothing_leaked(siege.lab)
    return siege


def wait_for_the_end(lab: EngineLab) -> None:
    """Let all handshakes under way time out."""
    lab.pass_time(200_000_000, step_us=100_000)
    lab.sent()
    check_nothing_leaked(lab, connections=0)
    assert lab.engine().half_open_first == lab.engine().half_open_last == 0
    assert lab.vserver().half_open == lab.vserver().connections == 0


@pytest.mark.parametrize("mode", ["auto", "always"])
def test_flood_of_syns(mode: str) -> None:
    siege = besiege("syn", 1, f"syn_cookies: {mode}, syn_retries: 1")
    counters, engine = siege.lab.counters(), siege.lab.engine()
    assert siege.answered >= 0.99 * siege.visits
    assert engine.half_open <= engine.half_open_limit
    assert counters.connections_accepted + counters.syn_cookies_sent >= siege.flooded
    if mode == "always":
        assert counters.syn_cookies_sent == siege.flooded + siege.visits
        assert counters.connections_accepted == counters.syn_cookies_accepted == siege.visits
        assert siege.lab.connections() == []
    wait_for_the_end(siege.lab)


def test_flood_of_syns_takes_no_memory_once_cookies_are_sent() -> None:
    siege = Siege("syn", 2, tcp="syn_cookies: always")
    engine = siege.lab.engine()
    records = slice(engine.connections, engine.connections + engine.connection_count * size_of(Tcb))
    before = siege.lab.array[records].tobytes()
    siege.press(640)
    assert siege.lab.array[records].tobytes() == before
    check_nothing_leaked(siege.lab, connections=0)
    assert siege.lab.counters().syn_cookies_sent == 640


def test_flood_of_syns_without_cookies_is_refused_and_counted() -> None:
    siege = Siege("syn", 3, tcp="syn_cookies: off, syn_retries: 1")
    siege.press(500)
    counters = siege.lab.counters()
    assert counters.connections_accepted == siege.lab.engine().half_open_limit
    assert counters.drop_tcp_half_open_limit_packets == 500 - siege.lab.engine().half_open_limit
    assert siege.lab.vserver().refused == counters.drop_tcp_half_open_limit_packets
    wait_for_the_end(siege.lab)


@pytest.mark.parametrize("mode", ["auto", "always"])
@pytest.mark.parametrize(("kind", "answers"), [("ack", 1), ("rst", 0), ("syn-ack", 1)])
def test_flood_of_strays(kind: str, answers: int, mode: str) -> None:
    siege = besiege(kind, 4, f"syn_cookies: {mode}, stray_resets: 1000000")
    counters = siege.lab.counters()
    assert siege.answered == siege.visits
    assert counters.drop_tcp_no_connection_packets == siege.flooded
    assert counters.resets_sent == answers * siege.flooded + siege.visits  # the service is told that the client went
    if kind == "ack" and mode == "auto":
        assert counters.syn_cookies_refused == 0  # none was sent, so none is looked for
    assert [tcb for tcb in siege.lab.connections() if tcb.role == Role.CLIENT] == []
    wait_for_the_end(siege.lab)


@pytest.mark.parametrize("kind", ["ack", "syn-ack"])
def test_flood_of_strays_is_answered_within_a_limit(kind: str) -> None:
    siege = besiege(kind, 5, "stray_resets: 100")
    counters = siege.lab.counters()
    assert siege.answered == siege.visits
    assert 50 <= counters.resets_sent - siege.visits <= 50 + siege.lab.now // 10_000
    assert counters.resets_sent + counters.resets_suppressed == siege.flooded + siege.visits
    wait_for_the_end(siege.lab)


def test_cookies_are_not_guessed() -> None:
    """An acknowledgment of a number that was never sent opens nothing, however many come."""
    siege = besiege("ack", 5, "syn_cookies: always")
    counters = siege.lab.counters()
    assert counters.syn_cookies_accepted == siege.visits
    assert counters.syn_cookies_refused >= siege.flooded - 2_000
