"""The aggregator's three sources say the same, to the unit, of an arena in which engines worked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ncore_ray.actors.teller import Teller
from ncore_ray.arena.core import Actor
from ncore_ray.arena.lease import Telling
from ncore_ray.config.load import parse
from ncore_ray.management.desk import Desk
from ncore_ray.management.numbers import Numbers
from ncore_ray.management.reports import (
    read_report,
    report_of_words,
    total_services,
    total_vservers,
    words_of_report,
)
from ncore_ray.management.samples import sample
from ncore_ray.management.sources import CounterSource, MemorySource, MessageSource, QueueSource, tell_by
from ncore_ray.messages.arena import ArenaPort
from ncore_ray.messages.port import monotonic_us
from ncore_ray.office.place import lease_of
from tests.engine.http.http_talk import OK, begin, exchange, passed_response
from tests.support.http_lab import HttpLab, configuration, running

ENGINES = 3
CORES = [Actor.DISTRIBUTOR, *(Actor.ENGINE + engine for engine in range(ENGINES))]


@pytest.fixture(scope="module")
def lab() -> Iterator[HttpLab]:
    """Three engines, each of which has served another number of requests."""
    with running(engines=ENGINES) as made:
        for engine in range(ENGINES):
            client, server = begin(made, engine=engine)
            server.send(OK)
            client.expect(passed_response(OK))
            for number in range(engine):
                exchange(client, server, number)
        yield made


def _totals(lab: HttpLab, source: CounterSource) -> list[Numbers]:
    found = source.reports()
    assert list(found) == CORES
    engines = [found[core].counters for core in CORES]
    rows = (*total_vservers(lab.array, found.values()), *total_services(lab.array, found.values()))
    return [*engines, *rows]


def test_shared_memory_has_what_clients_counted(lab: HttpLab) -> None:
    vserver = total_vservers(lab.array, MemorySource(lab.array).reports().values())[0]
    assert (vserver["requests"], vserver["total_connections"], vserver["connections"]) == (6, 3, 3)
    assert sample(lab.array)["requests"] == 6
    assert [read_report(lab.array, core).vservers[0]["requests"] for core in CORES[1:]] == [1, 2, 3]
    clients = list(lab.client_host.peers.values())
    assert vserver["received_bytes"] == sum(client.total_sent for client in clients)
    assert vserver["sent_bytes"] == sum(client.total_received for client in clients)


@pytest.mark.parametrize("core", CORES)
def test_a_report_survives_as_words(lab: HttpLab, core: int) -> None:
    report = read_report(lab.array, core)
    assert report_of_words(words_of_report(report), report.counters) == report


@pytest.fixture
def desk(lab: HttpLab) -> Iterator[Desk]:
    made = Desk(lab.array).start()
    yield made
    made.stop()
    for core in CORES:  # nothing is left for others
        while ArenaPort(lab.array, ENGINES, core).try_receive() is not None:
            pass


def test_messages_say_the_same(lab: HttpLab, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ncore_ray.management.sources.ANSWER_S", 60.0)  # threads of a crowded machine are late
    tellers = [Teller(lab.array, core) for core in CORES]
    for teller in tellers:
        teller.start()
    source = MessageSource(lab.array, lambda: CORES, desk)
    try:
        for _ in range(20):
            assert _totals(lab, source) == _totals(lab, MemorySource(lab.array))
        assert source.late == 0
    finally:
        for teller in tellers:
            teller.end()


def test_who_does_not_answer_is_read_from_the_arena(lab: HttpLab, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ncore_ray.management.sources.ANSWER_S", 0.001)
    source = MessageSource(lab.array, lambda: CORES[:2], desk)
    assert _totals(lab, source) == _totals(lab, MemorySource(lab.array))
    assert source.late == 2


def test_a_late_answer_is_no_answer_to_the_next_question(
    lab: HttpLab, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ncore_ray.management.sources.ANSWER_S", 0.001)
    source, teller = MessageSource(lab.array, lambda: CORES[1:2], desk), Teller(lab.array, CORES[1])
    source.reports()
    teller.take(monotonic_us())
    source.reports()
    assert source.late == 2


def test_the_queue_says_the_same(lab: HttpLab) -> None:
    desk = Desk(lab.array)
    source = QueueSource(lab.array, 1_000_000, desk)
    assert _totals(lab, source) == _totals(lab, MemorySource(lab.array))
    assert source.late == len(CORES)  # nobody has said anything yet
    for core in CORES:
        Teller(lab.array, core).tell()
    desk.take(monotonic_us())
    assert _totals(lab, source) == _totals(lab, MemorySource(lab.array))
    assert source.late == len(CORES)


def test_who_falls_silent_is_read_from_the_arena(lab: HttpLab, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(lab.array)
    source = QueueSource(lab.array, 1_000_000, desk)
    Teller(lab.array, CORES[1]).tell()
    desk.take(monotonic_us())
    monkeypatch.setattr("ncore_ray.management.sources.time.monotonic", lambda: 1e9)
    assert _totals(lab, source) == _totals(lab, MemorySource(lab.array))
    assert source.late == len(CORES)


@pytest.mark.parametrize(
    ("more", "telling"),
    [
        ("", Telling.NOT),
        ("statistics: {source: messages}", Telling.ASKED),
        ("statistics: {source: queue, period: 50ms}", Telling.UNASKED),
        ("appliance: {name: lab, engines: 3, replication: messages}", Telling.ASKED),
    ],
)
def test_the_cores_see_how_they_are_to_tell(lab: HttpLab, more: str, telling: Telling) -> None:
    text = configuration(engines=ENGINES)
    if more.startswith("appliance"):
        text = text.replace("appliance: {name: lab, engines: 3}\n", "")
    assert tell_by(lab.array, parse(f"{text}{more}\n")) is (telling is not Telling.NOT)
    assert lease_of(lab.array).telling == telling
