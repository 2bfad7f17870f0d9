"""The access log: what engines note of requests, joined and written."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ncore_ray.engine.access.ring import NoteRing, drain_notes
from ncore_ray.machine.record import view
from ncore_ray.management.access.entry import Entry, Join
from ncore_ray.management.access.log import AccessLogWriter
from tests.engine.http.http_talk import OK, answer, begin, exchange, get, refused
from tests.support.http_lab import SECOND, HttpLab, configuration, running

LOG = "file: access.log, buffer: 64KiB"
FULL = (
    b"POST /form?a=1 HTTP/1.1\r\nHost: shop.example\r\nREFERER: http://a/\r\nuser-agent: curl/8\r\n"
    b"Content-Length: 3\r\n\r\nabc"
)


def notes(lab: HttpLab, engine: int = 0) -> list[Entry]:
    """Return the entries that an engine's notes make."""
    ring, join = lab.engine(engine).access_ring, Join(engine)
    target = np.zeros(view(NoteRing, lab.array, ring).capacity, np.uint8)
    entries: list[Entry] = []
    while length := drain_notes(lab.base + ring, target.ctypes.data):
        entries += join.take(target[:length].tobytes())
    return entries


def brief(entry: Entry) -> tuple[Any, ...]:
    target = entry.request.target if entry.request else None
    return target, entry.status, entry.content, entry.service, entry.complete


def test_request_and_answer_are_noted() -> None:
    with running(access_log=LOG, services=2) as lab:
        client = lab.client().connect()
        client.send(FULL)
        server = lab.servers[0].accept()
        server.take()
        lab.pass_time(3_000)
        server.send(answer(b"12345"))
        client.take()
        (entry,) = notes(lab)
        request = entry.request
        assert request is not None
        assert (request.method, request.target, request.host) == (b"POST", b"/form?a=1", b"shop.example")
        assert (request.referer, request.agent, request.version_minor) == (b"http://a/", b"curl/8", 1)
        assert brief(entry) == (b"/form?a=1", 200, 5, 0, True)
        assert entry.at - request.at >= 3_000
        assert (entry.port, entry.address[1] & 0xFF) == (30_001, 2)
        assert lab.counters().access_logged_requests == 1


def test_each_request_of_a_connection_is_noted_in_order() -> None:
    with running(access_log=LOG) as lab:
        client, server = begin(lab)
        server.send(OK)
        client.take()
        for number in range(5):
            exchange(client, server, number)
        assert [brief(entry)[0] for entry in notes(lab)] == [b"/", *(b"/%d" % number for number in range(5))]


def test_refusals_are_noted_without_a_request() -> None:
    with running(access_log=LOG) as lab:
        client = lab.client().connect()
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        refused(lab, client, 400)
        assert [(*brief(entry)[:2], *brief(entry)[3:]) for entry in notes(lab)] == [(None, 400, -1, True)]


def test_answers_of_the_appliance_itself_are_noted() -> None:
    with running(access_log=LOG) as lab:
        client, server = begin(lab)
        server.send(b"hello\r\n\r\n")
        refused(lab, client, 502)
        server.expect_reset()
        (entry,) = notes(lab)
        assert (entry.status, entry.service, entry.complete) == (502, -1, True)
        assert entry.content > 0


@pytest.mark.parametrize("begun", [False, True])
def test_clients_that_go_away_are_noted(begun: bool) -> None:
    with running(access_log=LOG) as lab:
        client, server = begin(lab)
        if begun:
            server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcd")
            client.take()
        client.reset()
        server.expect_reset()
        assert [brief(entry) for entry in notes(lab)] == [(b"/", 200 if begun else 0, 4 if begun else 0, 0, False)]


def test_a_server_that_breaks_off_is_noted() -> None:
    with running(access_log=LOG) as lab:
        client, server = begin(lab)
        server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcd")
        client.take()
        server.reset()
        client.expect_reset()
        assert [brief(entry) for entry in notes(lab)] == [(b"/", 200, 4, 0, False)]


def test_a_sample_is_even() -> None:
    with running(access_log=LOG + ", sample: 25%") as lab:
        client, server = begin(lab)
        server.send(OK)
        client.take()
        for number in range(1, 12):
            exchange(client, server, number)
        assert [brief(entry)[0] for entry in notes(lab)] == [b"/3", b"/7", b"/11"]
        assert lab.counters().http_requests == 12


def test_a_vserver_may_have_no_log() -> None:
    with running(access_log=LOG, http="access_log: false") as lab:
        client, server = begin(lab)
        server.send(OK)
        client.take()
        bad = lab.client().connect()
        bad.send(b"GET / HTTP/1.1\r\n\r\n")
        refused(lab, bad, 400)
        assert notes(lab) == []


def test_a_full_ring_stops_nothing() -> None:
    long = b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"x" * 2_500)
    with running(access_log=LOG) as lab:
        client, server = begin(lab)
        server.send(OK)
        client.take()
        for _ in range(60):
            client.send(long)
            server.take()
            server.send(OK)
            client.take()
        found = notes(lab)
        counters = lab.counters()
        whole = [entry for entry in found if entry.complete]
        assert 20 < len(whole) < 40
        assert all(entry.request and len(entry.request.target) <= 2_048 for entry in whole)
        assert counters.http_requests == counters.http_responses == 61
        assert counters.access_log_full_requests + counters.access_logged_requests >= 61
        exchange(client, server, 7)
        assert [brief(entry) for entry in notes(lab)] == [(b"/7", 200, 1, 0, True)]


def test_notes_of_any_length_come_through_the_circle_whole() -> None:
    seed = 20261123
    print(f"seed {seed}")
    chance = random.Random(seed)
    with running(access_log=LOG) as lab:
        client, server = begin(lab)
        server.send(OK)
        client.take()
        sent, found = [b"/"], []
        for _ in range(150):
            target = b"/" + b"t" * chance.randrange(1_900)
            client.send(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target)
            server.take()
            server.send(OK)
            client.take()
            sent.append(target)
            if chance.random() < 0.2:
                found += notes(lab)
        found += notes(lab)
        assert [entry.request.target for entry in found if entry.request] == sent
        assert all(entry.complete for entry in found)


def test_without_a_log_nothing_is_noted() -> None:
    with running() as lab:
        begin(lab)
        assert lab.engine().access_ring == 0
        lab.client().connect().reset()


def test_lines_are_written_for_all_engines(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    lab = HttpLab(configuration(engines=2, access_log=f"file: {path}, format: json, buffer: 64KiB"))
    access = lab.blueprint.configuration.access_log
    assert access is not None
    said: list[tuple[str, str]] = []
    writer = AccessLogWriter(access, lab.array, lambda *event: said.append(event))
    for engine in range(2):
        client = lab.client(engine=engine).connect()
        client.send(get(engine))
        server = lab.servers[0].accept()
        server.take()
        server.send(answer(b"abc"))
        client.take()
    lab.pass_time(SECOND // 100)
    writer.write_all()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["engine"], line["target"], line["status"]) for line in lines] == [(0, "/0", 200), (1, "/1", 200)]
    assert {(line["vserver"], line["service"], line["client"], line["bytes"]) for line in lines} == {
        ("v", "s0", "10.1.0.2", 3)
    }
    path.rename(tmp_path / "old.log")
    writer.stop()
    assert said == []
