from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.engine.http.message.http_kit import KIT, cut
from tests.engine.http.message.http_strategies import cuts, requests


def reference_end(stream: bytes) -> int:
    """Where the head ends by the words of `scan_head`, with one regular expression."""
    leading = re.match(rb"(\r\n)*", stream)
    assert leading is not None
    match = re.search(rb"(?<!\r)\n|(?<=\n)\r\n", stream[leading.end() :].join([b"-", b""]))
    return -1 if match is None else leading.end() + match.end() - 1


@pytest.mark.parametrize(
    ("stream", "end"),
    [
        (b"", -1),
        (b"\r\n\r\n", -1),  # RFC 9112 §2.2: empty lines before the request line are no head
        (b"\r\n\r\nGET / HTTP/1.1\r\n\r\n", 22),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody\r\n\r\n", 27),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", -1),
        (b"GET / HTTP/1.1\nHost: a\r\n\r\n", 15),  # a bare LF: judged at once
        (b"\nGET", 1),
        (b"\r\n\n", 3),
        (b"a\r\n\n", 4),
        (b"a\r\r\n\r\nb", 6),
        (b"\r\r\n\r\n", 5),
        (b"X" * 40 + b"\r\n\r\n" + b"Y" * 40, 44),
    ],
)
def test_scan_finds_the_end_however_the_stream_is_cut(stream: bytes, end: int) -> None:
    assert reference_end(stream) == end
    assert KIT.scan([stream]) == end
    assert KIT.scan(cut(stream, range(len(stream)))) == end
    for place in range(len(stream)):
        assert KIT.scan([stream[:place], b"", stream[place:]]) == end


@given(st.one_of(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b"word"])).map(b"".join), requests()), cuts)
@example(b"\r\nX\r\n\r\n", [1])
def test_scan_of_any_stream_agrees_with_the_reference(stream: bytes, places: list[int]) -> None:
    end = reference_end(stream)
    assert KIT.scan([stream]) == end
    assert KIT.scan(cut(stream, places)) == end
    assert KIT.scan(cut(stream, range(len(stream)))) == end
