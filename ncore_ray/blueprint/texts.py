"""Byte strings that kernels send or compare, gathered into one region of the arena."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ncore_ray.arena.layout import Bytes
from ncore_ray.config.model import HttpMonitor, Service
from ncore_ray.engine.http.exchange import ErrorText
from ncore_ray.engine.http.message.errors import error_responses
from ncore_ray.machine.record import size_of, view


@dataclass
class Texts:
    """A growing part of the region of texts."""

    start: int = 0
    """Where it begins in the region."""
    content: bytearray = field(default_factory=bytearray)

    def add(self, text: bytes) -> tuple[int, int]:
        """Add a text; return its offset in the region, and its length."""
        offset = self.start + len(self.content)
        self.content += text
        return offset, len(text)

    def write(self, array: Bytes, offset: int) -> None:
        """Copy all texts to their region, which begins at an offset of the arena."""
        offset += self.start
        array[offset : offset + len(self.content)] = np.frombuffer(bytes(self.content), np.uint8)


def probe_text(service: Service) -> bytes:
    """Return the request that an HTTP monitor sends, or nothing for other monitors."""
    monitor = service.monitor
    if not isinstance(monitor, HttpMonitor):
        return b""
    host = monitor.host or str(service.address)
    lines = [f"GET {monitor.path} HTTP/1.1", f"Host: {host}", "User-Agent: ncore-monitor", "Connection: close"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


_FALLBACK_STATUS = 502


def error_rows(texts: Texts) -> list[tuple[int, int, int, int]]:
    """Add the appliance's own responses; return (status, offset, head length, length), the one for all others last."""
    rows = []
    for status, response in error_responses().items():
        offset, length = texts.add(response.message)
        rows.append((status, offset, response.head_length, length))
    fallback = next(row for row in rows if row[0] == _FALLBACK_STATUS)
    return [*rows, (0, *fallback[1:])]


def write_error_rows(array: Bytes, offset: int, rows: list[tuple[int, int, int, int]]) -> None:
    """Write the table that kernels look the responses up in."""
    for index, row in enumerate(rows):
        text = view(ErrorText, array, offset + index * size_of(ErrorText))
        text.status, text.offset, text.head_length, text.length = row
