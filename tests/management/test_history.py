"""The history of counters: rings of several periods, rates, and the handing over."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from ncore_ray.errors import NcoreError
from ncore_ray.management.history import NOW, RINGS, History
from ncore_ray.management.samples import sample
from tests.engine.http.http_talk import begin, exchange
from tests.support.http_lab import running


def _filled(seconds: int, first: int = 0) -> History:
    history = History()
    for second in range(first, seconds):
        history.add({"requests": 10 * second, f"{NOW}connections": second % 7}, at=1e9 + second, clock=float(second))
    return history


@pytest.mark.parametrize(("period", "count"), RINGS)
def test_every_ring_is_bounded_and_loses_nothing(period: int, count: int) -> None:
    history = _filled(100_000)
    found = history.since(1e9, period)["samples"]
    assert len(found) == count
    assert {one["requests"] for one in found} == {10.0}
    assert [round(b["at"] - a["at"]) for a, b in pairwise(found)] == [period] * (count - 1)


def test_the_finest_ring_that_goes_back_so_far_is_asked() -> None:
    history = _filled(4_000)
    assert [history.since(span)["period_s"] for span in (60, 300, 301, 3_600, 3_601, 1e6)] == [1, 1, 10, 10, 60, 60]
    assert len(history.since(60)["samples"]) == 60
    with pytest.raises(NcoreError, match="period of 7 s"):
        history.since(60, 7)


def test_gauges_are_as_they_were_and_counters_never_fall() -> None:
    history = History()
    for clock, total in enumerate((100, 150, 20, 25)):
        history.add({"requests": total, f"{NOW}connections": clock}, at=clock, clock=float(clock))
    assert [(one["requests"], one["connections"]) for one in history.since(60)["samples"]] == [(50, 1), (0, 2), (5, 3)]


def test_new_series_begin_where_they_are() -> None:
    history = History()
    history.add({"requests": 5}, at=0, clock=0.0)
    history.add({"requests": 6, "requests.new": 3}, at=1, clock=1.0)
    assert history.since(60)["samples"] == [{"at": 1, "requests": 1.0, "requests.new": 3.0}]


def test_who_takes_over_has_no_gap() -> None:
    whole, waiting = _filled(2_000), _filled(2_000, first=1_950)
    waiting.take(whole.leave())
    for period, _ in RINGS:
        assert waiting.since(1e9, period)["samples"][-40:] == whole.since(1e9, period)["samples"][-40:] or period > 1
        assert len(waiting.since(1e9, period)["samples"]) >= len(whole.since(1e9, period)["samples"]) - 1


def test_a_sample_has_what_clients_counted() -> None:
    with running() as lab:
        client, server = begin(lab)
        server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        client.take()
        for number in range(6):
            exchange(client, server, number)
        found: dict[str, Any] = sample(lab.array)
        assert (found["requests"], found["requests.v"], found[f"{NOW}connections"]) == (7, 7, 1)
        assert found["sent_bytes"] == client.total_received
        assert found["received_bytes"] == client.total_sent
