"""The load client's plan, its checks, and its figures."""

from __future__ import annotations

import hashlib
import json

from hypothesis import given
from hypothesis import strategies as st

from ncore_ray.lab.client import Load
from ncore_ray.lab.http1 import Answer
from ncore_ray.lab.measure import Latency, Recorder, percentile
from ncore_ray.lab.pattern import patterned
from ncore_ray.lab.plan import AnswerCheck, Kind, Planner, Request, Role


def test_same_seed_gives_the_same_plan() -> None:
    first, second = (Planner("1/5", 1_000_000) for _ in range(2))
    assert [first.next(Role.KEEP_ALIVE) for _ in range(200)] == [second.next(Role.KEEP_ALIVE) for _ in range(200)]
    assert first.frames() == second.frames()


def test_roles_are_spread_by_their_shares() -> None:
    load = Load(("10.1.0.100", 80), ("10.1.0.100", 9000), connections=100, single_share=0.2, tcp_share=0.3)
    roles = [load.role(index) for index in range(100)]
    assert [roles.count(role) for role in (Role.SINGLE, Role.TCP, Role.KEEP_ALIVE)] == [20, 30, 50]


def verdict(request: Request, body: bytes, status: int = 200) -> str | None:
    check = AnswerCheck(request)
    check.feed(body)
    return check.verdict(Answer(status))


def test_verdicts_on_a_get() -> None:
    request = Request(Kind.SMALL, "GET", "/bytes/9?seed=4", answer_seed=4, answer_bytes=9)
    body = patterned(4, 9)
    assert verdict(request, body) is None
    assert verdict(request, body, 500) == "status 500 instead of 200"
    assert verdict(request, body[:-1]) == "body of 8 instead of 9 bytes"
    assert verdict(request, body[:3] + b"?" + body[4:]) == "body differs from offset 3 on"


def test_verdicts_on_a_post() -> None:
    request = Request(Kind.POST, "POST", "/echo", body_seed=4, body_bytes=9)
    digest = hashlib.sha256(patterned(4, 9)).hexdigest()
    assert verdict(request, json.dumps({"bytes": 9, "sha256": digest}).encode()) is None
    assert verdict(request, json.dumps({"bytes": 8, "sha256": digest}).encode()) == "the server got another body"
    assert verdict(request, b"oops") == "the answer to POST is not JSON"


@given(st.lists(st.integers(0, 10**6), min_size=1), st.floats(0.01, 1.0))
def test_percentile_is_the_nearest_rank(values: list[int], share: float) -> None:
    ordered = sorted(values)
    found = percentile(ordered, share)
    assert sum(value <= found for value in ordered) >= share * len(ordered) - 1e-6
    assert sum(value < found for value in ordered) < share * len(ordered) + 1e-6


def test_report_counts_failures_too() -> None:
    record = Recorder()
    for latency_us in range(1, 101):
        record.success("small GET", latency_us, "web1")
    record.failure("status 500", "GET /")
    report = record.report(2.0)
    assert (report["requests"], report["failures"]) == (101, {"status 500": 1})
    assert report["latency_us"][0] == {"name": "all", "count": 100, "p50": 50, "p90": 90, "p99": 99, "max": 100}
    assert Latency.of("none", []) == Latency("none", 0, 0, 0, 0, 0)
