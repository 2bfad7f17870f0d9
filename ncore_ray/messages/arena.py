"""Messages between the cores of one arena: a ring for each ordered pair, a doorbell for each core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ncore_ray.arena.core import Actor, Core
from ncore_ray.arena.layout import Bytes, Layout, read_regions
from ncore_ray.machine.record import size_of, view
from ncore_ray.messages.port import Message, Sending, monotonic_us, pack, scratch_bytes, unpack
from ncore_ray.messages.ring import (
    MESSAGE_RING_SIZE,
    NOTHING,
    SENDER_SHIFT,
    MessageRing,
    await_message,
    put_message,
    take_message,
)

_REGION: Final = "core_messages"
_CAPACITY: Final = 32_768
_ALL: Final = 2 << 20
"""Bytes that all rings of many cores may take: with more cores, each ring is smaller."""
_LEAST: Final = 2_048
_SHARE: Final = 4
"""The longest message is this part of its ring, so that some may wait, and none can fail to fit for ever."""
_LENGTH: Final = (1 << SENDER_SHIFT) - 1


def management(engines: int) -> int:
    """Return the number of the management core; distributor and engines are numbered as in `Actor`."""
    return Actor.ENGINE + engines


@dataclass(frozen=True)
class MessagePlan:
    """What the messages of an appliance take."""

    cores: int

    @property
    def capacity(self) -> int:
        """Bytes of a ring."""
        capacity = _CAPACITY
        while capacity > _LEAST and capacity * self.cores * self.cores > _ALL:
            capacity //= 2
        return capacity

    @property
    def stride(self) -> int:
        """Bytes from one ring to the next."""
        return MESSAGE_RING_SIZE + self.capacity

    @property
    def size(self) -> int:
        """Bytes of the region: doorbells, and the rings by receiver and sender."""
        return self.cores * size_of(Core) + self.cores * self.cores * self.stride

    def inbox(self, core: int) -> int:
        """Return where a core's doorbell lies in the region."""
        return core * size_of(Core)

    def ring(self, receiver: int, sender: int) -> int:
        """Return where the ring from one core to another lies in the region."""
        return self.cores * size_of(Core) + (receiver * self.cores + sender) * self.stride


def plan_messages(layout: Layout, engines: int) -> None:
    """Reserve the region."""
    layout.reserve(_REGION, MessagePlan(management(engines) + 1).size)


def init_messages(array: Bytes, engines: int) -> None:
    """Write empty rings into the zeroed region."""
    plan, start = MessagePlan(management(engines) + 1), read_regions(array)[_REGION].offset
    for receiver in range(plan.cores):
        for sender in range(plan.cores):
            view(MessageRing, array, start + plan.ring(receiver, sender)).capacity = plan.capacity


class ArenaPort:
    """One core's end of the rings in an arena; see `Port`."""

    def __init__(self, array: Bytes, engines: int, own: int) -> None:
        self._array, self._own = array, own
        self._plan = MessagePlan(management(engines) + 1)
        if not 0 <= own < self._plan.cores:
            raise ValueError(f"there is no core {own} among {self._plan.cores}")
        self._start = int(array.ctypes.data) + read_regions(array)[_REGION].offset
        self.longest = self._plan.capacity // _SHARE
        """Bytes of a message at the most."""
        self._buffer, self._target = scratch_bytes(self.longest)
        self._scratch_memory, self._scratch = scratch_bytes(16)
        self._next = 0

    def _inbound(self) -> tuple[int, int, int]:
        """Return the first ring that leads here, the stride, and how many there are."""
        return self._start + self._plan.ring(self._own, 0), self._plan.stride, self._plan.cores

    def send(self, receiver: int, value: Any) -> Sending:
        """Send a value to another core of the arena. Raises TooLongError."""
        if not 0 <= receiver < self._plan.cores:
            raise ValueError(f"there is no core {receiver} among {self._plan.cores}")
        raw = np.frombuffer(pack(value, self.longest), np.uint8)
        ring, inbox = self._plan.ring(receiver, self._own), self._plan.inbox(receiver)
        sent = put_message(self._start + ring, self._start + inbox, int(raw.ctypes.data), raw.size)
        return Sending.SENT if sent else Sending.FULL

    def try_receive(self) -> Message | None:
        """Return the next message, of each sender in turn."""
        found = int(take_message(*self._inbound(), self._next, self._target))
        if found == NOTHING:
            return None
        sender = found >> SENDER_SHIFT
        self._next = (sender + 1) % self._plan.cores
        return Message(sender, unpack(self._buffer[: found & _LENGTH].tobytes()))

    def receive(self, deadline_us: int) -> Message | None:
        """Return the next message; sleep on the doorbell until one comes, or until the deadline."""
        while (message := self.try_receive()) is None:
            left = deadline_us - monotonic_us()
            if left <= 0:
                return None
            await_message(self._start + self._plan.inbox(self._own), *self._inbound(), left, self._scratch)
        return message
