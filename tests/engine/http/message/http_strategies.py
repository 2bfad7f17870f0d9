"""Heads for Hypothesis: mostly right, often nearly right."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st

UNHURRIED = settings(deadline=None)
"""A first call may compile."""

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

_usual_lines = st.lists(st.sampled_from(_LINES), max_size=8)
_any_lines = st.lists(st.one_of(st.sampled_from(_LINES), st.binary(max_size=40)), max_size=5)
_ends = st.sampled_from([b"\r\n"] * 60 + [b"\n", b"\r"])
_good = [line for line in _LINES if line[:1] not in b" :" and b"\x00" not in line and b"\r" not in line]
_good_fields = [line for line in _good if line.partition(b":")[0].lower() not in (b"host", b"content-length")]


def _joined(start: bytes, lines: list[bytes], ends: list[bytes]) -> bytes:
    return b"".join(part + end for part, end in zip([start, *lines, b""], ends, strict=False))


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Request heads with a choice of mistakes, now and then with one byte changed."""
    start = b" ".join(draw(st.sampled_from(part)) for part in (_METHODS[:6] * 4 + _METHODS, _TARGETS, _VERSIONS))
    host = draw(st.sampled_from([[], [b"Host: example.com"], [b"Host: example.com"], [b"Host: example.com"]]))
    lines = host + draw(st.one_of(_usual_lines, st.lists(st.sampled_from(_good_fields), max_size=8), _any_lines))
    leading = draw(st.sampled_from([b"", b"", b"", b"\r\n", b"\r\n\r\n"]))
    raw = leading + _joined(start, lines, [draw(_ends) for _ in range(len(lines) + 2)])
    return draw(_damaged(raw))


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    """Response heads with a choice of mistakes, now and then with one byte changed."""
    version = draw(st.sampled_from([b"HTTP/1.1"] * 8 + [b"HTTP/1.0"] * 3 + [b"HTTP/2.0", b"HTTP/1.", b"ICY"]))
    status = draw(
        st.sampled_from([b"200", b"200", b"204", b"304", b"101", b"100", b"404", b"599", b"600", b"099", b"2x0"])
    )
    reason = draw(st.sampled_from([b" OK", b" ", b"", b" Not Found", b" caf\xe9", b" a\x00b", b"\tOK"]))
    lines = draw(st.one_of(_usual_lines, st.lists(st.sampled_from(_good_fields), max_size=6), _any_lines))
    raw = _joined(version + b" " + status + reason, lines, [draw(_ends) for _ in range(len(lines) + 2)])
    return draw(_damaged(raw))


@st.composite
def _damaged(draw: st.DrawFn, raw: bytes) -> bytes:
    if draw(st.integers(0, 5)) != 0 or not raw:
        return raw
    place = draw(st.integers(0, len(raw) - 1))
    byte = draw(st.sampled_from([b"", b"\r", b"\n", b"\x00", b" ", b":", b",", b"\t", b"\x7f", b"\xff", b"A"]))
    return raw[:place] + byte + raw[place + draw(st.integers(0, 1)) :]


cuts = st.lists(st.integers(0, 10_000), max_size=12)
