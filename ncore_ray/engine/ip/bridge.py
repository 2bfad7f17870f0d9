"""The transparent form: frames that are not for the appliance go on to the NIC at the other side, as they are.

A NIC with a bridge takes what is addressed to its own MAC address, which is what its answers to ARP and Neighbour
Discovery tell of VIPs; frames to other hosts pass, and frames to all hosts pass and are looked at. Their bytes are sent
from the received frames. Only checksums that the sender's kernel has left to a NIC are completed.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.frame import FRAME_SIZE, NO_FRAME, Checksum, frame_address, frame_meta
from ncore_ray.engine.partition import Engine, base_of, counters_of
from ncore_ray.engine.transmit import header_address, slot_of, take_slot
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import copy, load8, load16be, store16be
from ncore_ray.nic.cutting import headers_of
from ncore_ray.nic.direct import PIECE_SIZE, Offload, Slot, piece_at
from ncore_ray.tables.nic import Nic, Transmit, nic_of
from ncore_ray.wire.checksum import fold, sum_bytes
from ncore_ray.wire.ethernet import ETHERNET_HEADER, GROUP, TYPE_IPV4
from ncore_ray.wire.glance import ports_in, protocol_in
from ncore_ray.wire.ipv4 import IPV4_HEADER, PROTOCOL_TCP
from ncore_ray.wire.ipv6 import IPV6_HEADER
from ncore_ray.wire.packet import Packet

_TCP_SUM: Final = 16
_UDP_SUM: Final = 6


@kernel
def pass_on(engine: Engine, packet: Packet) -> int:
    """Send a frame whose Ethernet header is read to the other side, if it is to pass; return 1 if that was all."""
    own = nic_of(base_of(engine), packet.nic)
    if own.bridge == 0 or packet.ethernet_destination == own.mac:
        return 0
    sent = _send(engine, packet, own.bridge - 1)
    counters_of(engine).bridged_packets += sent
    if packet.ethernet_destination & GROUP:
        return 0
    if sent:
        counters_of(engine).used_bridged_packets += 1
    else:
        counters_of(engine).drop_bridge_packets += 1
    return 1


@kernel
def _send(engine: Engine, packet: Packet, nic: int) -> int:
    """Return 1, or 0 for what the other side cannot take."""
    base = base_of(engine)
    target = nic_of(base, nic)
    if packet.length > target.mtu + ETHERNET_HEADER:
        return _send_large(engine, packet, nic, target)
    if packet.checksum == Checksum.PARTIAL:
        _complete(packet)
    _name(engine, packet, nic, packet.length)
    return 1


@kernel
def _name(engine: Engine, packet: Packet, nic: int, length: int) -> Slot:
    """Name the first ``length`` bytes of a frame; the Ethernet header is copied, where a VLAN's tag may be put in."""
    index = take_slot(engine, nic, ETHERNET_HEADER)
    copy(header_address(engine, index), packet.frame, ETHERNET_HEADER)
    slot = slot_of(engine, index)
    slot.first = packet.frame + ETHERNET_HEADER - base_of(engine)
    slot.first_length = length - ETHERNET_HEADER
    return slot


@kernel
def _complete(packet: Packet) -> int:
    """Complete the checksum of a TCP or UDP packet, of which there is only the pseudo header's sum."""
    at = ports_in(packet.frame, packet.length)
    if at == 0:
        return 0
    place = at + (_TCP_SUM if protocol_in(packet.frame) == PROTOCOL_TCP else _UDP_SUM)
    end = packet.frame + packet.length
    if place + 2 > end:
        return 0
    network = packet.frame + ETHERNET_HEADER
    if load16be(packet.frame + 12) == TYPE_IPV4:
        end = min(end, network + load16be(network + 2))
    else:
        end = min(end, network + IPV6_HEADER + load16be(network + 4))
    total = fold(sum_bytes(at, end - at)) ^ 0xFFFF
    return store16be(place, total if total else 0xFFFF)


@kernel
def _send_large(engine: Engine, packet: Packet, nic: int, target: Nic) -> int:
    """Let the kernel cut a large packet of TCP anew, as the way out takes it; or what a reader has cut from one."""
    headers = headers_of(packet.frame, packet.length)
    is_4 = load16be(packet.frame + 12) == TYPE_IPV4
    if headers == 0 or target.offload == 0 or target.transmit != Transmit.DIRECT:
        return 0
    if is_4 and load8(packet.frame + ETHERNET_HEADER) & 15 != IPV4_HEADER // 4:
        return 0
    if packet.checksum != Checksum.PARTIAL or engine.pieces_used + packet.length // FRAME_SIZE > engine.piece_count:
        return 0
    slot = _name(engine, packet, nic, min(packet.length, FRAME_SIZE))
    slot.offload = Offload.CHECKSUM if is_4 else Offload.CHECKSUM6
    slot.segment = target.mtu + ETHERNET_HEADER - headers
    return _name_others(engine, packet, slot)


@kernel
def _name_others(engine: Engine, packet: Packet, slot: Slot) -> int:
    """Name the further frames of a chain."""
    base = base_of(engine)
    left = packet.length - FRAME_SIZE
    slot.more = engine.pieces + engine.pieces_used * PIECE_SIZE
    frame = frame_meta(base, packet.chain).next
    while left > 0 and frame != NO_FRAME:
        piece = piece_at(base + engine.pieces + engine.pieces_used * PIECE_SIZE)
        piece.offset = frame_address(base, frame) - base
        piece.length = min(left, FRAME_SIZE)
        slot.more_length += piece.length
        slot.more_count += 1
        engine.pieces_used += 1
        left -= piece.length
        frame = frame_meta(base, frame).next
    return 1
