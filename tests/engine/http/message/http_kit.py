"""Python's door to the message kernels, with the bytes placed between pages that cannot be touched."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np

from ncore_ray.engine.http.message import address as address_kernels
from ncore_ray.engine.http.message import body as body_kernels
from ncore_ray.engine.http.message import framing, head, known, request, response, rewrite
from ncore_ray.engine.http.message.body import Body
from ncore_ray.engine.http.message.head import FIELDS_SIZE, Field, Head, head_at
from ncore_ray.engine.http.message.rewrite import Rewrite, rewrite_at
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.machine.record import new, table

PAGE: Final = mmap.PAGESIZE
_NO_ACCESS: Final = 0
_FILL: Final = 0xA5
MAX_LINE: Final = 2000
MAX_FIELDS: Final = 40


@entry_kernel
def scan_entry(address: int, length: int, matched: int) -> tuple[int, int]:
    return head.scan_head(address, length, matched)


@entry_kernel
def request_entry(address: int, length: int, record: int, fields: int, max_line: int, max_fields: int) -> int:
    return request.parse_request(address, length, head_at(record), fields, max_line, max_fields)


@entry_kernel
def response_entry(address: int, length: int, record: int, fields: int, max_fields: int) -> int:
    return response.parse_response(address, length, head_at(record), fields, max_fields)


@entry_kernel
def unfinished_entry(address: int, length: int) -> int:
    return request.refuse_unfinished(address, length)


@entry_kernel
def request_body_entry(record: int) -> int:
    return framing.request_body(head_at(record))


@entry_kernel
def response_body_entry(record: int, method: int) -> int:
    return framing.response_body(head_at(record), method)


@entry_kernel
def write_request_entry(record: int, fields: int, source: int, target: int, room: int, options: int) -> int:
    return rewrite.write_request(head_at(record), fields, source, target, room, rewrite_at(options))


@entry_kernel
def write_response_entry(record: int, fields: int, source: int, target: int, room: int, options: int) -> int:
    return rewrite.write_response(head_at(record), fields, source, target, room, rewrite_at(options))


@entry_kernel
def body_begin_entry(record: int, kind: int, content_length: int) -> int:
    return body_kernels.body_begin(body_kernels.body_at(record), kind, content_length)


@entry_kernel
def body_step_entry(record: int, address: int, length: int) -> tuple[int, int]:
    return body_kernels.body_step(body_kernels.body_at(record), address, length)


@entry_kernel
def put_address_entry(target: int, high: int, low: int) -> int:
    return address_kernels.put_address(target, high, low)


@entry_kernel
def known_entry(address: int, length: int) -> int:
    return known.known_word(address, length)


class Guarded:
    """Some pages of memory with a page on both sides that kills whoever touches it."""

    def __init__(self, pages: int = 8) -> None:
        self.size = pages * PAGE
        self._map = mmap.mmap(-1, self.size + 2 * PAGE)
        anchor = ctypes.c_char.from_buffer(self._map)
        base = ctypes.addressof(anchor)
        self.start = base + PAGE
        self.end = self.start + self.size
        libc = ctypes.CDLL(None, use_errno=True)
        for guard in (base, self.end):
            if libc.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(PAGE), _NO_ACCESS) != 0:
                raise OSError(ctypes.get_errno(), "mprotect")

    def at_end(self, content: bytes) -> int:
        """Place bytes so that nothing can be read after them."""
        ctypes.memmove(self.end - len(content), content, len(content))
        return self.end - len(content)

    def at_start(self, content: bytes) -> int:
        """Place bytes so that nothing can be read before them."""
        ctypes.memmove(self.start, content, len(content))
        return self.start

    def room(self, size: int) -> int:
        """Return the address of so many bytes, after which nothing can be written."""
        ctypes.memset(self.start, _FILL, self.size)
        return self.end - size

    def untouched_before(self, address: int) -> bool:
        return set(ctypes.string_at(self.start, address - self.start)) <= {_FILL}


class Line(NamedTuple):
    name: bytes
    value: bytes
    known: int
    drop: int


@dataclass(frozen=True)
class Parsed:
    """What a parse left in its records; ``head`` has the record's fields by name."""

    status: int
    head: dict[str, int]
    lines: list[Line]
    raw: bytes

    def span(self, name: str) -> bytes:
        start = self.head[f"{name}_start"]
        return self.raw[start : start + self.head[f"{name}_length"]]


HEAD_NAMES: Final = tuple(Head.__annotations__)


