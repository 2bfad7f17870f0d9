"""Two notes per request: one when its head is read, one when the answer is out. The management joins them.

So nothing of a request is kept in the connection but a number, however long it takes. The texts are cut to bounded
lengths. Without an access log a request costs two branches.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ncore_ray.engine.access.ring import NoteRing, begin_note, note_ring_at, publish_note
from ncore_ray.engine.connection import Tcb, index_of, peer_of, remote_port
from ncore_ray.engine.http.exchange import Exchange, body_of, exchange_of, fields_scratch
from ncore_ray.engine.http.message.head import Field, Head, field_of
from ncore_ray.engine.http.message.text import packed_word, word_of
from ncore_ray.engine.partition import Engine, base_of, counters_of
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import copy, load64be
from ncore_ray.machine.record import I64, Record, pointer_to, size_of
from ncore_ray.tables.service import vserver_of

LOGGED_METHOD: Final = 32
LOGGED_TARGET: Final = 2048
LOGGED_HOST: Final = 256
LOGGED_REFERER: Final = 1024
LOGGED_AGENT: Final = 512
"""Bytes of each text at the most."""
MILLION: Final = 1_000_000
UNLOGGED: Final = -1
"""Instead of a request's number: it is left out (by the sample, or for want of room)."""
NO_SERVICE: Final = -1

_LETTERS: Final = 0x2020_2020_2020_20
_REFERER: Final = word_of("referer")
_USER_AGE: Final = word_of("user-age")
_NT: Final = word_of("nt")


class Kind(IntEnum):
    """What a note is about."""

    FILLER = 0
    REQUEST = 1
    RESPONSE = 2


class RequestNote(Record):
    """A request was read. Its texts follow in this order: method, target, host, referer, agent."""

    size: I64
    """Of the whole note, a multiple of 8."""
    kind: I64
    connection: I64
    """Number of the client's connection at this engine."""
    number: I64
    """Of the request at this engine, from 1."""
    at: I64
    """The breath's clock, µs."""
    high: I64
    low: I64
    port: I64
    vserver: I64
    version_minor: I64
    method_length: I64
    target_length: I64
    host_length: I64
    referer_length: I64
    agent_length: I64


class ResponseNote(Record):
    """The answer is out, or will never be whole."""

    size: I64
    kind: I64
    connection: I64
    number: I64
    """Of the request; 0: there was none that could be read."""
    at: I64
    high: I64
    low: I64
    port: I64
    vserver: I64
    status: I64
    """0: the client was gone before there was any."""
    content: I64
    """Bytes of the body."""
    service: I64
    """−1: the appliance answered by itself."""
    complete: I64


request_note_at = pointer_to(RequestNote)
response_note_at = pointer_to(ResponseNote)
_REQUEST: Final = size_of(RequestNote)
_RESPONSE: Final = size_of(ResponseNote)


@kernel
def _ring_of(engine: Engine) -> NoteRing:
    return note_ring_at(base_of(engine) + engine.access_ring)


@kernel
def note_request(engine: Engine, tcb: Tcb, exchange: Exchange, head: Head, source: int) -> int:
    """Note a request whose head was read without fault, if it is one of the sample."""
    if engine.access_ring == 0:
        return 0
    exchange.logged = UNLOGGED
    if vserver_of(base_of(engine), tcb.vserver).access_log == 0:
        return 0
    engine.access_credit += engine.access_share
    if engine.access_credit < MILLION:
        return 0
    engine.access_credit -= MILLION
    return _write_request(engine, tcb, exchange, head, source)


