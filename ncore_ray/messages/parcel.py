"""Values that are longer than a message: cut into parts, and put together again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgpack

from ncore_ray.messages.port import Port, Sending, unpack

_ENVELOPE: Final = 64
"""Bytes of a message beside its part of the value."""
_FULL_S: Final = 0.001
_PATIENCE: Final = 500
"""So many times a full ring is tried again; then the value is given up."""


def cut(number: int, value: Any, longest: int) -> Iterator[dict[str, Any]]:
    """Yield the messages that carry a value under a number; one at least."""
    raw: bytes = msgpack.packb(value)
    size = max(longest - _ENVELOPE, 1)
    pieces = [raw[start : start + size] for start in range(0, len(raw), size)]
    for part, piece in enumerate(pieces):
        yield {"number": number, "part": part, "of": len(pieces), "raw": piece}


def send_parcel(
    port: Port, receiver: int, number: int, value: Any, pause: Callable[[float], object] = time.sleep
) -> bool:
    """Send a value, however long; return False when the receiver takes nothing for too long."""
    for message in cut(number, value, port.longest):
        for _ in range(_PATIENCE):
            if port.send(receiver, message) is Sending.SENT:
                break
            pause(_FULL_S)
        else:
            return False
    return True


class Parcels:
    """Puts parts together. Of one sender, a value that is not whole when the next one begins is given up."""

    def __init__(self) -> None:
        self._open: dict[int, tuple[int, list[bytes]]] = {}

    def put(self, sender: int, message: Any) -> tuple[int, Any] | None:
        """Take a message; return number and value when it was the last part, else None."""
        if not isinstance(message, dict) or "raw" not in message:
            return None
        number, parts = self._open.get(sender, (None, []))
        if message["part"] == 0:
            number, parts = message["number"], []
        elif message["number"] != number or message["part"] != len(parts):
            return None  # the rest of something that was given up
        parts.append(message["raw"])
        self._open[sender] = message["number"], parts
        if len(parts) < message["of"]:
            return None
        del self._open[sender]
        return message["number"], unpack(b"".join(parts))
