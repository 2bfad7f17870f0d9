"""An entry of the access log as a line: the common combined format, or JSON."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from ncore_ray.management.access.entry import Entry, Request
from ncore_ray.wire.address import text_of

_UNSAFE: Final = re.compile(rb"[^ !#-\[\]-~]")
"""What would end a quoted text, or a line, or move the cursor of whoever reads it."""

Line = Callable[[Entry], bytes]


@dataclass(frozen=True)
class Names:
    """What the numbers in an entry stand for."""

    vserver: Callable[[int], str]
    service: Callable[[int], str]
    wall_s: Callable[[int], float]
    """The engine's clock (µs) → seconds since 1970."""


def wall_clock() -> Callable[[int], float]:
    """Return what turns the engines' clock into the time of day, by the difference of the two now."""
    offset = time.time() - time.monotonic()
    return lambda at: offset + at / 1e6


def _quoted(text: bytes) -> bytes:
    return b'"' + (_UNSAFE.sub(lambda found: b"\\x%02X" % found[0][0], text) or b"-") + b'"'


def _request_line(request: Request | None) -> bytes:
    if request is None:
        return b"-"
    return b"%b %b HTTP/1.%d" % (request.method, request.target, request.version_minor)


def combined(names: Names) -> Line:
    """Return the writer of lines as Apache's and nginx's format ``combined`` has them, in UTC."""

    def line(entry: Entry) -> bytes:
        began = entry.request.at if entry.request else entry.at
        at = datetime.fromtimestamp(names.wall_s(began), UTC).strftime("%d/%b/%Y:%H:%M:%S +0000").encode()
        referer, agent = (entry.request.referer, entry.request.agent) if entry.request else (b"", b"")
        status = b"%d" % entry.status if entry.status else b"-"
        return b"%b - - [%b] %b %b %d %b %b\n" % (
            text_of(*entry.address).encode(),
            at,
            _quoted(_request_line(entry.request)),
            status,
            entry.content,
            _quoted(referer),
            _quoted(agent),
        )

    return line


def as_json(names: Names) -> Line:
    """Return the writer of lines that are JSON objects."""

    def line(entry: Entry) -> bytes:
        request = entry.request
        began = request.at if request else entry.at
        record: dict[str, Any] = {
            "time": datetime.fromtimestamp(names.wall_s(began), UTC).isoformat(timespec="microseconds"),
            "client": text_of(*entry.address),
            "port": entry.port,
            "vserver": names.vserver(entry.vserver),
            "engine": entry.engine,
        }
        if request is not None:
            record |= _request_fields(request)
        record |= {
            "status": entry.status or None,
            "bytes": entry.content,
            "ms": (entry.at - began) / 1000,
            "service": names.service(entry.service) if entry.service >= 0 else None,
            "complete": entry.complete,
        }
        return json.dumps(record, separators=(",", ":")).encode() + b"\n"

    return line


def _request_fields(request: Request) -> dict[str, str]:
    texts = {name: getattr(request, name).decode("latin-1") for name in ("method", "target", "host")}
    texts["version"] = f"1.{request.version_minor}"
    optional = {name: getattr(request, name).decode("latin-1") for name in ("referer", "agent")}
    return texts | {name: text for name, text in optional.items() if text}
