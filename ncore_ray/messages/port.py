"""A core's end of all message rings: what it sends to others, and what they have sent to it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import msgpack
import numpy as np

from ncore_ray.errors import NcoreError


class Sending(Enum):
    """What became of a message."""

    SENT = "sent"
    FULL = "full"
    """The receiver has not taken what it was sent before: nothing was sent, try again later."""


class TooLongError(NcoreError):
    """A message that is longer than any ring could ever take."""


@dataclass(frozen=True)
class Message:
    """What a core was sent."""

    sender: int
    value: Any


class Port(Protocol):
    """One core's end. Only one thread may send with it, and only one receive."""

    longest: int
    """Bytes of a packed message at the most."""

    def send(self, receiver: int, value: Any) -> Sending:
        """Send a value (of what msgpack knows) to another core. Raises TooLongError."""

    def try_receive(self) -> Message | None:
        """Return the next message of any sender, if there is one. Those of one sender come in their order."""

    def receive(self, deadline_us: int) -> Message | None:
        """Return the next message, or None if none has come until an instant (µs of the monotonic clock)."""


def pack(value: Any, most: int) -> bytes:
    """Return a value as bytes. Raises TooLongError."""
    raw: bytes = msgpack.packb(value)
    if len(raw) > most:
        raise TooLongError(f"a message of {len(raw)} bytes is longer than {most}, the most that a ring takes")
    return raw


def unpack(raw: bytes) -> Any:
    """Return the value of a message's bytes."""
    return msgpack.unpackb(raw, strict_map_key=False)


def monotonic_us() -> int:
    """Return the clock by which deadlines are told."""
    return time.monotonic_ns() // 1000


def scratch_bytes(size: int) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], int]:
    """Return memory private to this process, and its address."""
    memory = np.zeros(size, np.uint8)
    return memory, int(memory.ctypes.data)
