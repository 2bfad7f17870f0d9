from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ncore_ray.engine.http.message.framing import BodyKind
from ncore_ray.engine.http.message.head import Method, TargetForm
from ncore_ray.engine.http.message.known import Known
from tests.engine.http.message.http_kit import KIT, MAX_FIELDS, MAX_LINE, unfinished_entry
from tests.engine.http.message.http_reference import Refused, agrees, judged, read_request, read_response
from tests.engine.http.message.http_strategies import requests


def head_of(line: str, *fields: str, host: bool = True) -> bytes:
    lines = [line, *(["Host: example.com"] if host else []), *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def get(*fields: str) -> bytes:
    return head_of("GET / HTTP/1.1", *fields)


def post(*fields: str) -> bytes:
    return head_of("POST / HTTP/1.1", *fields)


# RFC section, head, status: what must never be passed on.
REFUSED = [
    # framing: the classics of request smuggling
    ("9112 6.1", post("Content-Length: 5", "Transfer-Encoding: chunked"), 400),
    ("9112 6.1", post("Transfer-Encoding: chunked", "Content-Length: 5"), 400),
    ("9112 6.1", post("Transfer-Encoding: identity", "Content-Length: 5"), 400),
    ("9112 6.1", head_of("POST / HTTP/1.0", "Transfer-Encoding: chunked"), 400),
    ("9112 6.1", head_of("POST / HTTP/1.0", "Transfer-Encoding: gzip"), 400),
    ("9112 6.3", post("Transfer-Encoding: gzip"), 400),
    ("9112 6.1", post("Transfer-Encoding: gzip, chunked"), 501),
    ("9112 6.3", post("Transfer-Encoding: identity"), 400),
    ("9112 6.3", post("Transfer-Encoding: xchunked"), 400),
    ("9112 6.3", post("Transfer-Encoding: chunkedx"), 400),
    ("9112 6.1", post("Transfer-Encoding: gzip", "Transfer-Encoding: chunked"), 501),
    ("9112 6.1", post("Transfer-Encoding: chunked, gzip"), 400),
    ("9112 6.1", post("Transfer-Encoding: chunked, identity"), 400),
    ("9112 6.1", post("Transfer-Encoding: chunked, chunked"), 400),
    ("9112 6.1", post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 400),
    ("9112 6.1", post("Transfer-Encoding: chunked", "Transfer-Encoding: identity"), 400),
    ("9112 6.1", post("Transfer-Encoding: chunked", "transfer-encoding: cow"), 400),
    ("9112 7", post("Transfer-Encoding: chunked;q=1"), 400),
    ("9112 7", post('Transfer-Encoding: "chunked"'), 400),
    ("9112 7", post("Transfer-Encoding: chunked foo"), 400),
    ("9112 7", post("Transfer-Encoding:"), 400),
    ("9112 7", post("Transfer-Encoding: ,chunked"), 400),
    ("9112 7", post("Transfer-Encoding: chunked,"), 400),
    ("9112 7", post("Transfer-Encoding: gzip,,chunked"), 400),
    ("9112 7", post("Transfer-Encoding: \x0bchunked"), 400),
    ("9112 7", post("Transfer-Encoding: \x0cchunked"), 400),
    ("9112 7", post("Transfer-Encoding: chunked\x00"), 400),
    ("9112 7", post("Transfer-Encoding: \xa0chunked"), 400),
    ("9112 5.1", post("Transfer-Encoding : chunked"), 400),
    ("9112 5.1", post("Transfer-Encoding\t: chunked"), 400),
    ("9112 5.1", post("Transfer\x0b-Encoding: chunked"), 400),
    ("9112 5.1", post("Transfer-Encoding\x00: chunked"), 400),
    ("9112 5.2", post(" Transfer-Encoding: chunked"), 400),
    ("9112 5.2", post("\tTransfer-Encoding: chunked"), 400),
    ("9112 5.2", post("Transfer-Encoding:\r\n chunked"), 400),
    ("9112 5.2", post("X: y\r\n Transfer-Encoding: chunked"), 400),
    ("9112 2.2", post("X: y\rTransfer-Encoding: chunked"), 400),
    ("9112 2.2", post("X: y\r\r\nTransfer-Encoding: chunked"), 400),
    ("9112 2.2", post("X: y\r"), 400),
    ("9112 2.2", post("X: y\nTransfer-Encoding: chunked"), 400),
    ("9112 2.2", b"POST / HTTP/1.1\r\nHost: a\r\n\rX: y\r\n\r\n", 400),
    # Content-Length (RFC 9110 §8.6, RFC 9112 §6.3)
    ("9112 6.3", post("Content-Length: 5", "Content-Length: 6"), 400),
    ("9112 6.3", post("Content-Length: 5", "Content-Length: 5"), 400),
    ("9112 6.3", post("Content-Length: 5, 5"), 400),
    ("9112 6.3", post("Content-Length: 5,"), 400),
    ("9110 8.6", post("Content-Length:"), 400),
    ("9110 8.6", post("Content-Length: +5"), 400),
    ("9110 8.6", post("Content-Length: -5"), 400),
    ("9110 8.6", post("Content-Length: -0"), 400),
    ("9110 8.6", post("Content-Length: 5 5"), 400),
    ("9110 8.6", post("Content-Length: 0x5"), 400),
    ("9110 8.6", post("Content-Length: 5.0"), 400),
    ("9110 8.6", post("Content-Length: 1e1"), 400),
    ("9110 8.6", post("Content-Length: 1_000"), 400),
    ("9110 8.6", post("Content-Length: \xb2"), 400),
    ("9110 8.6", post("Content-Length: \x0b5"), 400),
    ("9110 8.6", post('Content-Length: "5"'), 400),
    ("9110 8.6", post("Content-Length: 9007199254740993"), 400),
    ("9110 8.6", post("Content-Length: 18446744073709551621"), 400),
    ("9110 8.6", post("Content-Length: 00000000000000005"), 400),
    ("9112 5.1", post("Content-Length : 5"), 400),
    ("9112 5.1", post("Content-Length: 5", "Content-Length : 6"), 400),
    # Host (RFC 9112 §3.2)
    ("9112 3.2", head_of("GET / HTTP/1.1", host=False), 400),
    ("9112 3.2", get("Host: example.com"), 400),
    ("9112 3.2", get("host: other"), 400),
    ("9112 3.2", head_of("GET / HTTP/1.0", "Host: a", "Host: a", host=False), 400),
    ("9112 3.2", head_of("GET http://a/ HTTP/1.1", host=False), 400),
    ("9112 3.2", head_of("GET http://a/ HTTP/1.1", "Host: b"), 400),
    ("9110 4.2.1", head_of("GET / HTTP/1.1", "Host:", host=False), 400),
    ("9110 7.2", head_of("GET / HTTP/1.1", "Host: a b", host=False), 400),
    ("9110 7.2", head_of("GET / HTTP/1.1", "Host: a,b", host=False), 400),
    ("9110 7.2", head_of("GET / HTTP/1.1", "Host: a/b", host=False), 400),
    ("9110 7.2", head_of("GET / HTTP/1.1", "Host: a?b", host=False), 400),
    ("9110 7.2", head_of("GET / HTTP/1.1", "Host: a#b", host=False), 400),
    ("9110 7.2", head_of("GET / HTTP/1.1", "Host: a\\b", host=False), 400),
    ("9110 7.2", head_of("GET / HTTP/1.1", "Host: user@a", host=False), 400),
    ("9110 7.2", head_of("GET / HTTP/1.1", "Host: a%00", host=False), 400),
    ("9110 7.2", head_of("GET / HTTP/1.1", "Host: a:b", host=False), 400),
    ("9110 7.2", head_of("GET / HTTP/1.1", "Host: a:80:80", host=False), 400),
    ("9110 7.2", head_of("GET / HTTP/1.1", "Host: a:65536", host=False), 400),
    ("9110 7.2", head_of("GET / HTTP/1.1", "Host: a:000080", host=False), 400),
    ("9110 7.2", head_of("GET / HTTP/1.1", "Host: :80", host=False), 400),
    ("9110 7.2", head_of("GET / HTTP/1.1", "Host: []", host=False), 400),
    ("9110 7.2", head_of("GET / HTTP/1.1", "Host: [::1", host=False), 400),
    ("9110 7.2", head_of("GET / HTTP/1.1", "Host: [::1]a", host=False), 400),
    ("9110 7.2", head_of("GET / HTTP/1.1", "Host: [g::]", host=False), 400),
    ("9110 7.2", head_of("GET / HTTP/1.1", "Host: caf\xe9", host=False), 400),
    # field syntax (RFC 9112 §5, RFC 9110 §5)
    ("9112 5", get(": x"), 400),
    ("9112 5", get("no colon"), 400),
    ("9112 5", get("NoColon"), 400),
    ("9112 5", get("A B: x"), 400),
    ("9112 5", get("A(B): x"), 400),
    ("9112 5", get("A/B: x"), 400),
    ("9112 5", get('A"B: x'), 400),
    ("9112 5", get("A@B: x"), 400),
    ("9112 5", get("A\xe9: x"), 400),
    ("9112 5", get("A\x7f: x"), 400),
    ("9112 5", get("[A]: x"), 400),
    ("9112 5", get("{A}: x"), 400),
    ("9110 5.5", get("A: \x00"), 400),
    ("9110 5.5", get("A: \x01"), 400),
    ("9110 5.5", get("A: b\x1fc"), 400),
    ("9110 5.5", get("A: b\x7fc"), 400),
    ("9110 5.5", get("A: b\x0bc"), 400),
    ("9112 2.2", get("A: b\rc"), 400),
    ("9112 2.2", get("A: b\nc"), 400),
    ("9112 5.2", get("A: b\r\n c"), 400),
    ("9112 5.2", get("A: b\r\n\tc"), 400),
    ("9112 2.2", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    ("9112 2.2", b"GET / HTTP/1.1\r\n\tHost: a\r\n\r\n", 400),
    ("9110 7.6.1", get("Connection: a b"), 400),
    ("9110 7.6.1", get("Connection: (close)"), 400),
    ("9110 7.6.1", get("Connection: " + ",".join(f"n{i}" for i in range(33))), 431),
    # request line (RFC 9112 §3)
    ("9112 3", head_of("GET  / HTTP/1.1"), 400),
    ("9112 3", head_of("GET /  HTTP/1.1"), 400),
    ("9112 3", head_of("GET / HTTP/1.1 "), 400),
    ("9112 3", head_of(" GET / HTTP/1.1"), 400),
    ("9112 3", head_of("GET\t/ HTTP/1.1"), 400),
    ("9112 3", head_of("GET /\tHTTP/1.1"), 400),
    ("9112 3", head_of("GET / a HTTP/1.1"), 400),
    ("9112 3", head_of("GET /"), 400),
    ("9112 3", head_of("GET / "), 400),
    ("9112 3", head_of("GET"), 400),
    ("9112 3", head_of("GET HTTP/1.1"), 400),
    ("9112 3.1", head_of("G(ET / HTTP/1.1"), 400),
    ("9112 3.1", head_of("G\x00ET / HTTP/1.1"), 400),
    ("9112 3.1", head_of("\xe9 / HTTP/1.1"), 400),
    ("9112 3.2", head_of("GET /a#b HTTP/1.1"), 400),
    ("9112 3.2", head_of("GET /caf\xe9 HTTP/1.1"), 400),
    ("9112 3.2", head_of("GET /a\x00b HTTP/1.1"), 400),
    ("9112 3.2", head_of("GET /a\x7fb HTTP/1.1"), 400),
    ("9112 3.2", head_of("GET /a\rb HTTP/1.1"), 400),
    ("9112 3.2", head_of("GET a HTTP/1.1"), 400),
    ("9112 3.2", head_of("GET ?a HTTP/1.1"), 400),
    ("9112 3.2.2", head_of("GET http:/// HTTP/1.1"), 400),
    ("9112 3.2.2", head_of("GET http:// HTTP/1.1"), 400),
    ("9112 3.2.2", head_of("GET http://a@b/ HTTP/1.1"), 400),
    ("9112 3.2.2", head_of("GET http://a:b/ HTTP/1.1"), 400),
    ("9110 7.4", head_of("GET https://a/ HTTP/1.1"), 400),
    ("9110 7.4", head_of("GET ftp://a/ HTTP/1.1"), 400),
    ("9112 3.2.3", head_of("GET example.com:80 HTTP/1.1"), 400),
    ("9112 3.2.4", head_of("GET * HTTP/1.1"), 400),
    ("9112 3.2.4", head_of("OPTIONS ** HTTP/1.1"), 400),
    ("9110 9.3.6", head_of("CONNECT example.com:443 HTTP/1.1"), 501),
    ("9112 3", head_of("GET /" + "a" * MAX_LINE + " HTTP/1.1"), 414),
    ("9112 2.3", head_of("GET / HTTP/2.0"), 505),
    ("9112 2.3", head_of("GET / HTTP/1.2"), 505),
    ("9112 2.3", head_of("GET / HTTP/0.9"), 505),
    ("9112 2.3", head_of("GET / HTTP/9.9"), 505),
    ("9112 2.3", head_of("GET / http/1.1"), 400),
    ("9112 2.3", head_of("GET / HTTP/1,1"), 400),
    ("9112 2.3", head_of("GET / HTTP/1.x"), 400),
    ("9112 2.3", head_of("GET / HTTP/ 1.1"), 400),
    ("9112 2.3", head_of("GET / HTTP/1.10"), 400),
    ("9112 2.3", head_of("GET / HTTP/11.1"), 400),
    ("9112 2.3", head_of("GET / HTTP/-1.1"), 400),
    ("9112 2.3", head_of("GET / HTTPS/1.1"), 400),
    ("9112 2.3", head_of("GET / ICY/1.1"), 400),
    ("9112 2.2", b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("9112 2.2", b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("9112 2.2", b"\r\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("9112 2.2", b"GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
    ("9112 2.2", b"GET / HTTP/1.1\r\nHost: a\n\r\n", 400),
    ("9112 2.2", b"GET / HTTP/1.1\r\nHost: a\r\n\n", 400),
    ("9110 10.1.1", get("Expect: 200-ok"), 417),
    ("9110 10.1.1", get("Expect:"), 417),
    ("9110 10.1.1", get("Expect: 100-continue, 100-continue"), 417),
    ("9110 5.4", get(*["A: b"] * MAX_FIELDS), 431),
    # no head at all
    ("", b"", 400),
    ("", b"\r\n", 400),
    ("", b"\r\n\r\n", 400),
    ("", b"GET / HTTP/1.1\r\nHost: a\r\n", 400),
    ("", get() + b"X", 400),
]


@pytest.mark.parametrize(("section", "raw", "status"), REFUSED, ids=lambda value: str(value)[:60])
def test_refused_request(section: str, raw: bytes, status: int) -> None:
    assert KIT.request(raw).status == status
    with pytest.raises(Refused) as refused:
        read_request(raw, MAX_LINE, MAX_FIELDS)
    assert refused.value.status == status


# RFC section, head, what it says
ACCEPTED = [
    ("9112 3", get(), {"method": Method.GET, "version_minor": 1, "persistent": 1, "content_length": -1}),
    ("9112 2.2", b"\r\n\r\n" + get(), {"start": 4, "method": Method.GET}),
    ("9112 3.1", head_of("get / HTTP/1.1"), {"method": Method.OTHER}),
    ("9112 3.1", head_of("M-SEARCH!#$%&'*+.^_`|~ / HTTP/1.1"), {"method": Method.OTHER}),
    ("9112 3.2.1", head_of('GET /a?b=c|{d}[e]"<>\\^` HTTP/1.1'), {"target_form": TargetForm.ORIGIN}),
    ("9112 3.2.2", head_of("GET http://b:8080/x HTTP/1.1"), {"target_form": TargetForm.ABSOLUTE, "path_length": 2}),
    ("9112 3.2.2", head_of("GET HtTp://b HTTP/1.1"), {"target_form": TargetForm.ABSOLUTE, "path_length": 0}),
    ("9112 3.2.4", head_of("OPTIONS * HTTP/1.1"), {"target_form": TargetForm.ASTERISK}),
    ("9112 3.2", head_of("GET / HTTP/1.1", "hOsT:[::1]:80", host=False), {"has_host": 1, "authority_length": 8}),
    ("9112 3.2", head_of("GET / HTTP/1.1", "Host: a:", host=False), {"has_host": 1}),
    ("9112 3.2", head_of("GET / HTTP/1.1", "Host: a_b.c:65535", host=False), {"has_host": 1}),
    ("9112 3.2", head_of("GET / HTTP/1.0", host=False), {"has_host": 0, "version_minor": 0, "persistent": 0}),
    ("9112 9.3", head_of("GET / HTTP/1.0", "Connection: keep-alive"), {"persistent": 1, "keep_alive": 1}),
    ("9112 9.3", head_of("GET / HTTP/1.0", "Connection: keep-alive, close"), {"persistent": 0}),
    ("9112 9.3", get("Connection: CLOSE"), {"persistent": 0, "close": 1}),
    ("9112 9.3", get("Connection: foo", "Connection: ,close,"), {"persistent": 0}),
    ("9112 6.2", post("Content-Length: 0"), {"content_length": 0}),
    ("9112 6.2", post("Content-Length: 9007199254740992"), {"content_length": 2**53}),
    ("9112 6.2", post("Content-Length:\t 0005\t "), {"content_length": 5}),
    ("9112 6.1", post("Transfer-Encoding: chunked"), {"chunked": 1, "content_length": -1}),
    ("9112 6.1", post("TRANSFER-encoding:ChunkeD \t"), {"chunked": 1}),
    ("9110 5.5", get("A:", "B: \t ", "C: caf\xe9 \x80\xff"), {"field_count": 4}),
    ("9110 10.1.1", post("Expect: 100-Continue"), {"expect_continue": 1}),
    ("9110 10.1.1", head_of("POST / HTTP/1.0", "Expect: 100-continue"), {"expect_continue": 0}),
    ("9110 7.8", get("Upgrade: websocket", "Connection: Upgrade"), {"upgrade": 1}),
    ("9110 7.8", get("Connection: keep-alive, Upgrade", "Upgrade: websocket"), {"upgrade": 1}),
    ("9110 7.8", get("Upgrade: websocket"), {"upgrade": 0}),
    ("9110 7.8", get("Connection: upgrade"), {"upgrade": 0}),
    ("9110 7.8", get("Connection: upgrade", "Upgrade: h2c"), {"upgrade": 0}),
    ("9110 7.8", get("Connection: upgrade", "Upgrade: websocket, H2C"), {"upgrade": 0}),
    ("9110 7.8", head_of("GET / HTTP/1.0", "Connection: upgrade", "Upgrade: websocket"), {"upgrade": 0}),
    ("9110 5.4", get(*["A: b"] * (MAX_FIELDS - 1)), {"field_count": MAX_FIELDS}),
    ("9112 3", head_of("GET /" + "a" * (MAX_LINE - 14) + " HTTP/1.1"), {"target_length": MAX_LINE - 13}),
    ("9110 7.6.1", get("Connection: " + ",".join(f"n{i}" for i in range(32))), {"nominations": 32}),
]


@pytest.mark.parametrize(("section", "raw", "says"), ACCEPTED, ids=lambda value: str(value)[:60])
def test_accepted_request(section: str, raw: bytes, says: dict[str, int]) -> None:
    parsed = KIT.request(raw)
    assert parsed.status == 0
    assert {name: parsed.head[name] for name in says} == says
    assert parsed.head["length"] == len(raw)


@pytest.mark.parametrize("method", [method for method in Method if method not in (Method.CONNECT, Method.OTHER)])
def test_methods_are_recognized(method: Method) -> None:
    assert KIT.request(head_of(f"{method.name} / HTTP/1.1")).head["method"] == method
    assert KIT.request(head_of(f"{method.name}X / HTTP/1.1")).head["method"] == Method.OTHER
    assert KIT.request(head_of(f"{method.name[:-1]} / HTTP/1.1")).head["method"] == Method.OTHER


def test_fields_carry_their_spans_and_marks() -> None:
    parsed = KIT.request(
        get("Connection: x-one, host, cookie, TE", "X-One: 1", "Cookie: a", "TE: trailers", "x-One:2 ", "X-On: 3")
    )
    assert [tuple(line) for line in parsed.lines] == [
        (b"Host", b"example.com", Known.HOST, 0),
        (b"Connection", b"x-one, host, cookie, TE", Known.CONNECTION, 1),
        (b"X-One", b"1", Known.OTHER, 1),
        (b"Cookie", b"a", Known.COOKIE, 0),
        (b"TE", b"trailers", Known.TE, 1),
        (b"x-One", b"2", Known.OTHER, 1),
        (b"X-On", b"3", Known.OTHER, 0),
    ]


def test_caret_and_tilde_are_different_names() -> None:
    parsed = KIT.request(get("Connection: a^b", "a~b: 1", "A^B: 2"))
    assert [line.drop for line in parsed.lines] == [0, 1, 0, 1]


@settings(max_examples=600)
@given(requests())
@example(b"\r\n" * 10)
def test_any_request_is_judged_as_the_reference_judges_it(raw: bytes) -> None:
    parsed = KIT.request(raw, 70, 7)
    status, message = judged(read_request, raw, 70, 7)
    assert parsed.status == status
    if message is None:
        return
    agrees(parsed, message)
    assert parsed.raw[parsed.head["start"] :][: parsed.head["method_length"]] == message.method
    assert parsed.span("target") == message.target
    assert parsed.span("authority") == message.authority
    assert parsed.span("path") == message.path
    assert TargetForm(parsed.head["target_form"]).name.lower() == message.form
    assert bool(parsed.head["expect_continue"]) == (bool(message.expectations) and message.minor == 1)
    body = BodyKind.CHUNKED if message.chunked else BodyKind.LENGTH if message.content_length > 0 else BodyKind.NONE
    assert KIT.request_body() == body


@given(st.binary(max_size=200))
@example(b"HTTP/1.0 100\r\n*:\r\n\r\n")  # Hypothesis found a whole response by chance
def test_random_bytes_are_judged_as_the_reference_judges_them(raw: bytes) -> None:
    assert KIT.request(raw).status == judged(read_request, raw, MAX_LINE, MAX_FIELDS)[0]
    assert KIT.response(raw).status == judged(read_response, raw, MAX_FIELDS)[0]


def test_every_prefix_of_a_head_is_refused() -> None:
    raw = post("Transfer-Encoding: chunked", "Connection: close, x", "X: y", "Content-Type: text/plain")
    for length in range(len(raw)):
        assert KIT.request(raw[:length]).status == 400
    assert KIT.request(raw).status == 0


@pytest.mark.parametrize(
    ("raw", "status"),
    [(b"", 414), (b"\r\n\r\n", 414), (b"GET /aaaa", 414), (b"GET / HTTP/1.1\r\nHost", 431), (b"\r\nG\r\n", 431)],
)
def test_a_head_that_does_not_end(raw: bytes, status: int) -> None:
    assert unfinished_entry(KIT.memory.at_end(raw), len(raw)) == status
