"""The access log of an appliance, as its operators find it."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from tests.e2e.bed import Bed

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def lines(bed: Bed, agent: str, count: int) -> list[dict[str, Any]]:
    """Return the lines of a user agent, as soon as there are so many."""
    path = bed.folder / "access.log"

    def found() -> list[dict[str, Any]]:
        text = path.read_text() if path.exists() else ""
        return [line for line in map(json.loads, text.splitlines()) if line.get("agent") == agent]

    bed.wait(lambda: len(found()) >= count, "lines of the access log")
    return found()


def test_each_request_has_a_line(bed: Bed) -> None:
    urls = ("/bytes/12345?seed=1", "-o/dev/null", "/bytes/10", "-o/dev/null", "/missing")
    reply = bed.curl("-A", "access/1", "-e", "http://elsewhere/", *urls)
    assert reply.exit_status == 0
    first, second, third = lines(bed, "access/1", 3)
    assert [line["status"] for line in (first, second, third)] == [200, 200, 404]
    assert [line["bytes"] for line in (first, second)] == [12_345, 10]
    assert (first["method"], first["target"], first["version"]) == ("GET", "/bytes/12345?seed=1", "1.1")
    assert (first["host"], first["referer"], first["client"]) == ("10.1.0.100", "http://elsewhere/", "10.1.0.2")
    assert first["vserver"] == "www"
    assert first["service"] in ("web1", "web2")
    assert [line["complete"] for line in (first, second, third)] == [True] * 3
    assert first["port"] == second["port"] == third["port"]
    assert 0 <= first["ms"] < 10_000


def test_a_request_that_is_refused_has_a_line(bed: Bed) -> None:
    with bed.connect(80) as client:
        client.sendall(b"GET / HTTP/1.1\r\nBad Field: 1\r\n\r\n")
        assert b" 400 " in client.recv(4096)
        port = client.getsockname()[1]

    def refused() -> list[dict[str, Any]]:
        found = map(json.loads, (bed.folder / "access.log").read_text().splitlines())
        return [line for line in found if line["port"] == port]

    bed.wait(refused, "the line of the refusal")
    (line,) = refused()
    assert (line["status"], line["service"], "target" in line) == (400, None, False)


def test_lines_are_as_many_as_requests(bed: Bed) -> None:
    before = bed.still_snapshot()
    for _ in range(3):
        bed.curl("-A", "access/2", "/bytes/100")
    lines(bed, "access/2", 3)
    after = bed.still_snapshot()
    grown = {
        name: sum(
            after.stat["actors"][f"engine-{k}"][name] - before.stat["actors"][f"engine-{k}"][name] for k in (0, 1)
        )
        for name in ("http_requests", "access_logged_requests", "access_log_full_requests")
    }
    assert grown["access_logged_requests"] == grown["http_requests"]
    assert grown["access_log_full_requests"] == 0
