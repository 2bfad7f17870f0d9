"""Heads for Hypothesis: mostly right, often nearly right."""

from __future__ import annotations

from hypothesis import strategies as st

_METHODS = [
    b"GET",
    b"POST",
    b"HEAD",
    b"PUT",
    b"DELETE",
    b"OPTIONS",
    b"CONNECT",
    b"PATCH",
    b"TRACE",
    b"get",
    b"M-SEARCH",
    b"",
]
_TARGETS = [
    b"/",
    b"/index.html?a=b&c={d|e}",
    b"*",
    b"http://example.com/",
    b"HTTP://example.com:8080?query",
    b"http://[::1]:80",
    b"http://user@example.com/",
    b"http:///x",
    b"http://",
    b"https://example.com/",
    b"example.com:443",
    b"/a#b",
    b"/a b",
    b"/\xc3\xa9",
    b"/" + b"x" * 60,
    b"",
]
_VERSIONS = (
    [b"HTTP/1.1"] * 12 + [b"HTTP/1.0"] * 4 + [b"HTTP/2.0", b"HTTP/1.2", b"http/1.1", b"HTTP/1.1 ", b"HTTP/11", b""]
)
_LINES = [
    b"Host: example.com",
    b"host:a:80",
    b"Host: [::1]:8080",
    b"Host: a b",
    b"Host: a/b",
    b"Host:",
    b"Content-Length: 5",
    b"content-length:0",
    b"Content-Length: 9007199254740993",
    b"Content-Length: +5",
    b"Content-Length: 5, 5",
    b"Transfer-Encoding: chunked",
    b"transfer-encoding:Chunked ",
    b"Transfer-Encoding: gzip",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, gzip",
    b"Transfer-Encoding: ,chunked",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding: \x0bchunked",
    b"Connection: close",
    b"Connection: Keep-Alive",
    b"Connection: X-One, upgrade,, host",
    b"Connection: x-two , content-length",
    b"Connection: a b",
    b"Upgrade: websocket",
    b"Upgrade: h2c, websocket",
    b"Upgrade:",
    b"X-One: 1",
    b"X-TWO:\t 2 \t",
    b"X_One: 1",
    b"TE: trailers",
    b"Keep-Alive: timeout=5",
    b"Proxy-Connection: keep-alive",
    b"Expect: 100-continue",
    b"Expect: 100-Continue",
    b"Expect: tea",
    b"Via: 1.1 other",
    b"via:",
    b"X-Forwarded-For: 10.0.0.1",
    b"X-Forwarded-For:",
    b"Cookie: a=b; c=d",
    b"Accept: " + b"text/html, " * 8,
    b"X-Latin: caf\xe9",
    b" folded: line",
    b": empty",
    b"no colon",
    b"Bad\x00Name: x",
    b"Nul: a\x00b",
    b"Bare: a\rb",
]

_RIGHT_LINES = [
    b"Connection: close",
    b"Connection: Keep-Alive",
    b"Connection: X-One, upgrade,, host",
    b"Connection: Upgrade",
    b"connection: x-two , content-length, via",
    b"Upgrade: websocket",
    b"Upgrade: websocket",
    b"Upgrade: h2c, websocket",
    b"X-One: 1",
    b"X-TWO:\t 2 \t",
    b"X_One: 1",
    b"TE: trailers",
    b"Keep-Alive: timeout=5",
    b"Proxy-Connection: keep-alive",
    b"Expect: 100-Continue",
    b"Via: 1.1 other",
    b"via:",
    b"X-Forwarded-For: 10.0.0.1",
    b"X-Forwarded-For:",
    b"Cookie: a=b; c=d",
    b"X-Latin: caf\xe9",
]
_RIGHT_FRAMING: list[list[bytes]] = [
    [],
    [],
    [b"Content-Length: 5"],
    [b"content-length:0"],
    [b"Transfer-Encoding: Chunked"],
]
_RIGHT_LINE_STARTS = [
    b"GET / HTTP/1.1",
    b"POST /index.html?a=b&c={d|e} HTTP/1.1",
    b"OPTIONS * HTTP/1.1",
    b"OPTIONS http://[::1]:80 HTTP/1.1",
    b"HEAD http://example.com:8080?query HTTP/1.1",
    b"M-SEARCH HTTP://example.com/ HTTP/1.1",
    b"PUT /x HTTP/1.0",
]
_RIGHT_STATUSES = [b"HTTP/1.1 200 OK", b"HTTP/1.1 404 ", b"HTTP/1.1 304", b"HTTP/1.0 200 caf\xe9", b"HTTP/1.1 101 X"]

