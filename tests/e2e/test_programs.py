"""Programs of others as server (nginx) and as load (ab, wrk)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ncore_ray.lab.pattern import patterned
from ncore_ray.lab.process import find_program
from tests.e2e.bed import Bed
from tests.e2e.file_server import serve_file

URL = "http://10.1.0.100:8081/file"


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(find_program(program) is None, reason=f"{program} is not installed")


@pytest.fixture(scope="module")
def nginx(bed: Bed) -> Path:
    """A file of 100,000 bytes behind nginx, which closes each connection after seven requests."""
    return serve_file(bed)


@needs("nginx")
@needs("curl")
def test_range_of_a_file(bed: Bed, nginx: Path) -> None:
    reply = bed.curl("-r", "1000-2999", URL)
    assert (reply.status, reply.body) == (206, patterned(1, 100_000)[1000:3000])


@needs("nginx")
@needs("curl")
def test_file_and_its_revalidation(bed: Bed, nginx: Path) -> None:
    reply = bed.curl(URL)
    assert reply.body == patterned(1, 100_000)
    tag = re.search(r"(?im)^etag: (.*?)\r?$", reply.headers)
    assert tag
    assert bed.curl("-H", f"If-None-Match: {tag[1]}", URL).status == 304


@needs("nginx")
@needs("ab")
@pytest.mark.parametrize("options", [["-k"], []])
def test_ab_sees_no_failure_though_nginx_closes_often(bed: Bed, nginx: Path, options: list[str]) -> None:
    text = bed.run(["ab", "-q", *options, "-n", "1000", "-c", "20", URL])
    assert re.search(r"Complete requests:\s+1000\b", text), text
    assert re.search(r"Failed requests:\s+0\b", text), text
    assert "Non-2xx" not in text


@needs("nginx")
@needs("wrk")
def test_wrk_sees_no_error(bed: Bed, nginx: Path) -> None:
    text = bed.run(["wrk", "-t1", "-c20", "-d2s", URL])
    assert "Non-2xx" not in text, text
    assert "Socket errors" not in text, text
    assert int(re.search(r"(\d+) requests in", text)[1]) > 100  # type: ignore[index]
