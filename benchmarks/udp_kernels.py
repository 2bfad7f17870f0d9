"""Both ends of the UDP scenario as kernels: many datagrams per system call, so that the ends are not what is measured.

The client keeps a window of datagrams under way on each of its sockets: as many as come back are sent anew. So the
rate is what the way carries, without loss by overload. Each datagram carries the instant it was sent.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from numba import types

from ncore_ray.machine.jit import entry_kernel, kernel
from ncore_ray.machine.memory import load64, store64
from ncore_ray.machine.record import I64, Record, new, pointer_to, size_of
from ncore_ray.machine.system import MSG_DONTWAIT, POLLIN, PollFd, _external, now_us, poll, poll_fd_at, sendmmsg
from ncore_ray.nic.burst import MESSAGE_SIZE, VECTOR_SIZE, message_at, vector_at

SIZE: Final = 64
"""Bytes of a datagram."""
LOST_AFTER_US: Final = 200_000
LONGEST_US: Final = 200_000
_MSG_WAITFORONE: Final = 0x10000
_ROOM: Final = 256
"""Bytes that one message takes: datagram, sender's address."""
_NAME: Final = 128
_NAME_SIZE: Final = 16
_recvmmsg = _external("recvmmsg", types.int32, types.int32, types.int64, types.int32, types.int32, types.int64)


class Flow(Record):
    """One socket of the client."""

    fd: I64
    under_way: I64
    heard_at: I64


class Run(Record):
    """What the client's kernel needs, and what it finds."""

    flows: I64
    """Address of `flow_count` `Flow` records."""
    flow_count: I64
    polls: I64
    messages: I64
    window: I64
    """Datagrams under way per flow."""
    histogram: I64
    """Address of `LONGEST_US` counts of round trips by µs."""
    scratch: I64
    received: I64
    lost: I64
    span_us: I64


flow_at = pointer_to(Flow)
run_at = pointer_to(Run)
_FLOW_SIZE: Final = size_of(Flow)
_POLL_SIZE: Final = size_of(PollFd)


class Messages:
    """Memory for ``count`` datagrams with names, as ``recvmmsg`` and ``sendmmsg`` want it."""

    def __init__(self, count: int, *, named: bool) -> None:
        self._room = np.zeros(count * _ROOM, np.uint8)
        self._vectors = np.zeros((count, VECTOR_SIZE // 8), np.int64)
        self._messages = np.zeros((count, MESSAGE_SIZE // 8), np.int64)
        places = self._room.ctypes.data + np.arange(count) * _ROOM
        self._vectors[:, 0], self._vectors[:, 1] = places, SIZE
        self._messages[:, 2] = self._vectors.ctypes.data + np.arange(count) * VECTOR_SIZE
        self._messages[:, 3] = 1
        if named:
            self._messages[:, 0], self._messages[:, 1] = places + _NAME, _NAME_SIZE
        self.address = int(self._messages.ctypes.data)


class RunMemory:
    """A `Run` and all that it names: keep it as long as the kernel runs."""

    def __init__(self, fds: list[int], window: int) -> None:
        self._memory, self.run, self.address = new(Run)
        self._flows = np.zeros((len(fds), _FLOW_SIZE // 8), np.int64)
        self._flows[:, 0] = fds
        self._polls = np.zeros(len(fds) * _POLL_SIZE, np.uint8)
        self._messages = Messages(window, named=False)
        self._scratch = np.zeros(8, np.int64)
        self.histogram: npt.NDArray[np.int64] = np.zeros(LONGEST_US, np.int64)
        self.run.flows, self.run.flow_count = self._flows.ctypes.data, len(fds)
        self.run.polls, self.run.messages = self._polls.ctypes.data, self._messages.address
        self.run.window, self.run.histogram = window, self.histogram.ctypes.data
        self.run.scratch = self._scratch.ctypes.data


@entry_kernel
def echo_run(fd: int, messages: int, count: int) -> int:
    """Send every datagram back to where it came from, until the socket fails."""
    while True:
        came = _recvmmsg(fd, messages, count, _MSG_WAITFORONE, 0)
        if came < 0:
            return came
        for index in range(came):
            message = message_at(messages + index * MESSAGE_SIZE)
            vector_at(message.vectors).length = message.sent & 0xFFFF
        sendmmsg(fd, messages, came, 0)
        for index in range(came):
            message = message_at(messages + index * MESSAGE_SIZE)
            message.name_length = _NAME_SIZE
            vector_at(message.vectors).length = SIZE


@kernel
def _hear(run: Run, flow: Flow, now: int) -> int:
    """Take what has come back on a socket; return how many datagrams."""
    came = _recvmmsg(flow.fd, run.messages, run.window, MSG_DONTWAIT, 0)
    if came <= 0:
        return 0
    for index in range(came):
        place = vector_at(message_at(run.messages + index * MESSAGE_SIZE).vectors).base
        span = min(max(now - load64(place), 0), LONGEST_US - 1)
        at = run.histogram + 8 * span
        store64(at, load64(at) + 1)
    run.received += came
    flow.under_way = max(flow.under_way - came, 0)
    flow.heard_at = now
    return came


@kernel
def _say(run: Run, flow: Flow, now: int) -> int:
    """Fill a socket's window; what has not come back for long is lost."""
    if flow.under_way and now - flow.heard_at > LOST_AFTER_US:
        run.lost += flow.under_way
        flow.under_way = 0
        flow.heard_at = now
    count = run.window - flow.under_way
    for index in range(count):
        store64(vector_at(message_at(run.messages + index * MESSAGE_SIZE).vectors).base, now)
    sent = sendmmsg(flow.fd, run.messages, count, MSG_DONTWAIT) if count else 0
    if sent > 0:
        flow.under_way += sent
    return sent


@kernel
def _rest(run: Run) -> int:
    """Sleep until something comes back, a moment at the most."""
    for index in range(run.flow_count):
        waited = poll_fd_at(run.polls + index * _POLL_SIZE)
        waited.fd = flow_at(run.flows + index * _FLOW_SIZE).fd
        waited.events = POLLIN
    return poll(run.polls, run.flow_count, 10)


@entry_kernel
def client_run(run_address: int, span_us: int) -> int:
    """Keep the windows of all sockets full for so long; return how many datagrams came back."""
    run = run_at(run_address)
    started_at = now_us(run.scratch)
    now = started_at
    for index in range(run.flow_count):
        flow_at(run.flows + index * _FLOW_SIZE).heard_at = now
    while now - started_at < span_us:
        came = 0
        for index in range(run.flow_count):
            flow = flow_at(run.flows + index * _FLOW_SIZE)
            came += _hear(run, flow, now)
            _say(run, flow, now)
        if came == 0:
            _rest(run)
        now = now_us(run.scratch)
    run.span_us = now - started_at
    return run.received
