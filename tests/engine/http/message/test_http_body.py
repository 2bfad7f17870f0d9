from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ncore_ray.engine.http.message.body import FORBIDDEN_TRAILERS
from ncore_ray.engine.http.message.chunk_syntax import TRANSITIONS, Phase
from ncore_ray.engine.http.message.framing import BodyKind
from tests.engine.http.message.http_kit import KIT, cut
from tests.engine.http.message.http_reference import CONTENT, TOKEN
from tests.engine.http.message.http_strategies import cuts

QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
EXTENSION = rb"[ \t]*;[ \t]*%b(?:[ \t]*=[ \t]*(?:%b|%b))?" % (TOKEN, TOKEN, QUOTED)
SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:%b)*\r\n" % EXTENSION)
TRAILER = re.compile(rb"(%b):%b\r\n" % (TOKEN, CONTENT))


def reference(raw: bytes) -> tuple[bytes, int] | None:
    """Return content and length of the complete, correct chunked body that the bytes begin with, or None."""
    content, at = b"", 0
    while True:
        line = SIZE_LINE.match(raw, at)
        if not line or len(line[0]) > 256:
            return None
        size, at = int(line[1], 16), line.end()
        if size == 0:
            break
        content += raw[at : at + size]
        at += size
        if raw[at : at + 2] != b"\r\n":
            return None
        at += 2
    start = at
    while trailer := TRAILER.match(raw, at):
        if trailer[1].decode().lower() in FORBIDDEN_TRAILERS:
            return None
        at = trailer.end()
    return (content, at + 2) if raw[at : at + 2] == b"\r\n" and at + 1 - start <= 4096 else None


def follow(kind: BodyKind, pieces: list[bytes], length: int = 0) -> tuple[int, int, bytes]:
    """Return the phase at the end, the bytes consumed and the content; check that nothing is lost or made up."""
    KIT.body_begin(kind, length)
    spans = []
    for piece in pieces:
        if KIT.body.phase in (Phase.DONE, Phase.ERROR):
            break
        spans += KIT.body_feed(piece)
    consumed = b"".join(span for span, _ in spans)
    assert b"".join(pieces).startswith(consumed)
    content = b"".join(span for span, data in spans if data)
    assert KIT.body.content == len(content)
    return KIT.body.phase, len(consumed), content


def follow_all_ways(raw: bytes, places: list[int] | None = None) -> tuple[int, int, bytes]:
    whole = follow(BodyKind.CHUNKED, [raw])
    assert follow(BodyKind.CHUNKED, cut(raw, range(len(raw)))) == whole
    assert follow(BodyKind.CHUNKED, cut(raw, places or [])) == whole
    return whole


