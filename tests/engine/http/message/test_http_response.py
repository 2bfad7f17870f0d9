from __future__ import annotations

import pytest
from hypothesis import given, settings

from ncore_ray.engine.http.message.framing import BodyKind
from ncore_ray.engine.http.message.head import Method
from tests.engine.http.message.http_kit import KIT, MAX_FIELDS
from tests.engine.http.message.http_reference import Refused, agrees, judged, read_response
from tests.engine.http.message.http_strategies import responses


def response(status: str, *fields: str, version: str = "HTTP/1.1") -> bytes:
    return "\r\n".join([f"{version} {status}", *fields, "", ""]).encode("latin-1")


REFUSED = [
    ("9112 6.1", response("200 OK", "Content-Length: 5", "Transfer-Encoding: chunked")),
    ("9112 6.1", response("200 OK", "Transfer-Encoding: chunked", version="HTTP/1.0")),
    ("9112 6.1", response("200 OK", "Transfer-Encoding: gzip")),
    ("9112 6.1", response("200 OK", "Transfer-Encoding: gzip, chunked")),
    ("9112 6.1", response("200 OK", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked")),
    ("9112 6.1", response("200 OK", "Transfer-Encoding: chunked, chunked")),
    ("9112 6.1", response("204 No Content", "Transfer-Encoding: chunked")),
    ("9110 8.6", response("204 No Content", "Content-Length: 5")),
    ("9110 8.6", response("101 Switching Protocols", "Content-Length: 5")),
    ("9112 6.1", response("100 Continue", "Transfer-Encoding: chunked")),
    ("9112 6.3", response("200 OK", "Content-Length: 5", "Content-Length: 5")),
    ("9112 6.3", response("200 OK", "Content-Length: 5, 6")),
    ("9110 8.6", response("200 OK", "Content-Length: -1")),
    ("9110 8.6", response("200 OK", "Content-Length: 99999999999999999999")),
    ("9112 5.1", response("200 OK", "Content-Length : 5")),
    ("9112 5.2", response("200 OK", "A: b\r\n c")),
    ("9112 2.2", response("200 OK", "A: b\rc")),
    ("9112 2.2", response("200 OK", "A: b\nc")),
    ("9110 5.5", response("200 OK", "A: b\x00c")),
    ("9112 4", response("200\x00OK")),
    ("9112 4", response("200 O\x00K")),
    ("9112 4", response("200 O\rK")),
    ("9112 4", response("20 OK")),
    ("9112 4", response("2000 OK")),
    ("9112 4", response(" 200 OK")),
    ("9112 4", response("20x OK")),
    ("9112 4", response("200\tOK")),
    ("9110 15", response("099 OK")),
    ("9110 15", response("600 OK")),
    ("9110 15", response("000 OK")),
    ("9112 2.3", response("200 OK", version="HTTP/2.0")),
    ("9112 2.3", response("200 OK", version="HTTP/1.2")),
    ("9112 2.3", response("200 OK", version="http/1.1")),
    ("9112 2.3", response("200 OK", version="ICY")),
    ("9112 4", b"\r\n" + response("200 OK")),
    ("9112 2.2", b"HTTP/1.1 200 OK\n\r\n"),
    ("9112 2.2", b"HTTP/1.1 200 OK\r\n\n"),
    ("", b"HTTP/1.1 200\r\n"),
    ("", b"HTTP/1.1"),
    ("", b""),
    ("9110 5.4", response("200 OK", *["A: b"] * (MAX_FIELDS + 1))),
]


@pytest.mark.parametrize(("section", "raw"), REFUSED, ids=lambda value: str(value)[:60])
def test_refused_response(section: str, raw: bytes) -> None:
    assert KIT.response(raw).status == 502
    with pytest.raises(Refused):
        read_response(raw, MAX_FIELDS)


# status, version, fields, request's method, body, what the head says (RFC 9112 §6.3)
ACCEPTED = [
    ("200 OK", "HTTP/1.1", ["Content-Length: 5"], Method.GET, BodyKind.LENGTH, {"persistent": 1}),
    ("200 OK", "HTTP/1.1", ["Content-Length: 0"], Method.GET, BodyKind.NONE, {}),
    ("200 OK", "HTTP/1.1", ["Transfer-Encoding: chunked"], Method.GET, BodyKind.CHUNKED, {"chunked": 1}),
    ("200 OK", "HTTP/1.1", [], Method.GET, BodyKind.UNTIL_CLOSE, {"content_length": -1}),
    ("200 OK", "HTTP/1.0", [], Method.POST, BodyKind.UNTIL_CLOSE, {"persistent": 0}),
    ("200 OK", "HTTP/1.0", ["Connection: keep-alive", "Content-Length: 1"], 0, BodyKind.LENGTH, {"persistent": 1}),
    ("200 OK", "HTTP/1.1", ["Content-Length: 5"], Method.HEAD, BodyKind.NONE, {"content_length": 5}),
    ("200 OK", "HTTP/1.1", ["Transfer-Encoding: chunked"], Method.HEAD, BodyKind.NONE, {}),
    ("304 Not Modified", "HTTP/1.1", ["Content-Length: 5"], Method.GET, BodyKind.NONE, {"content_length": 5}),
    ("304 Not Modified", "HTTP/1.1", ["Transfer-Encoding: chunked"], Method.GET, BodyKind.NONE, {}),
    ("204 No Content", "HTTP/1.1", [], Method.GET, BodyKind.NONE, {}),
    ("204 No Content", "HTTP/1.1", ["Content-Length: 0"], Method.GET, BodyKind.NONE, {}),
    ("100 Continue", "HTTP/1.1", [], Method.POST, BodyKind.NONE, {}),
    ("103 Early Hints", "HTTP/1.1", ["Link: </a>"], Method.GET, BodyKind.NONE, {}),
    ("101 Switching", "HTTP/1.1", ["Connection: upgrade", "Upgrade: websocket"], 0, BodyKind.TUNNEL, {"upgrade": 1}),
    ("200", "HTTP/1.1", ["Content-Length: 1"], Method.GET, BodyKind.LENGTH, {"reason_length": 0}),
    ("200 ", "HTTP/1.1", ["Content-Length: 1"], Method.GET, BodyKind.LENGTH, {"reason_length": 0}),
    ("599 caf\xe9 \t!", "HTTP/1.1", ["Connection: close"], 0, BodyKind.UNTIL_CLOSE, {"status": 599, "persistent": 0}),
    ("200 OK", "HTTP/1.1", ["Host: a b", "Host: c"], Method.GET, BodyKind.UNTIL_CLOSE, {"has_host": 0}),
]


@pytest.mark.parametrize(("status", "version", "fields", "method", "body", "says"), ACCEPTED)
def test_accepted_response(
    status: str, version: str, fields: list[str], method: int, body: BodyKind, says: dict[str, int]
) -> None:
    parsed = KIT.response(response(status, *fields, version=version))
    assert parsed.status == 0
    assert {name: parsed.head[name] for name in says} == says
    assert KIT.response_body(method) == body


@settings(max_examples=400)
@given(responses())
def test_any_response_is_judged_as_the_reference_judges_it(raw: bytes) -> None:
    parsed = KIT.response(raw, 5)
    status, message = judged(read_response, raw, 5)
    assert parsed.status == status
    if message is None:
        return
    agrees(parsed, message)
    assert parsed.head["status"] == message.status
    assert parsed.span("reason") == message.reason
