"""Bodies as they stream by: which bytes are content, which are framing, and where the body ends."""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.http.message.chunk_syntax import CLASS_OF, CLASSES, NEXT_PHASE, Phase
from ncore_ray.engine.http.message.framing import BodyKind
from ncore_ray.engine.http.message.text import lower
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load8
from ncore_ray.machine.record import I32, I64, Record, pointer_to

MAX_SIZE_DIGITS: Final = 15
MAX_SIZE_LINE: Final = 256
"""Bytes of a chunk's size and extensions, CR LF included."""
MAX_TRAILERS: Final = 4096
"""Bytes of a trailer section, all but its last LF."""


class Body(Record):
    """State of one body. Plain data without addresses: it may live in the arena."""

    kind: I32
    """`BodyKind`."""
    phase: I32
    """`Phase`: DONE and ERROR are final."""
    remaining: I64
    """Content bytes still to come of the body (LENGTH), or of the chunk."""
    content: I64
    """Content bytes seen: the caller's limits are compared with it."""
    name_hash: I64
    """Of the trailer name being read."""
    line: I32
    """Bytes seen of the size line."""
    trailers: I32
    """Bytes seen of the trailer section."""


body_at = pointer_to(Body)


def _python_name_hash(name: str) -> int:
    value = _FNV_START
    for byte in name.encode("ascii"):
        value = ((value ^ byte) * _FNV_PRIME) & 0xFFFF_FFFF
    return value


_FNV_START: Final = 0x811C_9DC5
_FNV_PRIME: Final = 0x0100_0193

FORBIDDEN_TRAILERS: Final = (
    "transfer-encoding",
    "content-length",
    "content-encoding",
    "content-type",
    "content-range",
    "trailer",
    "host",
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "upgrade",
    "expect",
    "max-forwards",
    "cache-control",
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-forwarded-for",
    "forwarded",
    "via",
)
"""Fields for framing, routing, authentication or one hop, which no trailer may hold (RFC 9110 §6.5.1)."""
_FORBIDDEN_HASHES: Final = tuple(_python_name_hash(name) for name in FORBIDDEN_TRAILERS)


@kernel
def body_begin(body: Body, kind: int, content_length: int) -> int:
    """Begin a body of a `BodyKind`; ``content_length`` counts for LENGTH only."""
    body.kind = kind
    body.phase = Phase.SIZE_FIRST if kind == BodyKind.CHUNKED else Phase.DATA
    body.remaining = content_length if kind == BodyKind.LENGTH else 0
    body.content = 0
    body.name_hash = 0
    body.line = 0
    body.trailers = 0
    if kind == BodyKind.NONE or (kind == BodyKind.LENGTH and content_length == 0):
        body.phase = Phase.DONE
    return 0


@kernel
def body_step(body: Body, address: int, length: int) -> tuple[int, int]:
    """Take the next span of a body: bytes that are all content, or all framing.

    Call it on until the phase is DONE or ERROR or no bytes are left. After DONE the bytes not consumed belong to the
    next message; at ERROR they begin with the byte that is wrong.

    Returns:
        Bytes consumed, and 1 if they are content, 0 if they are framing.
    """
    if length <= 0 or body.phase == Phase.DONE or body.phase == Phase.ERROR:
        return 0, 0
    if body.phase != Phase.DATA:
        return _take_framing(body, address, length), 0
    if body.kind == BodyKind.UNTIL_CLOSE or body.kind == BodyKind.TUNNEL:
        body.content += length
        return length, 1
    taken = min(length, body.remaining)
    body.content += taken
    body.remaining -= taken
    if body.remaining == 0:
        body.phase = Phase.DATA_CR if body.kind == BodyKind.CHUNKED else Phase.DONE
    return taken, 1


@kernel
def _take_framing(body: Body, address: int, length: int) -> int:
    """Walk through the table until content begins, the body ends, or no bytes are left; return bytes consumed."""
    for at in range(length):
        byte = load8(address + at)
        phase = int(NEXT_PHASE[body.phase * CLASSES + int(CLASS_OF[byte])])
        phase = _enter_trailer(body, phase, byte) if phase >= Phase.TRAILER_START else _enter(body, phase, byte)
        body.phase = phase
        if phase == Phase.ERROR:
            return at
        if phase <= Phase.DONE:
            return at + 1
    return length


@kernel
def _enter(body: Body, phase: int, byte: int) -> int:
    """Do what entering a phase of the chunk's lines means; return the phase that follows from it."""
    if phase == Phase.SIZE_FIRST:
        body.line = 0
        return phase
    if phase > Phase.SIZE_END or phase < Phase.SIZE:
        return phase
    body.line += 1
    if body.line > MAX_SIZE_LINE or (phase == Phase.SIZE and body.line > MAX_SIZE_DIGITS):
        return Phase.ERROR
    if phase == Phase.SIZE:
        body.remaining = body.remaining * 16 + _digit(byte)
    if phase == Phase.SIZE_END:
        return Phase.DATA if body.remaining > 0 else Phase.TRAILER_START
    return phase


@kernel
def _digit(byte: int) -> int:
    """Return the value of a hexadecimal digit."""
    return byte - 0x30 if byte <= 0x39 else (byte & 0x0F) + 9


@kernel
def _enter_trailer(body: Body, phase: int, byte: int) -> int:
    """Do what entering a phase of the trailer section means; return the phase that follows from it."""
    body.trailers += 1
    if body.trailers > MAX_TRAILERS:
        return Phase.ERROR
    if phase == Phase.TRAILER_START:
        body.name_hash = 0
    if phase == Phase.TRAILER_NAME:
        before = body.name_hash if body.name_hash != 0 else _FNV_START
        body.name_hash = ((before ^ lower(byte)) * _FNV_PRIME) & 0xFFFF_FFFF
    if phase == Phase.TRAILER_COLON:
        return Phase.ERROR if _is_forbidden(body.name_hash) else Phase.TRAILER_VALUE
    return phase


@kernel
def _is_forbidden(name_hash: int) -> bool:
    """Return whether a trailer's name is forbidden; another name of the same 32 bits is refused with it."""
    found = False
    for forbidden in _FORBIDDEN_HASHES:
        found = found or name_hash == forbidden
    return found
