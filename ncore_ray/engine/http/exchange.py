"""What HTTP remembers of a connection between two segments: plain data, one record per connection."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ncore_ray.arena.header import arena_at, check_index
from ncore_ray.engine.connection import Tcb, index_of
from ncore_ray.engine.http.message.body import Body, body_at
from ncore_ray.engine.http.message.head import FIELDS_SIZE, Head, head_at
from ncore_ray.engine.http.message.rewrite import Rewrite, rewrite_at
from ncore_ray.engine.partition import Engine, base_of
from ncore_ray.machine.jit import CHECKED, kernel
from ncore_ray.machine.memory import clear
from ncore_ray.machine.record import I16, I32, I64, Record, address_of, pointer_to, size_of


class Phase(IntEnum):
    """Where a connection is in its exchange of messages."""

    READ_HEAD = 0
    """Client: the next request's head. Server: the response's head (or idle, when it has no peer)."""
    RELAY_BODY = 1
    WAIT = 2
    """Client only: the request went out whole; what follows it waits for the response's end."""
    TUNNEL = 3
    CLOSING = 4


class Exchange(Record):
    """State of one connection; of a client's connection the request, of a server's the response."""

    phase: I16
    method: I16
    version_minor: I16
    persistent: I16
    """Client: it may send another request. Server: it may be used again."""
    upgrade: I16
    responding: I16
    """Client: bytes of the final response have been queued for it."""
    unchunk: I16
    """Server: the chunk framing is taken off, because the client speaks HTTP/1.0."""
    reused: I16
    """Server: it came from the pool, so the server may have closed it already."""
    logged: I64
    """Client: number of the request for the access log; 0: none is under way; −1: it is left out."""
    status: I16
    """Client: of the final response, once it is queued."""
    asked_at: I32
    """Client: when the request's head was read, in the steps of `engine.latency`."""


exchange_at = pointer_to(Exchange)
_EXCHANGE: Final = size_of(Exchange)
_BODY: Final = size_of(Body)

GATHER_ROOM: Final = 16384 + 64
"""Scratch: a head in one piece."""
_REWRITE: Final = GATHER_ROOM
REWRITE_ROOM: Final = 24576
"""Scratch: a head as it goes on."""
_HEAD: Final = _REWRITE + REWRITE_ROOM
_FIELDS: Final = _HEAD + size_of(Head)
_OPTIONS: Final = _FIELDS + FIELDS_SIZE
_REWRITE_SIZE: Final = size_of(Rewrite)
SCRATCH_NEEDED: Final = _OPTIONS + _REWRITE_SIZE


@kernel
def exchange_of(engine: Engine, tcb: Tcb) -> Exchange:
    """Return the HTTP state of a connection."""
    index = index_of(engine, tcb)
    if CHECKED:
        check_index(index, engine.connection_count)
    return exchange_at(base_of(engine) + engine.http + index * _EXCHANGE)


@kernel
def body_of(engine: Engine, tcb: Tcb) -> Body:
    """Return the state of the body that a connection is receiving."""
    return body_at(base_of(engine) + engine.bodies + index_of(engine, tcb) * _BODY)


@kernel
def begin_exchange(engine: Engine, tcb: Tcb) -> int:
    """Forget the connection's former life."""
    clear(address_of(exchange_of(engine, tcb)), _EXCHANGE)
    return clear(address_of(body_of(engine, tcb)), _BODY)


@kernel
def gather_scratch(engine: Engine) -> int:
    """Return the address of `GATHER_ROOM` scratch bytes."""
    return base_of(engine) + engine.scratch


@kernel
def rewrite_scratch(engine: Engine) -> int:
    """Return the address of `REWRITE_ROOM` scratch bytes."""
    return base_of(engine) + engine.scratch + _REWRITE


@kernel
def head_scratch(engine: Engine) -> Head:
    """Return the record that the parsers fill."""
    return head_at(base_of(engine) + engine.scratch + _HEAD)


@kernel
def fields_scratch(engine: Engine) -> int:
    """Return the address of the table of fields that the parsers fill."""
    return base_of(engine) + engine.scratch + _FIELDS


@kernel
def rewrite_options(engine: Engine) -> Rewrite:
    """Return the record of rewriting options, cleared."""
    address = base_of(engine) + engine.scratch + _OPTIONS
    clear(address, _REWRITE_SIZE)
    return rewrite_at(address)


class ErrorText(Record):
    """One of the appliance's own responses, in the arena's texts."""

    status: I64
    offset: I64
    head_length: I64
    length: I64


error_text_at = pointer_to(ErrorText)
_ERROR_TEXT: Final = size_of(ErrorText)


@kernel
def error_text(engine: Engine, status: int) -> ErrorText:
    """Return the text of a status; the table ends with the one that stands for all others."""
    address = base_of(engine) + engine.error_texts
    row = error_text_at(address)
    while row.status != status and row.status != 0:
        address += _ERROR_TEXT
        row = error_text_at(address)
    return row


@kernel
def text_address(engine: Engine, offset: int) -> int:
    """Return the address of a text by its offset among the arena's texts."""
    return base_of(engine) + arena_at(base_of(engine)).texts + offset
