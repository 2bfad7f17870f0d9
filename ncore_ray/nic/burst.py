"""Sending many packets with one system call: the structures of ``sendmmsg`` and what to do with its answers."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ncore_ray.machine.hash import MASK32
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.record import I64, Record, pointer_to, size_of
from ncore_ray.machine.system import EAGAIN, EINTR, ENOBUFS, MSG_DONTWAIT, errno, sendmmsg


class Message(Record):
    """``struct mmsghdr`` of a 64-bit system; 32-bit members stand with their padding in one word."""

    name: I64
    name_length: I64
    vectors: I64
    vector_count: I64
    control: I64
    control_length: I64
    flags: I64
    sent: I64


class Vector(Record):
    """``struct iovec``."""

    base: I64
    length: I64


message_at = pointer_to(Message)
vector_at = pointer_to(Vector)
MESSAGE_SIZE: Final = size_of(Message)
VECTOR_SIZE: Final = size_of(Vector)
assert MESSAGE_SIZE == 64
assert VECTOR_SIZE == 16

SEND_TRIES: Final = 64
"""So often one burst meets a full device queue before the rest of it is dropped."""


class SendCounters(Record):
    """What a socket did."""

    sent_packets: I64
    sent_bytes: I64
    send_calls: I64
    retried_sends: I64
    """Calls repeated because the device's queue was full."""
    drop_nic_send_packets: I64
    """Refused by the kernel."""
    drop_nic_no_socket_packets: I64
    """For a NIC that this engine cannot send to itself."""


send_counters_at = pointer_to(SendCounters)


class SendAnswer(IntEnum):
    """What to do after a call that sent nothing."""

    AGAIN = 0
    FULL = 1
    """The device's queue is full: try again, but not forever."""
    REFUSED = 2
    """The kernel does not want the first packet; the next one may be better."""


@kernel
def _answer() -> SendAnswer:
    error = errno()
    if error == EINTR:
        return SendAnswer.AGAIN
    if error in (EAGAIN, ENOBUFS):
        return SendAnswer.FULL
    return SendAnswer.REFUSED


@kernel
def _count_sent(messages: int, count: int, counters: SendCounters) -> int:
    total = 0
    for index in range(count):
        total += message_at(messages + index * MESSAGE_SIZE).sent & MASK32
    counters.sent_packets += count
    counters.sent_bytes += total
    return count


@kernel
def send_messages(fd: int, messages: int, count: int, counters: SendCounters) -> int:
    """Send ``count`` messages; return how many were sent. Those refused, or not sent after all tries, are counted."""
    done = 0
    sent = 0
    tries = SEND_TRIES
    while done < count and tries > 0:
        result = sendmmsg(fd, messages + done * MESSAGE_SIZE, count - done, MSG_DONTWAIT)
        counters.send_calls += 1
        if result > 0:
            sent += _count_sent(messages + done * MESSAGE_SIZE, result, counters)
            done += result
            continue
        answer = _answer()
        if answer == SendAnswer.FULL:
            tries -= 1
            counters.retried_sends += 1
        elif answer == SendAnswer.REFUSED:
            done += 1
    counters.drop_nic_send_packets += count - sent
    return sent
