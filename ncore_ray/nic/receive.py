"""How one packet is taken from each kind of NIC into a frame."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ncore_ray.arena.frame import FRAME_SIZE, Checksum
from ncore_ray.machine.atomic import load_acquire32, store_release32
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import copy, load16, load16be, load32, move
from ncore_ray.machine.system import EAGAIN, EINTR, errno, read
from ncore_ray.nic.cutting import LARGEST, begin_cutting, cut, is_cutting, may_chain
from ncore_ray.nic.local import DriverKind, ReaderLocal
from ncore_ray.nic.partition import ReaderCounters
from ncore_ray.nic.queue import CUT, ENTRY_HEAD, packet_entry_at, packet_queue_at, queue_drop_first, queue_first


class Received(IntEnum):
    """What came of the wish for a packet."""

    NOTHING = 0
    PACKET = 1
    """Its bytes are in the frame, `ReaderLocal.length` and `.checksum` are set."""
    DROPPED = 2
    """There was one, but it is of no use; it has been counted."""
    LARGE = 3
    """A packet waits that can go on in a chain of frames (`chain.receive_chain`): its length and checksum are set."""


# The receive ring (linux/if_packet.h): blocks of SLOTS_PER_BLOCK slots, in each a `tpacket2_hdr` and a packet.
BLOCK_SIZE: Final = 65_536
SLOT_SIZE: Final = 2_176
"""Room for FRAME_SIZE bytes behind the header and the kernel's own address record (66 bytes)."""
SLOTS_PER_BLOCK: Final = BLOCK_SIZE // SLOT_SIZE
_TP_STATUS: Final = 0
_TP_LEN: Final = 4
_TP_SNAPLEN: Final = 8
_TP_MAC: Final = 12
_TP_VLAN: Final = 24
_STATUS_KERNEL: Final = 0
_STATUS_USER: Final = 1
_STATUS_COPY: Final = 2
"""The packet was too long for its slot, and waits whole in the socket's queue (PACKET_COPY_THRESH)."""
_STATUS_CSUMNOTREADY: Final = 8
_STATUS_VLAN_VALID: Final = 0x10
_STATUS_CSUM_VALID: Final = 0x80

_PACED: Final = 1
_PACE_RUNNING: Final = 2
_ETHERNET_HEADER: Final = 14
_ETHER_TYPE: Final = 12
_TYPE_VLAN: Final = 0x8100
_TYPE_SERVICE_VLAN: Final = 0x88A8
_TAG: Final = 4
_VLAN_BITS: Final = 0xFFF


@kernel
def _check(local: ReaderLocal, counters: ReaderCounters, frame: int, is_tagged: int) -> Received:
    """Look at a packet's length and take off a VLAN tag (IEEE 802.1Q); ``is_tagged``: the kernel did already."""
    if local.length < _ETHERNET_HEADER:
        counters.drop_nic_runt_packets += 1
        return Received.DROPPED
    ether_type = load16be(frame + _ETHER_TYPE)
    has_tag = ether_type in (_TYPE_VLAN, _TYPE_SERVICE_VLAN)
    if has_tag and not is_tagged and _take_off_tag(local, frame, ether_type):
        return Received.PACKET
    if has_tag or (local.vlan and not is_tagged):
        counters.drop_nic_vlan_packets += 1
        return Received.DROPPED
    return Received.PACKET


@kernel
def _take_off_tag(local: ReaderLocal, frame: int, ether_type: int) -> int:
    """Return 1 if a packet with a tag is for this NIC; its tag is gone then."""
    if ether_type != _TYPE_VLAN or local.length < _ETHERNET_HEADER + _TAG:
        return 0
    if load16be(frame + _ETHERNET_HEADER) & _VLAN_BITS != local.vlan:
        return 0
    move(frame + _ETHER_TYPE, frame + _ETHER_TYPE + _TAG, local.length - _ETHER_TYPE - _TAG)
    local.length -= _TAG
    inner = load16be(frame + _ETHER_TYPE)
    return 0 if inner in (_TYPE_VLAN, _TYPE_SERVICE_VLAN) else 1


@kernel
def _is_of_vlan(local: ReaderLocal, slot: int, status: int) -> int:
    """Return 1 if the tag that the kernel has taken off, or that there was none, is right for this NIC."""
    number = load16(slot + _TP_VLAN) & _VLAN_BITS if status & _STATUS_VLAN_VALID else 0
    return 1 if number == local.vlan else 0


@kernel
def slot_address(local: ReaderLocal) -> int:
    """Return the address of the slot that the kernel fills next."""
    return local.ring + local.slot // SLOTS_PER_BLOCK * BLOCK_SIZE + local.slot % SLOTS_PER_BLOCK * SLOT_SIZE


@kernel
def next_slot(local: ReaderLocal) -> int:
    """Give a slot back to the kernel and go on to the next."""
    store_release32(slot_address(local) + _TP_STATUS, _STATUS_KERNEL)
    local.slot += 1
    if local.slot == local.ring_slots:
        local.slot = 0
    return 0


