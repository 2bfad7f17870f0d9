"""The histogram of response times: its buckets against plain arithmetic, and what exchanges put into it."""

from __future__ import annotations

import pytest

from ncore_ray.engine.latency.bounds import bound_us, exported_bounds, quantile_us
from ncore_ray.engine.latency.histogram import BUCKETS
from ncore_ray.management.directory import service_rows, vserver_rows
from ncore_ray.management.latencies import latencies, service_latencies, summary
from tests.engine.http.http_talk import GET, OK, begin, exchange, passed_response
from tests.engine.latency.kernels import buckets_of
from tests.support.http_lab import HttpLab, running

MILLISECOND = 1_000


def _slow_bucket(span_us: int) -> int:
    return next((bucket for bucket in range(BUCKETS - 1) if span_us < bound_us(bucket)), BUCKETS - 1)


def test_buckets_are_those_of_their_bounds() -> None:
    edges = [bound_us(bucket) for bucket in range(BUCKETS - 1)]
    assert edges == sorted(set(edges))
    spans = sorted({max(edge + step, 0) for edge in edges for step in (-1, 0, 1)} | {0, 1, 1 << 30})
    assert buckets_of(spans) == [_slow_bucket(span) for span in spans]


def test_exported_buckets_are_sums_of_whole_ones() -> None:
    for bound, count in exported_bounds():
        if bound is not None:
            assert bound_us(count - 1) == bound
    assert next(exported_bounds())[0] == 128
    assert list(exported_bounds())[-1] == (None, BUCKETS)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 1.0])
def test_quantiles_lie_in_their_buckets(share: float) -> None:
    spans = [17 * k for k in range(1, 2_000)]
    times = [0] * BUCKETS
    for span in spans:
        times[_slow_bucket(span)] += 1
    bucket = _slow_bucket(spans[max(int(share * len(spans)) - 1, 0)])
    assert bound_us(bucket - 1) <= quantile_us(times, share) <= bound_us(bucket)
    assert quantile_us([0] * BUCKETS, share) == 0


def _seen(lab: HttpLab) -> dict[str, int]:
    found = latencies(lab.array, vserver_rows(lab.array))
    return {name: row["responses"] for name, row in found.items()}


def test_one_response_one_entry_with_its_time() -> None:
    with running() as lab:
        client, server = begin(lab)
        lab.wait(30 * MILLISECOND)
        assert _seen(lab) == {}
        server.send(OK)
        client.expect(passed_response(OK))
        row = latencies(lab.array, vserver_rows(lab.array))["v"]
        assert (row["responses"], row["engines"]) == (1, {"engine-0": 1})
        assert row["mean_us"] == pytest.approx(30 * MILLISECOND, rel=0.02)
        assert row["p50_us"] == pytest.approx(30 * MILLISECOND, rel=0.4)
        for number in range(4):
            exchange(client, server, number)
        assert _seen(lab) == {"v": 5}


def test_the_last_byte_is_counted_when_it_comes_and_the_service_s_time_is_that_of_the_head() -> None:
    body = bytes(200)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n"
    with running() as lab:
        client, server = begin(lab)
        lab.wait(20 * MILLISECOND)
        server.send(head + body[:100])
        client.take()
        assert latencies(lab.array, vserver_rows(lab.array))["v"]["whole"]["responses"] == 0
        lab.wait(40 * MILLISECOND)
        server.send(body[100:])
        client.take()
        row = latencies(lab.array, vserver_rows(lab.array))["v"]
        (served,) = service_latencies(lab.array, service_rows(lab.array)).values()
    assert (row["responses"], row["whole"]["responses"], served["responses"]) == (1, 1, 1)
    assert row["mean_us"] == pytest.approx(20 * MILLISECOND, rel=0.02)
    assert row["whole"]["mean_us"] == pytest.approx(60 * MILLISECOND, rel=0.02)
    assert served["mean_us"] == row["mean_us"]


def test_what_is_cut_off_has_no_last_byte() -> None:
    with running() as lab:
        _, server = begin(lab)
        server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n" + bytes(100))
        server.close()
        lab.wait(MILLISECOND)
        row = latencies(lab.array, vserver_rows(lab.array))["v"]
    assert (row["responses"], row["whole"]["responses"]) == (1, 0)


def test_the_appliance_s_own_responses_are_left_out() -> None:
    with running() as lab:
        client = lab.client().connect()
        client.send(GET.replace(b"Host: a\r\n", b""))
        assert client.take().startswith(b"HTTP/1.1 400 ")
        assert _seen(lab) == {}


def test_a_summary_of_nothing() -> None:
    assert summary([0] * BUCKETS, 0)["mean_us"] == 0
