"""How an engine sends by itself: a socket of its own per NIC, and many packets per system call."""

from __future__ import annotations

import socket
from typing import Final

import numpy as np

from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load64
from ncore_ray.machine.record import I64, Record, new, pointer_to, size_of
from ncore_ray.nic.burst import (
    MESSAGE_SIZE,
    VECTOR_SIZE,
    Message,
    message_at,
    send_counters_at,
    send_messages,
    vector_at,
)
from ncore_ray.nic.driver import NicError
from ncore_ray.nic.netns import in_namespace

_SOL_PACKET: Final = 263
_PACKET_QDISC_BYPASS: Final = 20
_SO_SNDBUFFORCE: Final = 32
_SEND_BUFFER: Final = 8 << 20
PIECES: Final = 3


class Slot(Record):
    """One packet to send: a header and up to two pieces of its payload, each an offset in the arena and a length."""

    nic: I64
    header: I64
    header_length: I64
    first: I64
    first_length: I64
    second: I64
    second_length: I64


class Sender(Record):
    """What an engine needs to send; private to its process."""

    fds: I64
    """Address of one 64-bit word per NIC: its socket, or −1."""
    fd_count: I64
    messages: I64
    """Address of `capacity` `Message` records, message i with three vectors from 3 × i on."""
    vectors: I64
    capacity: I64
    counters: I64
    """Address of the `SendCounters`."""
    position: I64
    """Slots looked at for the NIC whose turn it is."""
    handled: I64
    """Slots sent or dropped."""


slot_at = pointer_to(Slot)
sender_at = pointer_to(Sender)
SLOT_SIZE: Final = size_of(Slot)


@kernel
def _add_piece(message: Message, base: int, offset: int, length: int) -> int:
    """Append a piece to a message; a piece without bytes is left out."""
    if length > 0:
        vector = vector_at(message.vectors + message.vector_count * VECTOR_SIZE)
        vector.base = base + offset
        vector.length = length
        message.vector_count += 1
    return 0


@kernel
def _build(base: int, slot: Slot, message: Message) -> int:
    message.vector_count = 0
    _add_piece(message, base, slot.header, slot.header_length)
    _add_piece(message, base, slot.first, slot.first_length)
    _add_piece(message, base, slot.second, slot.second_length)
    return 0


@kernel
def _build_group(base: int, slots: int, count: int, sender: Sender, nic: int) -> int:
    """Build messages of a NIC's next slots, until the scratch is full or the slots end; return how many."""
    built = 0
    while sender.position < count and built < sender.capacity:
        slot = slot_at(slots + sender.position * SLOT_SIZE)
        sender.position += 1
        if slot.nic == nic:
            _build(base, slot, message_at(sender.messages + built * MESSAGE_SIZE))
            built += 1
    return built


@kernel
def _send_group(sender: Sender, nic: int, built: int) -> int:
    """Send the messages just built on the NIC's socket."""
    counters = send_counters_at(sender.counters)
    sender.handled += built
    fd = load64(sender.fds + 8 * nic)
    if fd < 0:
        counters.drop_nic_no_socket_packets += built
        return 0
    return send_messages(fd, sender.messages, built, counters)


@kernel
def send_slots(base: int, slots: int, count: int, sender: Sender) -> int:
    """Send ``count`` packets described by `Slot` records at the address ``slots``; return how many were sent.

    One system call per NIC (more only beyond the sender's capacity); order is kept on each NIC. The others were dropped
    and counted: whoever built the slots frees all of them alike.
    """
    sent = 0
    nic = 0
    sender.handled = 0
    while sender.handled < count and nic < sender.fd_count:
        sender.position = 0
        while sender.position < count:
            built = _build_group(base, slots, count, sender, nic)
            if built:
                sent += _send_group(sender, nic, built)
        nic += 1
    send_counters_at(sender.counters).drop_nic_no_socket_packets += count - sender.handled
    return sent


def open_sender(interface: str, netns: str | None = None) -> int:
    """Return the descriptor of a socket that sends whole frames on an interface and receives nothing.

    Raises:
        NicError: no such interface or namespace, or not allowed.
    """

    def make() -> int:
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        try:
            sender.setsockopt(_SOL_PACKET, _PACKET_QDISC_BYPASS, 1)
            _enlarge(sender)
            sender.bind((interface, 0))
        except BaseException:
            sender.close()
            raise
        return sender.detach()

    try:
        return in_namespace(netns, make)
    except OSError as error:
        raise NicError(f"cannot send on network interface {interface}: {error.strerror or error}") from error


def _enlarge(sender: socket.socket) -> None:
    try:
        sender.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _SEND_BUFFER)
    except PermissionError:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)


class SenderMemory:
    """A `Sender` and the memory it names: keep it as long as kernels use its address."""

    def __init__(self, fds: list[int], counters: int, capacity: int = 256) -> None:
        """Make a sender with one descriptor per NIC (−1: none) that counts in `SendCounters` at an address."""
        self._memory, self.sender, self.address = new(Sender)
        self.fds = np.array(fds or [-1], np.int64)
        self._messages = np.zeros((capacity, MESSAGE_SIZE // 8), np.int64)
        self._vectors = np.zeros(capacity * PIECES * VECTOR_SIZE, np.uint8)
        self._messages[:, 2] = self._vectors.ctypes.data + np.arange(capacity) * PIECES * VECTOR_SIZE
        self.sender.fds = self.fds.ctypes.data
        self.sender.fd_count = len(fds)
        self.sender.messages = self._messages.ctypes.data
        self.sender.vectors = self._vectors.ctypes.data
        self.sender.capacity = capacity
        self.sender.counters = counters
