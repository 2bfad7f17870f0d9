from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncore_ray.engine.http.message.rewrite import REWRITE_SLACK
from tests.engine.http.message.http_kit import KIT
from tests.engine.http.message.http_reference import (
    judged,
    read_request,
    read_response,
    rewritten_request,
    rewritten_response,
)
from tests.engine.http.message.http_strategies import requests, responses

CLIENT = (0, 0xFFFF << 32 | 0xC0A8010A)
CLIENT_TEXT = b"192.168.1.10"
GIVEN_HOST = b"given.example:8080"


def lines(*texts: str) -> bytes:
    return "\r\n".join([*texts, "", ""]).encode("latin-1")


def write(what: str, raw: bytes, **flags: int) -> bytes | None:
    parsed = KIT.request(raw) if what == "request" else KIT.response(raw)
    assert parsed.status == 0
    KIT.rewrite_options(GIVEN_HOST, CLIENT, **flags)
    return KIT.write(what, len(raw) + len(GIVEN_HOST) + REWRITE_SLACK)


ALL = {"forwarded_for": 1, "via": 1}

REQUESTS: list[tuple[str, bytes, dict[str, int], bytes]] = [
    ("9112 3", lines("GET / HTTP/1.1", "Host: a"), {}, lines("GET / HTTP/1.1", "Host: a")),
    ("9112 2.2", b"\r\n" + lines("GET / HTTP/1.1", "Host: a"), {}, lines("GET / HTTP/1.1", "Host: a")),
    (
        "9110 7.6.1",
        lines(
            "GET / HTTP/1.1", "Host: a", "Connection: keep-alive, x", "X: 1", "Y: 2", "TE: trailers", "Keep-Alive: 5"
        ),
        {},
        lines("GET / HTTP/1.1", "Host: a", "Y: 2"),
    ),
    (
        "9110 7.6.1",
        lines(
            "GET / HTTP/1.1", "Connection: host, content-length, cookie", "Host: a", "Content-Length: 1", "Cookie: b"
        ),
        {},
        lines("GET / HTTP/1.1", "Host: a", "Content-Length: 1", "Cookie: b"),
    ),
    (
        "9110 7.6.1",
        lines("GET / HTTP/1.1", "Host: a", "Proxy-Connection: keep-alive", "Upgrade: websocket"),
        {"close": 1},
        lines("GET / HTTP/1.1", "Host: a", "Connection: close"),
    ),
    (
        "9110 7.8",
        lines("GET / HTTP/1.1", "Host: a", "Upgrade: websocket", "Connection: x, Upgrade", "X: y"),
        {},
        lines("GET / HTTP/1.1", "Host: a", "Upgrade: websocket", "Connection: upgrade"),
    ),
    (
        "9113 3.1",
        lines("GET / HTTP/1.1", "Host: a", "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AA"),
        {},
        lines("GET / HTTP/1.1", "Host: a"),
    ),
    (
        "9112 6.1",
        lines("POST / HTTP/1.1", "Transfer-Encoding:chunkeD", "Host: a", "Trailer: X"),
        {},
        lines("POST / HTTP/1.1", "Host: a", "Trailer: X", "Transfer-Encoding: chunked"),
    ),
    (
        "9112 3.2.2",
        lines("GET http://b:81/x?y HTTP/1.1", "Accept: *", "Host: evil"),
        {},
        lines("GET /x?y HTTP/1.1", "Host: b:81", "Accept: *"),
    ),
    ("9112 3.2.2", lines("GET http://b HTTP/1.1", "Host: b"), {}, lines("GET / HTTP/1.1", "Host: b")),
    ("9112 3.2.2", lines("GET http://b?q HTTP/1.0", "Host: b"), {}, lines("GET /?q HTTP/1.1", "Host: b")),
    ("9112 3.2.4", lines("OPTIONS http://b HTTP/1.1", "Host: b"), {}, lines("OPTIONS * HTTP/1.1", "Host: b")),
    ("9112 3.2.4", lines("OPTIONS * HTTP/1.1", "Host: b"), {}, lines("OPTIONS * HTTP/1.1", "Host: b")),
    ("9112 3.2", lines("GET /x HTTP/1.0"), {}, lines("GET /x HTTP/1.1", "Host: given.example:8080")),
    (
        "9112 2.3",
        lines("GET /x HTTP/1.0", "Host: a", "Connection: keep-alive", "Expect: 100-continue"),
        {},
        lines("GET /x HTTP/1.1", "Host: a"),
    ),
    (
        "9110 7.6.3",
        lines("GET / HTTP/1.1", "Host: a", "X: y"),
        ALL,
        lines("GET / HTTP/1.1", "Host: a", "X: y", "Via: 1.1 ncore", "X-Forwarded-For: 192.168.1.10"),
    ),
    (
        "9110 7.6.3",
        lines(
            "GET / HTTP/1.0", "Host: a", "Via: 1.1 b ", "X-Forwarded-For: c", "Via: 1.0 d\t", "x-forwarded-for:", "X: y"
        ),
        ALL,
        lines(
            "GET / HTTP/1.1",
            "Host: a",
            "Via: 1.1 b ",
            "X-Forwarded-For: c",
            "Via: 1.0 d, 1.0 ncore",
            "x-forwarded-for:192.168.1.10",
            "X: y",
        ),
    ),
]


@pytest.mark.parametrize(("section", "raw", "flags", "expected"), REQUESTS, ids=range(len(REQUESTS)))
def test_request_as_it_goes_on(section: str, raw: bytes, flags: dict[str, int], expected: bytes) -> None:
    assert write("request", raw, **flags) == expected


