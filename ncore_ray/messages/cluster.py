"""Messages between cores on different nodes: each has a mailbox, a Ray actor, with some room for each sender."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

import ray

from ncore_ray.messages.port import Message, Sending, monotonic_us, pack, unpack

_ROOM: Final = 32_768
LONGEST: Final = _ROOM // 4
_US: Final = 1_000_000


class Mailbox:
    """What a core was sent and has not taken yet."""

    def __init__(self, room: int = _ROOM) -> None:
        self._room = room
        self._messages: deque[tuple[int, bytes]] = deque()
        self._used: dict[int, int] = {}
        self._came = asyncio.Event()

    async def put(self, sender: int, raw: bytes) -> bool:
        """Keep a message; False if the sender's room is full."""
        used = self._used.get(sender, 0) + len(raw)
        if used > self._room:
            return False
        self._used[sender] = used
        self._messages.append((sender, raw))
        self._came.set()
        return True

    async def take(self, timeout_us: int) -> tuple[int, bytes] | None:
        """Return the oldest message, waiting for one for so long at the most."""
        if not self._messages and timeout_us > 0:
            self._came.clear()
            try:
                await asyncio.wait_for(self._came.wait(), timeout_us / _US)
            except TimeoutError:
                return None
        if not self._messages:
            return None
        sender, raw = self._messages.popleft()
        self._used[sender] -= len(raw)
        return sender, raw


def make_mailbox(room: int = _ROOM, **options: Any) -> Any:
    """Start a mailbox as an actor that takes no core for itself; return its handle."""
    return ray.remote(Mailbox).options(num_cpus=0, **options).remote(room)


class ClusterPort:
    """One core's end of the mailboxes of a cluster; see `Port`. When `send` returns, the message has arrived."""

    def __init__(self, mailboxes: Mapping[int, Any], own: int) -> None:
        self._mailboxes, self._own = mailboxes, own
        self.longest = LONGEST

    def send(self, receiver: int, value: Any) -> Sending:
        """Send a value to another core. Raises TooLongError, and Ray's errors if its mailbox is gone."""
        if receiver not in self._mailboxes:
            raise ValueError(f"there is no core {receiver} among {len(self._mailboxes)}")
        kept = ray.get(self._mailboxes[receiver].put.remote(self._own, pack(value, self.longest)))
        return Sending.SENT if kept else Sending.FULL

    def try_receive(self) -> Message | None:
        """Return the next message, if there is one."""
        return self._take(0)

    def receive(self, deadline_us: int) -> Message | None:
        """Return the next message, waiting for it until an instant of the monotonic clock."""
        return self._take(max(deadline_us - monotonic_us(), 0))

    def _take(self, timeout_us: int) -> Message | None:
        found = ray.get(self._mailboxes[self._own].take.remote(timeout_us))
        return None if found is None else Message(found[0], unpack(found[1]))
