"""What the headers of one received packet say: filled in once, layer by layer, and read by every stage.

The record lives in memory private to the process and holds addresses of this process: it is never part of the arena.
"""

from __future__ import annotations

from enum import IntEnum

from ncore_ray.machine.record import I64, Record, pointer_to


class Verdict(IntEnum):
    """What a look at the headers found."""

    GOOD = 0
    OTHER_PROTOCOL = 1
    """Well formed as far as it was read, of a protocol that this stage does not speak."""
    FRAGMENT = 2
    """An IP fragment: the transport header may be absent."""
    TRUNCATED = 3
    BAD_HEADER = 4
    BAD_CHECKSUM = 5


class Packet(Record):
    """One packet. Addresses are 64-bit integers of this process; lengths are bytes."""

    frame: I64
    """Address of the packet's first byte."""
    length: I64
    """More than FRAME_SIZE: the packet goes on in further frames. Its headers lie in the first one; addresses beyond
    that are as if all lay in one place, and `engine/pieces.py` tells where the bytes are."""
    chain: I64
    """Number of a frame of the packet, of the first one at first, …"""
    chain_at: I64
    """… and the address that it would have in one place with the others."""
    before: I64
    """The frame of the packet before that one, or −1."""
    word: I64
    """Address of the ring's word that names the packet's first frame."""
    nic: I64
    checksum: I64
    """`Checksum` state that the NIC gave."""

    ethernet_source: I64
    ethernet_destination: I64
    ether_type: I64

    network: I64
    """Address of the network header; its packet ends at `network` + `network_length` (padding is not counted)."""
    network_length: I64
    protocol: I64
    hop_limit: I64
    source_high: I64
    source_low: I64
    destination_high: I64
    destination_low: I64
    identification: I64
    fragment_offset: I64
    """Bytes."""
    more_fragments: I64
    fragment: I64
    """Address of the fragment header (IPv6)."""
    fragment_next_at: I64
    """Address of the byte that says that a fragment header follows (IPv6)."""
    next_header_at: I64
    """Address of the byte that names the transport protocol (IPv6)."""

    transport: I64
    transport_length: I64
    source_port: I64
    destination_port: I64

    sequence: I64
    acknowledgment: I64
    flags: I64
    window: I64
    """Unscaled, as in the header."""
    option_mss: I64
    """0 when the option is absent."""
    option_window_scale: I64
    """−1 when the option is absent."""
    option_sack_permitted: I64
    sack_blocks: I64
    """Address of the first block of a selective acknowledgment: two big-endian words of 32 bits each."""
    sack_count: I64
    has_timestamp: I64
    timestamp: I64
    timestamp_echo: I64
    fast_open: I64
    """Of a SYN: bytes of its Fast Open cookie, 0 for a request; −1 when the option is absent (RFC 7413)."""
    fast_open_high: I64
    fast_open_low: I64
    duplicate_end: I64
    """Behind the bytes that the peer says to have got twice; −1: it says nothing of the kind."""

    payload: I64
    payload_length: I64


packet_at = pointer_to(Packet)