RESPONSES: list[tuple[str, bytes, dict[str, int], bytes]] = [
    ("9112 4", lines("HTTP/1.1 200 OK", "A: b"), {}, lines("HTTP/1.1 200 OK", "A: b")),
    ("9112 4", lines("HTTP/1.0 200", "A: b"), {}, lines("HTTP/1.1 200 ", "A: b")),
    ("9112 9.6", lines("HTTP/1.1 200 ", "A: b"), {"close": 1}, lines("HTTP/1.1 200 ", "A: b", "Connection: close")),
    (
        "9112 9.3",
        lines("HTTP/1.1 200 OK", "Connection: close", "Keep-Alive: 5"),
        {"keep_alive": 1, "via": 1},
        lines("HTTP/1.1 200 OK", "Via: 1.1 ncore", "Connection: keep-alive"),
    ),
    (
        "9112 7",
        lines("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "A: b"),
        {"unchunk": 1, "close": 1},
        lines("HTTP/1.1 200 OK", "A: b", "Connection: close"),
    ),
    (
        "9112 7",
        lines("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "A: b"),
        {},
        lines("HTTP/1.1 200 OK", "A: b", "Transfer-Encoding: chunked"),
    ),
    (
        "9110 7.8",
        lines("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"),
        {},
        lines("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: upgrade"),
    ),
    ("9110 8.6", lines("HTTP/1.1 204 No", "Content-Length: 0", "A: b"), {}, lines("HTTP/1.1 204 No", "A: b")),
    (
        "9110 7.6.3",
        lines("HTTP/1.0 200 OK", "Via: 1.1 a", "Host: b"),
        ALL,
        lines("HTTP/1.1 200 OK", "Via: 1.1 a, 1.0 ncore", "Host: b"),
    ),
]


@pytest.mark.parametrize(("section", "raw", "flags", "expected"), RESPONSES, ids=range(len(RESPONSES)))
def test_response_as_it_goes_on(section: str, raw: bytes, flags: dict[str, int], expected: bytes) -> None:
    flags = {name: value for name, value in flags.items() if name != "forwarded_for"}
    assert write("response", raw, **flags) == expected


def normal(head: bytes) -> tuple[bytes, list[bytes]]:
    """Return the first line and the field lines, sorted, without space around their values."""
    assert head.endswith(b"\r\n\r\n")
    first, *rest = head[:-4].split(b"\r\n")
    pairs = (line.partition(b":") for line in rest)
    return first, sorted(name + b": " + value.strip(b" \t") for name, _, value in pairs)


flags = st.fixed_dictionaries(
    {name: st.integers(0, 1) for name in ("forwarded_for", "via", "close", "keep_alive", "unchunk")}
)


@settings(max_examples=400)
@given(requests(), flags)
def test_any_request_goes_on_as_the_reference_says(raw: bytes, flags: dict[str, int]) -> None:
    parsed = KIT.request(raw)
    _, message = judged(read_request, raw, 2000, 40)
    if message is None:
        return
    KIT.rewrite_options(GIVEN_HOST, CLIENT, **flags)
    assert KIT.write("request", parsed.head["length"] + len(GIVEN_HOST) + REWRITE_SLACK - 1) is None
    written = KIT.write("request", parsed.head["length"] + len(GIVEN_HOST) + REWRITE_SLACK)
    assert written is not None
    first, fields = rewritten_request(message, GIVEN_HOST, CLIENT_TEXT, **flags)
    assert normal(written) == (first, sorted(fields))
    assert KIT.scan([written]) == len(written)
    again = KIT.request(written)
    assert (again.status, again.head["chunked"]) == (0, message.chunked and not flags["unchunk"])
    assert (again.head["content_length"], again.head["upgrade"]) == (message.content_length, message.upgrade)


@settings(max_examples=400)
@given(responses(), flags)
def test_any_response_goes_on_as_the_reference_says(raw: bytes, flags: dict[str, int]) -> None:
    flags = {**flags, "forwarded_for": 0}
    parsed = KIT.response(raw)
    _, message = judged(read_response, raw, 40)
    if message is None:
        return
    KIT.rewrite_options(b"", CLIENT, **flags)
    assert KIT.write("response", parsed.head["length"] + REWRITE_SLACK - 1) is None
    written = KIT.write("response", parsed.head["length"] + REWRITE_SLACK)
    assert written is not None
    first, fields = rewritten_response(message, **flags)
    assert normal(written) == (first, sorted(fields))
    assert KIT.response(written).status == 0


def test_no_room_whatever_is_written_to() -> None:
    raw = lines("GET / HTTP/1.1", "Host: a")
    KIT.request(raw)
    KIT.rewrite_options(GIVEN_HOST, CLIENT, **ALL)
    for room in range(len(raw) + len(GIVEN_HOST) + REWRITE_SLACK):
        assert KIT.write("request", room) is None


def test_the_slack_is_enough_for_the_longest_addition() -> None:
    """Everything at once: nothing else may be longer (a written byte too many would hit the guard page)."""
    raw = lines("GET http://b?q HTTP/1.1", "Host:b", "Transfer-Encoding:chunked", "Connection:upgrade", "Upgrade:x")
    KIT.request(raw)
    KIT.rewrite_options(b"", (-1, -1), forwarded_for=1, via=1, close=1)
    written = KIT.write("request", len(raw) + REWRITE_SLACK)
    assert written is not None
    assert len(written) <= len(raw) + REWRITE_SLACK
