"""The requests of one connection are served by three engines; real clients see nothing of it but their answers."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

from ncore_ray.lab.pattern import patterned
from ncore_ray.lab.process import find_program
from tests.e2e.bed import PER_CORE, Bed
from tests.e2e.file_server import serve_file
from tests.e2e.load import assert_bytes

OPTIONS = PER_CORE
TURNS = "10.1.0.101"
URL = "http://10.1.0.100:8081/file"


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(find_program(program) is None, reason=f"{program} is not installed")


@pytest.fixture(scope="module")
def nginx(bed: Bed) -> Path:
    """A file of 100,000 bytes behind nginx."""
    return serve_file(bed)


def served(bed: Bed) -> list[int]:
    """Return how many requests each engine has served."""
    actors: dict[str, Any] = bed.site.stat()["actors"]
    return [actors[f"engine-{number}"]["http_requests"] for number in range(3)]


def read_answer(stream: Any) -> bytes:
    """Read one answer with a Content-Length; return its body."""
    assert stream.readline().startswith(b"HTTP/1.1 200")
    length = 0
    while (line := stream.readline()) != b"\r\n":
        name, _, value = line.partition(b":")
        length = int(value) if name.lower() == b"content-length" else length
    return bytes(stream.read(length))


def test_pipelined_requests_are_served_by_all_engines_and_answered_in_order(bed: Bed) -> None:
    before = served(bed)
    sizes = [(37 * number) % 5_000 for number in range(90)]
    with bed.connect(80, TURNS) as client:
        request = "".join(f"GET /bytes/{size}?seed=1 HTTP/1.1\r\nHost: {TURNS}\r\n\r\n" for size in sizes)
        client.sendall(request.encode())
        with client.makefile("rb") as stream:
            for size in sizes:
                assert read_answer(stream) == patterned(1, size)
    growth = [after - count for count, after in zip(before, served(bed), strict=True)]
    assert sum(growth) == 90
    assert min(growth) >= 25


@needs("curl")
def test_curl_uses_one_connection_for_many_requests(bed: Bed) -> None:
    before = served(bed)
    urls = ["-o", "/dev/null", f"http://{TURNS}/bytes/1000?seed=2"] * 12
    text = bed.run(["curl", "-sS", "-w", "%{http_code} %{num_connects} %{size_download}\\n", *urls])
    assert text.split("\n") == ["200 1 1000"] + ["200 0 1000"] * 11
    growth = [after - count for count, after in zip(before, served(bed), strict=True)]
    assert sum(growth) == 12
    assert min(growth) >= 3


@needs("curl")
@pytest.mark.parametrize("length", [0, 1, 100_000, 20_000_000])
def test_bodies_arrive_as_they_were_sent(bed: Bed, length: int) -> None:
    reply = bed.curl(f"http://{TURNS}/bytes/{length}?seed=3")
    assert (reply.status, reply.exit_status) == (200, 0)
    assert hashlib.sha256(reply.body).digest() == hashlib.sha256(patterned(3, length)).digest()


@needs("nginx")
@needs("wrk")
def test_wrk_sees_no_error_before_nginx(bed: Bed, nginx: Path) -> None:
    before = served(bed)
    text = bed.run(["wrk", "-t1", "-c20", "-d2s", URL])
    assert "Non-2xx" not in text, text
    assert "Socket errors" not in text, text
    requests = re.search(r"(\d+) requests in", text)
    assert requests
    growth = [after - count for count, after in zip(before, served(bed), strict=True)]
    assert int(requests[1]) > 100
    assert min(growth) > int(requests[1]) // 4


def test_load_is_byte_exact(bed: Bed) -> None:
    assert_bytes(
        bed, "--seconds", "3", "--requests", "200", "--connections", "20", "--rate", "0", vip=TURNS, shared=True
    )


def test_explain_says_what_decides(bed: Bed) -> None:
    found = bed.appliance.ask("explain_flow", "10.1.0.2", 40_000, TURNS, 80, "tcp")
    assert (
        found["application_reason"]
        == "for each request the next of the engines 0, 1, 2 (unit transaction, round robin)"
    )
