"""A frozen flow by names: a document of plain values for people, files and other programs, and back.

    {"format": "ncore flow", "version": 1, "layout": "…", "frozen_at": 12, "engine": 0, "sides": [
        {"connection": {"iss": 7, …}, "exchange": {…}, "body": {…}, "spans": [{"start": 8, "mark": 0}, …],
         "send": b"…", "hold": b"…", "early": [{"sequence": 9, "data": b"…"}]}]}

In JSON, bytes are written as ``{"base64": "…"}``; msgpack knows them. Instants are those of the engine's clock, µs.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any, Final

import msgpack
import numpy as np

from ncore_ray.engine.connection import Tcb
from ncore_ray.engine.handover.frozen import (
    EARLY_SIZE,
    FLOW_SIZE,
    LAYOUT,
    MAGIC,
    SIDE_SIZE,
    VERSION,
    EarlySegment,
    FrozenFlow,
    FrozenSide,
)
from ncore_ray.engine.http.exchange import Exchange
from ncore_ray.engine.http.message.body import Body
from ncore_ray.engine.tcp.spans import Span
from ncore_ray.errors import NcoreError
from ncore_ray.machine.record import dtype_of, size_of

FORMAT: Final = "ncore flow"
Document = dict[str, Any]
_RECORDS: Final = {"connection": Tcb, "exchange": Exchange, "body": Body}


class FlowFormatError(NcoreError):
    """A document that is no frozen flow, or one of another version."""


def to_document(frozen: bytes) -> Document:
    """Return a frozen flow by names. Raises FlowFormatError."""
    try:
        return _to_document(frozen)
    except ValueError as error:
        raise FlowFormatError(f"these bytes are no whole flow: {error}") from error


def _to_document(frozen: bytes) -> Document:
    head = _fields(FrozenFlow, frozen, 0)
    if head["magic"] != MAGIC or not 1 <= head["sides"] <= 2:
        raise FlowFormatError("these bytes are no frozen flow")
    sides, place = [], FLOW_SIZE
    for _ in range(head["sides"]):
        side, place = _side(frozen, place)
        sides.append(side)
    layout = f"{head['layout']:016x}"
    start = {"format": FORMAT, "version": head["version"], "layout": layout}
    return start | {"frozen_at": head["frozen_at"], "engine": head["engine"], "sides": sides}


def _fields(record: Any, frozen: bytes, place: int) -> dict[str, Any]:
    row = np.frombuffer(frozen, dtype_of(record), 1, place)[0]
    return {name: row[name].tolist() for name in dtype_of(record).names or ()}


def _side(frozen: bytes, place: int) -> tuple[Document, int]:
    head = _fields(FrozenSide, frozen, place)
    place += SIDE_SIZE
    side: Document = {}
    for name, record in _RECORDS.items():
        side[name] = _fields(record, frozen, place)
        place += size_of(record)
    if head["spans"] < 0 or head["early_count"] < 0:
        raise ValueError("it says that it has fewer than no spans or segments")
    side["spans"] = [_fields(Span, frozen, place + i * size_of(Span)) for i in range(head["spans"])]
    place += head["spans"] * size_of(Span)
    for name in ("send", "hold"):
        length = head[f"{name}_bytes"]
        side[name] = _part(frozen, place, length)
        place += _padded(length)
    side["early"] = []
    for _ in range(head["early_count"]):
        early = _fields(EarlySegment, frozen, place)
        place += EARLY_SIZE
        side["early"].append({"sequence": early["sequence"], "data": _part(frozen, place, early["length"])})
        place += _padded(early["length"])
    return side, place


def _part(frozen: bytes, place: int, length: int) -> bytes:
    """Return bytes of a stream. Raises ValueError if they are not all there, or fewer than none."""
    if not 0 <= length <= len(frozen) - place:
        raise ValueError(f"{length} bytes from {place} on, of {len(frozen)}")
    return frozen[place : place + length]


def _padded(length: int) -> int:
    return -(-length // 8) * 8


def from_document(document: Document) -> bytes:
    """Return the frozen flow that a document describes.

    Raises:
        FlowFormatError: it is no flow, or one of another version, or fields are missing or unknown.
    """
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise FlowFormatError(f"this is no {FORMAT}: the field 'format' is missing, or another one")
    if document.get("version") != VERSION:
        raise FlowFormatError(f"a flow of version {document.get('version')}; this program knows version {VERSION}")
    try:
        sides = b"".join(_packed_side(side) for side in document["sides"])
        head = {"magic": MAGIC, "version": VERSION, "layout": LAYOUT, "size": FLOW_SIZE + len(sides)}
        head |= {"sides": len(document["sides"]), "frozen_at": document["frozen_at"], "engine": document["engine"]}
        return _packed(FrozenFlow, head) + sides
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise FlowFormatError(f"this flow cannot be read: {type(error).__name__}: {error}") from error


def _packed(record: Any, fields: dict[str, Any]) -> bytes:
    names = dtype_of(record).names or ()
    if set(fields) != set(names):
        other = ", ".join(sorted(set(fields) ^ set(names)))
        raise ValueError(f"fields of {record.__name__} that are missing or unknown: {other}")
    row = np.zeros(1, dtype_of(record))
    for name in names:
        row[name] = fields[name]
    return row.tobytes()


def _packed_side(side: Document) -> bytes:
    early = [_packed_early(one["sequence"], one["data"]) for one in side["early"]]
    head = {
        "spans": len(side["spans"]),
        "send_bytes": len(side["send"]),
        "hold_bytes": len(side["hold"]),
        "early_count": len(early),
        "early_bytes": sum(map(len, early)),
    }
    parts = [_packed(FrozenSide, head)]
    parts += [_packed(record, side[name]) for name, record in _RECORDS.items()]
    parts += [_packed(Span, span) for span in side["spans"]]
    parts += [_fill(side["send"]), _fill(side["hold"]), *early]
    return b"".join(parts)


def _packed_early(sequence: int, data: bytes) -> bytes:
    return _packed(EarlySegment, {"sequence": sequence, "length": len(data)}) + _fill(data)


def _fill(data: bytes) -> bytes:
    return data.ljust(_padded(len(data)), b"\0")


def to_msgpack(documents: Document | Sequence[Document]) -> bytes:
    """Return documents as msgpack."""
    raw: bytes = msgpack.packb(documents)
    return raw


def from_msgpack(raw: bytes) -> Any:
    """Return what `to_msgpack` was given."""
    return msgpack.unpackb(raw)


def to_json(documents: Document | Sequence[Document]) -> str:
    """Return documents as JSON."""
    return json.dumps(documents, default=_as_text, indent=1)


def _as_text(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    raise TypeError(f"{type(value).__name__} has no place in a flow")


def from_json(text: str) -> Any:
    """Return what `to_json` was given."""
    return json.loads(text, object_hook=_as_bytes)


def _as_bytes(found: dict[str, Any]) -> Any:
    return base64.b64decode(found["base64"], validate=True) if set(found) == {"base64"} else found