@kernel
def _checksum_state(status: int) -> Checksum:
    if status & _STATUS_CSUMNOTREADY:
        return Checksum.PARTIAL
    if status & _STATUS_CSUM_VALID:
        return Checksum.VALID
    return Checksum.UNKNOWN


@kernel
def _read_slot(local: ReaderLocal, counters: ReaderCounters, slot: int, status: int, frame: int) -> Received:
    length = load32(slot + _TP_SNAPLEN)
    if not _is_of_vlan(local, slot, status):
        if status & _STATUS_COPY:  # the whole of it waits at the socket: the next large packet must not be taken for it
            read(local.fd, local.large, LARGEST)
        counters.drop_nic_vlan_packets += 1
        return Received.DROPPED
    if status & _STATUS_COPY:
        return _cut_large(local, counters, read(local.fd, local.large, LARGEST), status, frame)
    if load32(slot + _TP_LEN) > length:
        counters.drop_nic_truncated_packets += 1
        return Received.DROPPED
    if length > FRAME_SIZE:  # a slot is a little larger than a frame
        copy(local.large, slot + load16(slot + _TP_MAC), length)
        return _cut_large(local, counters, length, status, frame)
    copy(frame, slot + load16(slot + _TP_MAC), length)
    local.length = length
    local.checksum = _checksum_state(status)
    return _check(local, counters, frame, 1)


@kernel
def _cut_large(local: ReaderLocal, counters: ReaderCounters, length: int, status: int, frame: int) -> Received:
    """Deliver the first part of the large packet in the room for it."""
    if length <= 0 or length >= LARGEST or not begin_cutting(local, length, _checksum_state(status)):
        counters.drop_nic_truncated_packets += 1
        return Received.DROPPED
    counters.received_large_packets += 1
    return _next_part(local, counters, frame)


@kernel
def _next_part(local: ReaderLocal, counters: ReaderCounters, frame: int) -> Received:
    counters.received_parts += 1
    local.length = cut(local, frame)
    return Received.PACKET


@kernel
def _receive_af_packet(local: ReaderLocal, counters: ReaderCounters, frame: int, spare: int) -> Received:
    slot = slot_address(local)
    status = load_acquire32(slot + _TP_STATUS)
    if status & _STATUS_USER == 0:
        return Received.NOTHING
    if status & _STATUS_COPY and _is_of_vlan(local, slot, status) and _fits_spare(local, slot, status, spare):
        return Received.LARGE
    outcome = _read_slot(local, counters, slot, status, frame)
    next_slot(local)
    return outcome


@kernel
def _fits_spare(local: ReaderLocal, slot: int, status: int, spare: int) -> bool:
    """Tell whether the large packet, of which the slot holds the beginning, can go on in ``spare`` frames."""
    local.length = load32(slot + _TP_LEN)
    local.checksum = _checksum_state(status)
    if local.length > spare * FRAME_SIZE:
        return False
    return may_chain(slot + load16(slot + _TP_MAC), local.length, local.checksum)


@kernel
def _receive_tap(local: ReaderLocal, counters: ReaderCounters, frame: int) -> Received:
    length = read(local.fd, frame, FRAME_SIZE)
    if length <= 0:
        error = errno()
        if error not in (EAGAIN, EINTR):
            counters.failed_receives += 1
        return Received.NOTHING
    if length == FRAME_SIZE:  # the rest, if there was more, is lost
        counters.drop_nic_truncated_packets += 1
        return Received.DROPPED
    local.length = length
    local.checksum = Checksum.UNKNOWN
    return _check(local, counters, frame, 0)


@kernel
def _is_due(local: ReaderLocal, at: int, now: int) -> bool:
    if local.paced == 0:
        return True
    if local.paced == _PACED:
        local.pace_shift = now - at
        local.paced = _PACE_RUNNING
    return at + local.pace_shift <= now


@kernel
def _receive_queue(local: ReaderLocal, counters: ReaderCounters, frame: int, now: int) -> Received:
    queue = packet_queue_at(local.queue)
    first = queue_first(queue)
    if first == 0:
        return Received.NOTHING
    entry = packet_entry_at(first)
    if not _is_due(local, entry.at, now):
        return Received.NOTHING
    outcome = Received.PACKET
    if entry.length > FRAME_SIZE or entry.mark & CUT:
        counters.drop_nic_truncated_packets += 1
        outcome = Received.DROPPED
    else:
        copy(frame, first + ENTRY_HEAD, entry.length)
        local.length = entry.length
        local.checksum = entry.mark & 7
        outcome = _check(local, counters, frame, 0)
    queue_drop_first(queue)
    return outcome


@kernel
def receive(local: ReaderLocal, counters: ReaderCounters, frame: int, spare: int, now: int) -> Received:
    """Take one packet from the NIC into the frame at an address.

    A larger one may take ``spare`` frames, and is left to the caller then.
    """
    if is_cutting(local):
        return _next_part(local, counters, frame)
    if local.kind == DriverKind.AF_PACKET:
        return _receive_af_packet(local, counters, frame, spare)
    if local.kind == DriverKind.TAP:
        return _receive_tap(local, counters, frame)
    return _receive_queue(local, counters, frame, now)