_any_lines = st.lists(st.one_of(st.sampled_from(_LINES + _RIGHT_LINES), st.binary(max_size=40)), max_size=5)
_ends = st.sampled_from([b"\r\n"] * 60 + [b"\n", b"\r"])


@st.composite
def _right_lines(draw: st.DrawFn, always: list[bytes]) -> list[bytes]:
    lines = draw(st.lists(st.sampled_from(_RIGHT_LINES), max_size=6)) + draw(st.sampled_from(_RIGHT_FRAMING))
    return draw(st.permutations(lines + always))


@st.composite
def _right_requests(draw: st.DrawFn) -> bytes:
    start = draw(st.sampled_from([b"", b"", b"\r\n"])) + draw(st.sampled_from(_RIGHT_LINE_STARTS))
    host = [] if start.endswith(b"1.0") and draw(st.booleans()) else [b"Host: example.com"]
    return b"\r\n".join([start, *draw(_right_lines(host)), b"", b""])


@st.composite
def _right_responses(draw: st.DrawFn) -> bytes:
    return b"\r\n".join([draw(st.sampled_from(_RIGHT_STATUSES)), *draw(_right_lines([])), b"", b""])


@st.composite
def _doubtful(draw: st.DrawFn, starts: st.SearchStrategy[bytes]) -> bytes:
    parts = [draw(starts), *draw(_any_lines), b""]
    return draw(_damaged(b"".join(part + draw(_ends) for part in parts)))


_request_lines = st.builds(
    lambda *parts: b" ".join(parts), *(st.sampled_from(part) for part in (_METHODS, _TARGETS, _VERSIONS))
)
_status_lines = st.builds(
    lambda *parts: b"".join(parts),
    st.sampled_from([b"HTTP/1.1 "] * 8 + [b"HTTP/1.0 "] * 3 + [b"HTTP/2.0 ", b"HTTP/1. ", b"ICY "]),
    st.sampled_from([b"200", b"200", b"204", b"304", b"101", b"100", b"404", b"599", b"600", b"099", b"2x0"]),
    st.sampled_from([b" OK", b" ", b"", b" Not Found", b" caf\xe9", b" a\x00b", b"\tOK"]),
)


@st.composite
def _mixed(draw: st.DrawFn, right: st.SearchStrategy[bytes], starts: st.SearchStrategy[bytes]) -> bytes:
    chosen = draw(st.integers(0, 5))
    if chosen >= 4:
        return draw(_doubtful(starts))
    raw = draw(right)
    return draw(_damaged(raw)) if chosen == 3 else raw


def requests() -> st.SearchStrategy[bytes]:
    """Request heads: half of them right, some with one byte changed, some with a choice of mistakes."""
    return _mixed(_right_requests(), _request_lines)


def responses() -> st.SearchStrategy[bytes]:
    """Response heads, like `requests`."""
    return _mixed(_right_responses(), _status_lines)


@st.composite
def _damaged(draw: st.DrawFn, raw: bytes) -> bytes:
    place = draw(st.integers(0, len(raw) - 1))
    byte = draw(st.sampled_from([b"", b"\r", b"\n", b"\x00", b" ", b":", b",", b"\t", b"\x7f", b"\xff", b"A"]))
    return raw[:place] + byte + raw[place + draw(st.integers(0, 1)) :]


cuts = st.lists(st.integers(0, 10_000), max_size=12)