@kernel
def _write_request(engine: Engine, tcb: Tcb, exchange: Exchange, head: Head, source: int) -> int:
    fields = fields_scratch(engine)
    referer, referer_length = _value_of(head, fields, source, 0)
    agent, agent_length = _value_of(head, fields, source, 1)
    method_length = min(head.method_length, LOGGED_METHOD)
    target_length = min(head.target_length, LOGGED_TARGET)
    host_length = min(head.authority_length, LOGGED_HOST)
    referer_length, agent_length = min(referer_length, LOGGED_REFERER), min(agent_length, LOGGED_AGENT)
    texts = method_length + target_length + host_length + referer_length + agent_length
    size = (_REQUEST + texts + 7) & -8
    ring = _ring_of(engine)
    at = begin_note(ring, size)
    if at == 0:
        counters_of(engine).access_log_full_requests += 1
        return 0
    note = request_note_at(at)
    note.size, note.kind = size, Kind.REQUEST
    engine.access_number += 1
    exchange.logged = engine.access_number
    note.connection, note.number, note.at = index_of(engine, tcb), engine.access_number, engine.now
    note.high, note.low, note.port = tcb.remote_high, tcb.remote_low, remote_port(tcb)
    note.vserver, note.version_minor = tcb.vserver, head.version_minor
    note.method_length, note.target_length, note.host_length = method_length, target_length, host_length
    note.referer_length, note.agent_length = referer_length, agent_length
    text = _put(at + _REQUEST, source + head.start, method_length)
    text = _put(text, source + head.target_start, target_length)
    text = _put(text, source + head.authority_start, host_length)
    text = _put(text, referer, referer_length)
    _put(text, agent, agent_length)
    counters_of(engine).access_logged_requests += 1
    return publish_note(ring)


@kernel
def _put(target: int, source: int, length: int) -> int:
    copy(target, source, length)
    return target + length


@kernel
def _value_of(head: Head, fields: int, source: int, agent: int) -> tuple[int, int]:
    """Return address and length of the value of Referer, or of User-Agent."""
    for index in range(head.field_count):
        field = field_of(fields, index)
        if _is_agent(field, source) if agent else _is_referer(field, source):
            return source + field.value_start, field.value_length
    return source, 0


@kernel
def _is_referer(field: Field, source: int) -> bool:
    return field.name_length == 7 and packed_word(source + field.name_start, 7) | _LETTERS == _REFERER


@kernel
def _is_agent(field: Field, source: int) -> bool:
    name = source + field.name_start
    if field.name_length != 10 or packed_word(name + 8, 2) | 0x2020 != _NT:
        return False
    return load64be(name) | 0x2020_2020_2020_2020 == _USER_AGE


@kernel
def note_response(engine: Engine, client: Tcb, status: int, content: int, service: int) -> int:
    """Note that an answer is whole, as far as the appliance is concerned."""
    return _write_response(engine, client, status, content, service, 1) if engine.access_ring else 0


@kernel
def note_cut_off(engine: Engine, client: Tcb) -> int:
    """Note that a client is given up or gone, if a request of it is being answered."""
    if engine.access_ring == 0:
        return 0
    exchange = exchange_of(engine, client)
    if exchange.logged == 0:
        return 0
    status = exchange.status if exchange.responding else 0
    content, service = 0, NO_SERVICE
    if client.peer:
        server = peer_of(engine, client)
        service = server.service
        content = body_of(engine, server).content if exchange.responding else 0
    return _write_response(engine, client, status, content, service, 0)


@kernel
def _write_response(engine: Engine, client: Tcb, status: int, content: int, service: int, complete: int) -> int:
    exchange = exchange_of(engine, client)
    number = exchange.logged
    exchange.logged = 0
    if number == UNLOGGED or vserver_of(base_of(engine), client.vserver).access_log == 0:
        return 0
    ring = _ring_of(engine)
    at = begin_note(ring, _RESPONSE)
    if at == 0:
        counters_of(engine).access_log_full_requests += 1
        return 0
    note = response_note_at(at)
    note.size, note.kind = _RESPONSE, Kind.RESPONSE
    note.connection, note.number, note.at = index_of(engine, client), number, engine.now
    note.high, note.low, note.port = client.remote_high, client.remote_low, remote_port(client)
    note.vserver, note.status, note.content = client.vserver, status, content
    note.service, note.complete = service, complete
    return publish_note(ring)