ACCEPTED = [
    (b"0\r\n\r\n", b""),
    (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    (b"00005\r\nhello\r\n000\r\n\r\n", b"hello"),
    (b"a\r\n0123456789\r\nB\r\n0123456789A\r\n0\r\n\r\n", b"01234567890123456789A"),
    (b"3;a\r\nabc\r\n0;b=c\r\n\r\n", b"abc"),
    (b'3 ; a = "x;\\" \xff" ;b\t=\tc;d\r\nabc\r\n0\r\n\r\n', b"abc"),
    (b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n"),
    (b"0\r\nX-Sum: 1\r\nY:\r\n\r\n", b""),
    (b"1;" + b"a" * 252 + b"\r\nx\r\n0\r\n\r\n", b"x"),
    (b"0\r\nA: " + b"b" * 4090 + b"\r\n\r\n", b""),
]


@pytest.mark.parametrize(("raw", "content"), ACCEPTED, ids=range(len(ACCEPTED)))
def test_chunked_body(raw: bytes, content: bytes) -> None:
    assert reference(raw) == (content, len(raw))
    assert follow_all_ways(raw) == (Phase.DONE, len(raw), content)
    assert follow_all_ways(raw + b"GET / HTTP/1.1") == (Phase.DONE, len(raw), content)
    for length in range(0, len(raw), 1 + len(raw) // 300):
        phase, consumed, _ = follow(BodyKind.CHUNKED, [raw[:length]])
        assert (phase not in (Phase.DONE, Phase.ERROR), consumed) == (True, length)


# body, offset of the byte that is wrong (RFC 9112 §7.1)
REFUSED = [
    (b"\r\n", 0),
    (b"\n", 0),
    (b";a\r\n", 0),
    (b" 5\r\n", 0),
    (b"+5\r\n", 0),
    (b"-5\r\n", 0),
    (b"g\r\n", 0),
    (b"0x5\r\n", 1),
    (b"5 \r\nhello", 2),
    (b"5\nhello", 1),
    (b"5\rhello", 2),
    (b"5\r\r\nhello", 2),
    (b"5,5\r\n", 1),
    (b"5\x005\r\n", 1),
    (b"5\x0b\r\n", 1),
    (b"5.\r\n", 1),
    (b"5_0\r\n", 1),
    (b"0123456789abcdef\r\n", 15),
    (b"ffffffffffffffff\r\n", 15),
    (b"5;\r\n", 2),
    (b"5;a\n", 3),
    (b"5;a\rX", 4),
    (b"5;a\x00\r\n", 3),
    (b"5;a=\r\n", 4),
    (b"5;a=b c\r\n", 6),
    (b"5;a b\r\n", 4),
    (b"5;a=\x01", 4),
    (b'5;a="b\r\n"', 6),
    (b'5;a="b\n"', 6),
    (b'5;a="b\\\r\n"', 7),
    (b'5;a="b"c\r\n', 7),
    (b"5;;a\r\n", 2),
    (b"5;(a)\r\n", 2),
    (b"1;" + b"a" * 254 + b"\r\n", 256),
    (b"1;" + b"a" * 253 + b"\r\n", 256),
    (b"5\r\nhelloX", 8),
    (b"5\r\nhello\n", 8),
    (b"5\r\nhello\rX", 9),
    (b"5\r\nhello0\r\n\r\n", 8),
    (b"5\r\nhello\r\n\r\n", 10),
    (b"0\r\n\n", 3),
    (b"0\r\n\rX", 4),
    (b"0\r\n A: b\r\n", 3),
    (b"0\r\n: b\r\n", 3),
    (b"0\r\nA : b\r\n", 4),
    (b"0\r\nA\r\n", 4),
    (b"0\r\nA: b\n", 7),
    (b"0\r\nA: b\rc", 8),
    (b"0\r\nA: b\r\n c\r\n", 9),
    (b"0\r\nA: \x00", 6),
    (b"0\r\nA: " + b"b" * 4096, 3 + 4096),
]


@pytest.mark.parametrize(("raw", "place"), REFUSED, ids=range(len(REFUSED)))
def test_wrong_chunked_body(raw: bytes, place: int) -> None:
    phase, consumed, _ = follow_all_ways(raw)
    assert (phase, consumed) == (Phase.ERROR, place)
    assert follow_all_ways(raw[:place])[0] != Phase.ERROR


@pytest.mark.parametrize("name", FORBIDDEN_TRAILERS)
def test_forbidden_trailer(name: str) -> None:
    for spelled in (name, name.title(), name.upper()):
        raw = f"0\r\nX: y\r\n{spelled}: 5\r\n\r\n".encode()
        assert follow_all_ways(raw)[:2] == (Phase.ERROR, raw.index(b": 5"))
        assert follow_all_ways(raw.replace(b": 5", b"s: 5"))[0] == Phase.DONE
        assert follow_all_ways(raw.replace(b"\r\n" + spelled.encode(), b"\r\nx" + spelled.encode()))[0] == Phase.DONE


_chunks = st.tuples(
    st.sampled_from([b"", b"", b"", b";a", b";a=b", b' ; a = "q\\""', b";", b" "]), st.binary(min_size=1, max_size=20)
)
_trailers = st.sampled_from([b"", b"", b"A: b\r\n", b"A: b\r\nB:\r\n", b"Host: x\r\n", b"A b\r\n", b" A: b\r\n"])


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    chunks = draw(st.lists(_chunks, max_size=4))
    raw = b"".join(b"%x%b\r\n%b\r\n" % (len(data), extension, data) for extension, data in chunks)
    raw += b"0\r\n" + draw(_trailers) + b"\r\n" + draw(st.binary(max_size=4))
    if draw(st.booleans()):
        return raw
    place = draw(st.integers(0, len(raw) - 1))
    byte = draw(st.sampled_from([b"", b"\r", b"\n", b"\x00", b" ", b";", b'"', b"0", b"f", b"=", b":", b"\xff"]))
    return raw[:place] + byte + raw[place + draw(st.integers(0, 1)) :]


@settings(max_examples=400)
@given(bodies(), cuts)
@example(b"1;a=b =\r\n", [])
def test_any_chunked_body_is_read_as_the_reference_reads_it(raw: bytes, places: list[int]) -> None:
    phase, consumed, content = follow_all_ways(raw, places)
    expected = reference(raw)
    if phase == Phase.DONE:
        assert expected == (content, consumed)
    else:
        assert expected is None
        assert phase == Phase.ERROR or consumed == len(raw)


@given(st.binary(max_size=60), cuts)
def test_random_bytes_as_chunked_body(raw: bytes, places: list[int]) -> None:
    phase, _, _ = follow_all_ways(raw, places)
    assert (phase == Phase.DONE) == (reference(raw) is not None)


@given(st.integers(0, 50), st.binary(max_size=60), cuts)
def test_body_with_a_length(length: int, raw: bytes, places: list[int]) -> None:
    phase, consumed, content = follow(BodyKind.LENGTH, cut(raw, places), length)
    assert content == raw[:length]
    assert consumed == len(content)
    assert (phase == Phase.DONE) == (len(raw) >= length)


@pytest.mark.parametrize("kind", [BodyKind.UNTIL_CLOSE, BodyKind.TUNNEL])
def test_body_without_an_end(kind: BodyKind) -> None:
    assert follow(kind, [b"abc", b"d"]) == (Phase.DATA, 4, b"abcd")


def test_no_body() -> None:
    assert follow(BodyKind.NONE, [b"abc"]) == (Phase.DONE, 0, b"")
    assert KIT.body_feed(b"abc") == [(b"", 0)]


def test_every_span_is_all_content_or_all_framing() -> None:
    KIT.body_begin(BodyKind.CHUNKED)
    spans = KIT.body_feed(b"5\r\nhello\r\n1;x\r\n!\r\n0\r\n\r\nnext")
    assert spans == [(b"5\r\n", 0), (b"hello", 1), (b"\r\n1;x\r\n", 0), (b"!", 1), (b"\r\n0\r\n\r\n", 0)]


def test_table_has_a_row_for_every_phase_that_reads_framing() -> None:
    passing = {Phase.SIZE_END, Phase.TRAILER_COLON, Phase.DATA, Phase.DONE, Phase.ERROR}
    assert set(TRANSITIONS) == set(Phase) - passing
    for row in TRANSITIONS.values():
        classes = [kind for kinds in row for kind in kinds]
        assert all(a != b for a, b in pairwise(sorted(classes)))
