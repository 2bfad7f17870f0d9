"""Ethernet and IP headers of what an engine sends, of either family: to a connection's peer, or back to a sender."""

from __future__ import annotations

from ncore_ray.engine.connection import Tcb
from ncore_ray.engine.partition import Engine, base_of
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.nic import nic_of
from ncore_ray.wire.checksum import sum_pseudo_header
from ncore_ray.wire.ethernet import ETHERNET_HEADER
from ncore_ray.wire.ip import ip_header, write_frame
from ncore_ray.wire.packet import Packet


@kernel
def headers_to(tcb: Tcb) -> int:
    """Return the bytes of the Ethernet and IP headers of a connection's packets."""
    return ETHERNET_HEADER + ip_header(tcb.remote_high, tcb.remote_low)


@kernel
def write_headers_to(engine: Engine, tcb: Tcb, at: int, protocol: int, length: int) -> int:
    """Write the headers of a packet with ``length`` bytes behind them to a connection's peer; return their length."""
    return write_frame(
        at,
        tcb.remote_mac,
        nic_of(base_of(engine), tcb.nic).mac,
        tcb.local_high,
        tcb.local_low,
        tcb.remote_high,
        tcb.remote_low,
        protocol,
        length,
    )


@kernel
def pseudo_to(tcb: Tcb, protocol: int, length: int) -> int:
    """Return the sum of the pseudo header of a packet to a connection's peer."""
    return sum_pseudo_header(tcb.local_high, tcb.local_low, tcb.remote_high, tcb.remote_low, protocol, length)


@kernel
def headers_back(packet: Packet) -> int:
    """Return the bytes of the Ethernet and IP headers of an answer to a packet."""
    return ETHERNET_HEADER + ip_header(packet.source_high, packet.source_low)


@kernel
def write_headers_back(engine: Engine, packet: Packet, at: int, protocol: int, length: int) -> int:
    """Write the headers of an answer, from where the packet went to, the way it came; return their length."""
    return write_frame(
        at,
        packet.ethernet_source,
        nic_of(base_of(engine), packet.nic).mac,
        packet.destination_high,
        packet.destination_low,
        packet.source_high,
        packet.source_low,
        protocol,
        length,
    )


@kernel
def pseudo_back(packet: Packet, protocol: int, length: int) -> int:
    """Return the sum of the pseudo header of an answer."""
    return sum_pseudo_header(
        packet.destination_high, packet.destination_low, packet.source_high, packet.source_low, protocol, length
    )
