"""Notes of the engines, joined: one entry per request."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ncore_ray.engine.access.notes import Kind, RequestNote, ResponseNote
from ncore_ray.machine.record import dtype_of, size_of

_REQUEST: Final = struct.Struct(f"<{len(dtype_of(RequestNote).names or ())}q")
_RESPONSE: Final = struct.Struct(f"<{len(dtype_of(ResponseNote).names or ())}q")
_HEAD: Final = struct.Struct("<2q")
assert _REQUEST.size == size_of(RequestNote)
assert _RESPONSE.size == size_of(ResponseNote)


@dataclass(frozen=True, slots=True)
class Request:
    """What the head of a request said. Texts as they were sent, cut to the lengths of `ncore_ray.engine.access`."""

    number: int
    at: int
    """The engine's clock when it was read, µs."""
    address: tuple[int, int]
    """High and low word of the client's address."""
    port: int
    vserver: int
    version_minor: int
    method: bytes
    target: bytes
    host: bytes
    referer: bytes
    agent: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """A request, or what came instead of one, and how it ended."""

    engine: int
    request: Request | None
    """None: what came could not be read as a request."""
    at: int
    """The engine's clock at the end, µs."""
    address: tuple[int, int]
    port: int
    vserver: int
    status: int
    """0: none."""
    content: int
    """Bytes of the body that went to the client."""
    service: int
    """−1: the appliance answered by itself, or nobody did."""
    complete: bool


class Join:
    """Joins the notes of one engine. Each connection has at most one request under way."""

    def __init__(self, engine: int) -> None:
        self._engine = engine
        self._open: dict[int, Request] = {}

    def take(self, notes: bytes) -> Iterator[Entry]:
        """Yield the entries that some more notes complete, in the order of their ends."""
        place = 0
        while place < len(notes):
            size, kind = _HEAD.unpack_from(notes, place)
            if kind == Kind.REQUEST:
                yield from self._begin(notes, place)
            elif kind == Kind.RESPONSE:
                yield self._end(notes, place)
            place += size

    def _begin(self, notes: bytes, place: int) -> Iterator[Entry]:
        _, _, connection, number, at, high, low, port, vserver, minor, *lengths = _REQUEST.unpack_from(notes, place)
        texts, start = [], place + _REQUEST.size
        for length in lengths:
            texts.append(notes[start : start + length])
            start += length
        before = self._open.get(connection)
        if before is not None:  # the note of its end found no room
            yield Entry(self._engine, before, at, before.address, before.port, before.vserver, 0, 0, -1, False)
        self._open[connection] = Request(number, at, (high, low), port, vserver, minor, *texts)

    def _end(self, notes: bytes, place: int) -> Entry:
        fields = _RESPONSE.unpack_from(notes, place)
        _, _, connection, number, at, high, low, port, vserver, status, content, service, complete = fields
        request = self._open.pop(connection, None) if number else None
        if request is not None and request.number != number:
            request = None
        return Entry(self._engine, request, at, (high, low), port, vserver, status, content, service, bool(complete))
