"""HTTP messages of any bytes: judged as a reader in plain Python judges them, and read again as they were passed on."""

from __future__ import annotations

from tests.engine.http.message.http_kit import KIT, MAX_FIELDS, MAX_LINE, cut
from tests.engine.http.message.http_reference import agrees, judged, read_request, read_response

_ROOM = 8_192
_MOST = 4_000


def any_request(data: bytes) -> None:
    """Read a request's head, judge it twice, write it anew, and read that."""
    raw = data[:_MOST]
    assert KIT.scan(cut(raw, raw[:3])) == KIT.scan([raw])
    parsed = KIT.request(raw)
    status, message = judged(read_request, raw, MAX_LINE, MAX_FIELDS)
    assert parsed.status == status
    if message is None:
        return
    agrees(parsed, message)
    KIT.rewrite_options(b"host", (0, 0), via=1)
    written = KIT.write("request", _ROOM)
    assert written is not None
    assert KIT.request(written, _ROOM, 4 * MAX_FIELDS).status == 0, "what goes on is no request"


def any_response(data: bytes) -> None:
    """Read a response's head, judge it twice, write it anew, and read that."""
    raw = data[:_MOST]
    parsed = KIT.response(raw)
    status, message = judged(read_response, raw, MAX_FIELDS)
    assert parsed.status == status
    if message is None:
        return
    agrees(parsed, message)
    KIT.rewrite_options(via=1)
    written = KIT.write("response", _ROOM)
    assert written is not None
    assert KIT.response(written, 4 * MAX_FIELDS).status == 0, "what goes on is no response"


def any_chunks(data: bytes) -> None:
    """Read a chunked body whole and cut into pieces: the same content, the same end."""
    from ncore_ray.engine.http.message.framing import BodyKind

    places, raw = data[:4], data[4:_MOST]
    found = []
    for pieces in ([raw], cut(raw, places), [raw[i : i + 1] for i in range(len(raw))]):
        KIT.body_begin(BodyKind.CHUNKED)
        content, consumed = b"", 0
        for piece in pieces:
            for span, kind in KIT.body_feed(piece):
                content += span if kind == 1 else b""
                consumed += len(span)
            if KIT.body.phase in (1, 2):
                break
        found.append((content, consumed, KIT.body.phase))
    assert found[0] == found[1] == found[2], found
