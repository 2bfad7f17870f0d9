"""How an engine sends by itself: a socket of its own per NIC, and many packets per system call."""

from __future__ import annotations

import platform
import re
import socket
from enum import IntEnum
from typing import Final

import numpy as np

from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load64
from ncore_ray.machine.record import I32, I64, Record, new, pointer_to, size_of
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
from ncore_ray.tables.nic import Cutting

_SOL_PACKET: Final = 263
_PACKET_QDISC_BYPASS: Final = 20
_SO_SNDBUFFORCE: Final = 32
_SO_RCVBUFFORCE: Final = 33
_SEND_BUFFER: Final = 8 << 20
_PACKET_VNET_HDR: Final = 15
_VNET_SIZE: Final = 10
_VNET_STRIDE: Final = 16
_NEEDS_CHECKSUM: Final = 1
_GSO_TCPV4: Final = 1
_GSO_TCPV6: Final = 4
_TRANSPORT: Final = 34
"""Where the TCP header stands behind Ethernet and IPv4 headers without options …"""
_TRANSPORT6: Final = 54
"""… and behind Ethernet and IPv6 headers without extensions."""
_TCP_CHECKSUM: Final = 16
_GSO_UDP: Final = 5
"""VIRTIO_NET_HDR_GSO_UDP_L4: a large datagram is cut into many, each with headers of its own."""
_UDP_HEADER: Final = 8
_UDP_CHECKSUM: Final = 6
_CUTS_DATAGRAMS: Final = (6, 2)
"""The first version of Linux that does so for a packet socket."""
_FEW_PIECES: Final = 4
"""Virtio header, header, and two pieces of payload."""


MOST_PIECES: Final = 1024
"""Vectors of one message at the most (UIO_MAXIOV)."""


class Offload(IntEnum):
    """What a socket is told of a packet, before the packet."""

    NONE = 0
    """Nothing: the socket takes plain packets."""
    PLAIN = 1
    """There is nothing left to do."""
    CHECKSUM = 2
    """The TCP checksum is that of the pseudo header only; and, if `Slot.segment` is set, the packet is to be cut."""
    CHECKSUM6 = 3
    """The same over IPv6."""
    DATAGRAM = 4
    """The same with a UDP header, over IPv4 or IPv6."""


class Slot(Record):
    """One packet to send: a header and the pieces of its payload, each an offset in the arena and a length."""

    nic: I64
    header: I64
    header_length: I64
    first: I64
    first_length: I64
    second: I64
    second_length: I64
    more: I64
    """Offset of `more_count` further `Piece` records."""
    more_count: I64
    more_length: I64
    """Bytes of the further pieces together."""
    offload: I64
    """`Offload`"""
    segment: I64
    """Payload of each packet into which this one is to be cut; 0: it is one packet."""


class Piece(Record):
    """A further piece of a packet's payload."""

    offset: I64
    length: I64


class Sender(Record):
    """What an engine needs to send; private to its process."""

    fds: I64
    """Address of one 64-bit word per NIC: its socket, or −1."""
    fd_count: I64
    messages: I64
    """Address of `capacity` `Message` records."""
    vectors: I64
    """Address of `vector_capacity` `Vector` records, which the messages use in turn."""
    capacity: I64
    vector_capacity: I64
    vectors_used: I64
    vnet_headers: I64
    """Address of room for a ``struct virtio_net_hdr`` for each message."""
    counters: I64
    """Address of the `SendCounters`."""
    position: I64
    """Slots looked at for the NIC whose turn it is."""
    handled: I64
    """Slots sent or dropped."""


class VnetHeader(Record):
    """``struct virtio_net_hdr`` (linux/virtio_net.h), padded."""

    flags_type_length: I32
    """Flags (8 bits), kind of segmentation (8), bytes of all headers (16)."""
    segment_start: I32
    """Payload of each packet (16), where the checksummed bytes begin (16)."""
    checksum_offset: I64
    """Where the checksum stands behind that (16)."""


slot_at = pointer_to(Slot)
piece_at = pointer_to(Piece)
sender_at = pointer_to(Sender)
vnet_header_at = pointer_to(VnetHeader)
SLOT_SIZE: Final = size_of(Slot)
PIECE_SIZE: Final = size_of(Piece)
assert size_of(VnetHeader) == _VNET_STRIDE


@kernel
def _add_piece(sender: Sender, message: Message, address: int, length: int) -> int:
    """Append a piece to a message; a piece without bytes is left out."""
    if length > 0:
        vector = vector_at(sender.vectors + sender.vectors_used * VECTOR_SIZE)
        vector.base = address
        vector.length = length
        sender.vectors_used += 1
        message.vector_count += 1
    return 0


