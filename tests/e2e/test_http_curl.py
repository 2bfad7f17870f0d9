"""curl through the HTTP vServer."""

from __future__ import annotations

import hashlib
import json

import pytest

from ncore_ray.lab.pattern import patterned
from ncore_ray.lab.process import find_program
from tests.e2e.bed import Bed

pytestmark = pytest.mark.skipif(find_program("curl") is None, reason="curl is not installed")


def told(bed: Bed, *options: str) -> dict[str, str]:
    """Return the header fields that reached the server; of repeated ones the last."""
    return {name.lower(): value for name, value in json.loads(bed.curl(*options, "/headers").body)["headers"]}


def upload(bed: Bed, body: bytes, *options: str) -> tuple[str, str]:
    """Upload a body; return the hash that the server computed, and curl's log."""
    path = bed.folder / "upload"
    path.write_bytes(body)
    reply = bed.curl(*options, "--data-binary", f"@{path}", "/echo")
    assert reply.status == 200, reply.log
    assert json.loads(reply.body)["bytes"] == len(body)
    return json.loads(reply.body)["sha256"], reply.log


@pytest.mark.parametrize("length", [0, 1, 1460, 4000, 1_000_000])
@pytest.mark.parametrize("chunked", ["", "&chunked=1"])
def test_bodies_arrive_as_they_were_sent(bed: Bed, length: int, chunked: str) -> None:
    reply = bed.curl(f"/bytes/{length}?seed=3{chunked}")
    assert (reply.status, reply.exit_status) == (200, 0)
    assert reply.body == patterned(3, length)


def test_client_speaks_http_1_0(bed: Bed) -> None:
    reply = bed.curl("--http1.0", "/bytes/5000?seed=1")
    assert reply.body == patterned(1, 5000)
    assert "transfer-encoding" not in reply.headers.lower()


def test_chunked_answer_reaches_an_http_1_0_client_without_chunks(bed: Bed) -> None:
    reply = bed.curl("--http1.0", "/bytes/100000?seed=1&chunked=1")
    assert reply.body == patterned(1, 100_000)
    assert "transfer-encoding" not in reply.headers.lower()


def test_connection_is_kept_alive(bed: Bed) -> None:
    path = bed.folder / "second"
    reply = bed.curl("/bytes/10", f"-o{path}", "/bytes/20")
    assert reply.figures["connects"] == "0", reply.log
    assert len(path.read_bytes()) == 20


def test_connection_is_closed_when_the_client_says_so(bed: Bed) -> None:
    reply = bed.curl("-H", "Connection: close", "/bytes/10")
    assert (reply.status, len(reply.body)) == (200, 10)
    assert "connection: close" in reply.headers.lower()


def test_proxy_names_itself_and_the_client(bed: Bed) -> None:
    fields = told(bed)
    assert fields["x-forwarded-for"] == "10.1.0.2"
    assert fields["via"].startswith("1.1 ")
    assert told(bed, "-H", "X-Forwarded-For: 192.0.2.1")["x-forwarded-for"].endswith("10.1.0.2")


def test_hop_by_hop_fields_stay_behind(bed: Bed) -> None:
    fields = told(bed, "-H", "Connection: X-Mine", "-H", "X-Mine: 1", "-H", "Keep-Alive: 5", "-H", "TE: trailers")
    assert not {"x-mine", "keep-alive"} & set(fields)


@pytest.mark.parametrize("length", [1, 3000, 300_000])
def test_upload_with_content_length(bed: Bed, length: int) -> None:
    body = patterned(5, length)
    assert upload(bed, body, "-H", "Expect:")[0] == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("length", [1, 3000, 300_000])
def test_upload_in_chunks(bed: Bed, length: int) -> None:
    body = patterned(6, length)
    digest, _ = upload(bed, body, "-H", "Transfer-Encoding: chunked", "-H", "Expect:")
    assert digest == hashlib.sha256(body).hexdigest()


def test_large_upload_waits_for_100_continue(bed: Bed) -> None:
    body = patterned(7, 5_000_000)
    digest, log = upload(bed, body, "-H", "Expect: 100-continue")
    assert digest == hashlib.sha256(body).hexdigest()
    assert "100 Continue" in log


def test_head_has_a_length_and_no_body(bed: Bed) -> None:
    reply = bed.curl("-I", "/bytes/12345?seed=1")
    assert (reply.status, reply.figures["size"]) == (200, "0")
    assert "content-length: 12345" in reply.headers.lower()


@pytest.mark.parametrize("status", [204, 304, 404, 500])
def test_status_passes_through(bed: Bed, status: int) -> None:
    assert bed.curl(f"/status/{status}").status == status


def test_other_methods_pass_through(bed: Bed) -> None:
    for method in ("DELETE", "OPTIONS", "PATCH"):
        assert json.loads(bed.curl("-X", method, "/headers").body)["method"] == method


def test_absolute_form_is_understood(bed: Bed) -> None:
    reply = bed.curl("-x", "http://10.1.0.100:80", "http://www.example.org/headers")
    fields = {name.lower(): value for name, value in json.loads(reply.body)["headers"]}
    assert fields["host"] == "www.example.org"


def test_both_servers_take_turns(bed: Bed) -> None:
    heads = [bed.curl("/health").headers for _ in range(4)]
    assert {"web1", "web2"} == {name for name in ("web1", "web2") for head in heads if f"Server-Name: {name}" in head}


def test_large_download_is_byte_exact(bed: Bed) -> None:
    reply = bed.curl("/bytes/100000000?seed=9", timeout_s=60)
    assert (reply.status, reply.exit_status) == (200, 0)
    assert hashlib.sha256(reply.body).digest() == hashlib.sha256(patterned(9, 100_000_000)).digest()


def test_large_upload_is_byte_exact(bed: Bed) -> None:
    body = patterned(11, 100_000_000)
    assert upload(bed, body)[0] == hashlib.sha256(body).hexdigest()