class Kit:
    """Records, guarded memory and the calls."""

    def __init__(self) -> None:
        self.memory = Guarded()
        self.target = Guarded(4)
        self._head_memory, self.head, self.head_address = new(Head)
        self._options_memory, self.options, self.options_address = new(Rewrite)
        self._body_memory, self.body, self.body_address = new(Body)
        self._fields = np.zeros(FIELDS_SIZE, np.uint8)
        self.fields = self._fields.ctypes.data

    def scan(self, pieces: Iterable[bytes]) -> int:
        """Return where the head ends in the stream, or −1."""
        seen = matched = 0
        for piece in pieces:
            for address in (self.memory.at_start(piece), self.memory.at_end(piece)):
                found, after = scan_entry(address, len(piece), matched)
            if found >= 0:
                assert after == 0
                return seen + found
            seen += len(piece)
            matched = after
        return -1

    def request(self, raw: bytes, max_line: int = MAX_LINE, max_fields: int = MAX_FIELDS) -> Parsed:
        records = self.head_address, self.fields, max_line, max_fields
        first = request_entry(self.memory.at_start(raw), len(raw), *records)
        before = self._snapshot(first, raw)
        self.source = self.memory.at_end(raw)
        after = self._snapshot(request_entry(self.source, len(raw), *records), raw)
        assert before == after
        return after

    def response(self, raw: bytes, max_fields: int = MAX_FIELDS) -> Parsed:
        records = self.head_address, self.fields, max_fields
        first = response_entry(self.memory.at_start(raw), len(raw), *records)
        before = self._snapshot(first, raw)
        self.source = self.memory.at_end(raw)
        after = self._snapshot(response_entry(self.source, len(raw), *records), raw)
        assert before == after
        return after

    def _snapshot(self, status: int, raw: bytes) -> Parsed:
        values = {name: int(getattr(self.head, name)) for name in HEAD_NAMES}
        lines = []
        rows: Any = table(Field, self._fields, 0, values["field_count"] if status == 0 else 0)
        for row in rows:
            name = raw[row["name_start"] :][: row["name_length"]]
            value = raw[row["value_start"] :][: row["value_length"]]
            lines.append(Line(name, value, int(row["known"]), int(row["drop"])))
        return Parsed(int(status), values, lines, raw)

    def rewrite_options(self, host: bytes = b"", client: tuple[int, int] = (0, 0), **flags: int) -> None:
        self._host = ctypes.create_string_buffer(host, len(host) + 1)
        self.options.host = ctypes.addressof(self._host) - self.options_address
        self.options.host_length = len(host)
        self.options.client_high, self.options.client_low = client
        for name in ("forwarded_for", "via", "close", "keep_alive", "unchunk"):
            setattr(self.options, name, flags.get(name, 0))

    def write(self, what: str, room: int) -> bytes | None:
        """Write the head parsed last; None if it does not fit. Dies if a byte is written outside of the room."""
        target = self.target.room(room)
        entry = write_request_entry if what == "request" else write_response_entry
        length = entry(self.head_address, self.fields, self.source, target, room, self.options_address)
        assert self.target.untouched_before(target)
        return None if length < 0 else ctypes.string_at(target, length)

    def request_body(self) -> int:
        return request_body_entry(self.head_address)

    def response_body(self, method: int) -> int:
        return response_body_entry(self.head_address, method)

    def body_begin(self, kind: int, content_length: int = 0) -> None:
        body_begin_entry(self.body_address, kind, content_length)

    def body_feed(self, piece: bytes) -> list[tuple[bytes, int]]:
        """Return the spans of a piece with their kind (1: content) until it is used up or the body is at its end."""
        spans = []
        at = 0
        while at < len(piece):
            rest = piece[at:]
            address = self.memory.at_end(rest) if at % 2 else self.memory.at_start(rest)
            consumed, data = body_step_entry(self.body_address, address, len(rest))
            assert 0 <= consumed <= len(rest)
            spans.append((rest[:consumed], data))
            at += consumed
            if consumed == 0 or self.body.phase in (1, 2):
                break
        return spans

    def address_text(self, high: int, low: int) -> bytes:
        target = self.target.room(39)
        end = put_address_entry(target, high, low)
        return ctypes.string_at(target, end - target)

    def known(self, word: bytes) -> int:
        by_end = known_entry(self.memory.at_end(word), len(word))
        assert by_end == known_entry(self.memory.at_start(word), len(word))
        return by_end


def cut(raw: bytes, places: Iterable[int]) -> list[bytes]:
    """Cut bytes at some places (any integers)."""
    edges = sorted({0, len(raw), *(place % (len(raw) + 1) for place in places)})
    return [raw[a:b] for a, b in pairwise(edges)] or [b""]


KIT: Final = Kit()