@kernel
def _add_vnet_header(sender: Sender, slot: Slot, message: Message, place: int) -> int:
    """Put what the kernel has to do before a packet."""
    address = sender.vnet_headers + place * _VNET_STRIDE
    header = vnet_header_at(address)
    header.flags_type_length = 0
    header.segment_start = 0
    header.checksum_offset = 0
    if slot.offload == Offload.DATAGRAM:
        kind = _GSO_UDP if slot.segment else 0
        header.flags_type_length = _NEEDS_CHECKSUM | kind << 8 | slot.header_length << 16
        header.segment_start = slot.segment | (slot.header_length - _UDP_HEADER) << 16
        header.checksum_offset = _UDP_CHECKSUM
    elif slot.offload >= Offload.CHECKSUM:
        is_ipv6 = slot.offload == Offload.CHECKSUM6
        kind = (_GSO_TCPV6 if is_ipv6 else _GSO_TCPV4) if slot.segment else 0
        header.flags_type_length = _NEEDS_CHECKSUM | kind << 8 | slot.header_length << 16
        header.segment_start = slot.segment | (_TRANSPORT6 if is_ipv6 else _TRANSPORT) << 16
        header.checksum_offset = _TCP_CHECKSUM
    return _add_piece(sender, message, address, _VNET_SIZE)


@kernel
def _build(base: int, slot: Slot, sender: Sender, place: int) -> int:
    message = message_at(sender.messages + place * MESSAGE_SIZE)
    message.vectors = sender.vectors + sender.vectors_used * VECTOR_SIZE
    message.vector_count = 0
    if slot.offload:
        _add_vnet_header(sender, slot, message, place)
    _add_piece(sender, message, base + slot.header, slot.header_length)
    _add_piece(sender, message, base + slot.first, slot.first_length)
    _add_piece(sender, message, base + slot.second, slot.second_length)
    for index in range(slot.more_count):
        piece = piece_at(base + slot.more + index * PIECE_SIZE)
        _add_piece(sender, message, base + piece.offset, piece.length)
    return 0


@kernel
def _build_group(base: int, slots: int, count: int, sender: Sender, nic: int) -> int:
    """Build messages of a NIC's next slots, until the scratch is full or the slots end; return how many."""
    built = 0
    sender.vectors_used = 0
    while sender.position < count and built < sender.capacity:
        slot = slot_at(slots + sender.position * SLOT_SIZE)
        if slot.nic == nic:
            if sender.vectors_used + _FEW_PIECES + slot.more_count > sender.vector_capacity:
                break
            _build(base, slot, sender, built)
            built += 1
        sender.position += 1
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


def open_sender(interface: str, netns: str | None = None, *, offload: bool = False) -> int:
    """Return the descriptor of a socket that sends whole frames on an interface and receives nothing.

    With ``offload`` every packet has a virtio header before it (`Slot.offload` is not NONE). Such a socket does not
    pass by the device's queue: Linux drops what passes by and has to be cut first because the device cannot do it
    (``__dev_direct_xmit``). On a veth, which has no queue, both ways cost the same.

    Raises:
        NicError: no such interface or namespace, or not allowed.
    """

    def make() -> int:
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        try:
            sender.setsockopt(_SOL_PACKET, _PACKET_QDISC_BYPASS, int(not offload))
            sender.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, int(offload))
            enlarge(sender, send=_SEND_BUFFER)
            sender.bind((interface, 0))
        except BaseException:
            sender.close()
            raise
        return sender.detach()

    try:
        return in_namespace(netns, make)
    except OSError as error:
        raise NicError(f"cannot send on network interface {interface}: {error.strerror or error}") from error


def what_is_cut(release: str | None = None) -> Cutting:
    """Return what this kernel does for a socket with virtio headers (default: the kernel that runs)."""
    found = re.match(r"(\d+)\.(\d+)", platform.release() if release is None else release)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    return Cutting.DATAGRAMS if version >= _CUTS_DATAGRAMS else Cutting.SEGMENTS


def enlarge(packets: socket.socket, *, send: int = 0, receive: int = 0) -> None:
    """Give a socket queues of so many bytes; where that is not allowed, as much of them as the system's limits let."""
    queues = ((send, _SO_SNDBUFFORCE, socket.SO_SNDBUF), (receive, _SO_RCVBUFFORCE, socket.SO_RCVBUF))
    for size, forced, option in queues:
        if size:
            try:
                packets.setsockopt(socket.SOL_SOCKET, forced, size)
            except PermissionError:
                packets.setsockopt(socket.SOL_SOCKET, option, size)


class SenderMemory:
    """A `Sender` and the memory it names: keep it as long as kernels use its address."""

    def __init__(self, fds: list[int], counters: int, capacity: int = 256) -> None:
        """Make a sender with one descriptor per NIC (−1: none) that counts in `SendCounters` at an address."""
        self._memory, self.sender, self.address = new(Sender)
        self.fds = np.array(fds or [-1], np.int64)
        self._messages = np.zeros((capacity, MESSAGE_SIZE // 8), np.int64)
        vectors = capacity * _FEW_PIECES + MOST_PIECES
        self._vectors = np.zeros(vectors * VECTOR_SIZE, np.uint8)
        self._vnet_headers = np.zeros(capacity * _VNET_STRIDE, np.uint8)
        self.sender.fds = self.fds.ctypes.data
        self.sender.fd_count = len(fds)
        self.sender.messages = self._messages.ctypes.data
        self.sender.vectors = self._vectors.ctypes.data
        self.sender.vnet_headers = self._vnet_headers.ctypes.data
        self.sender.capacity = capacity
        self.sender.vector_capacity = vectors
        self.sender.counters = counters
