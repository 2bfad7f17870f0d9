"""The key of a flow: which fields of a packet make it the same flow as another, and the two hashes of them.

The *engine hash* is the Toeplitz hash over addresses and ports (never the protocol), as a NIC with RSS computes it: it
names the entry of the indirection table. The *look-up hash* finds the flow's bucket in the table; it is keyed with the
arena's secret, so that nobody can choose addresses and ports that meet in one bucket. Toeplitz could not do that: it is
linear and its key is published, and whoever knows one collision knows as many as there are ports.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntFlag
from typing import Final

from ncore_ray.arena.header import arena_at
from ncore_ray.errors import NcoreError
from ncore_ray.flow.records import Distributor, guess_at
from ncore_ray.flow.toeplitz import toeplitz4, toeplitz6
from ncore_ray.machine.hash import MASK32, hash_tuple, sip_begin, sip_end, sip_word
from ncore_ray.machine.jit import kernel
from ncore_ray.wire.address import is_ipv4
from ncore_ray.wire.packet import Packet


class Field(IntFlag):
    """The fields that a key can have."""

    SOURCE_ADDRESS = 1
    SOURCE_PORT = 2
    DESTINATION_ADDRESS = 4
    DESTINATION_PORT = 8
    PROTOCOL = 16


FIELDS: Final = {
    "src-ip": Field.SOURCE_ADDRESS,
    "src-port": Field.SOURCE_PORT,
    "dst-ip": Field.DESTINATION_ADDRESS,
    "dst-port": Field.DESTINATION_PORT,
    "protocol": Field.PROTOCOL,
}
FIVE_TUPLE: Final = Field(31)
IPV6_KEY: Final = 1 << 40
_BOTH_ADDRESSES: Final = Field.SOURCE_ADDRESS | Field.DESTINATION_ADDRESS
_BOTH_PORTS: Final = Field.SOURCE_PORT | Field.DESTINATION_PORT


class FlowKeyError(NcoreError):
    """A key that cannot distribute anything."""


def fields_of(names: Iterable[str]) -> Field:
    """Return the fields that a configuration names.

    Raises:
        FlowKeyError: an unknown name, or a key without any address or port.
    """
    fields = Field(0)
    for name in names:
        if name not in FIELDS:
            raise FlowKeyError(f"a flow key has no field {name!r}; its fields are {', '.join(FIELDS)}")
        fields |= FIELDS[name]
    if not fields & ~Field.PROTOCOL:
        raise FlowKeyError("a flow key needs at least one address or port")
    return fields


def set_key(distributor: Distributor, fields: Field, symmetric: bool) -> None:
    """Write the masks of a key.

    ``symmetric`` makes one flow of both directions, where the key has both ends of what it has: a key of one end only
    names that end, whichever direction the packet takes.
    """
    both = fields & _BOTH_ADDRESSES in (0, _BOTH_ADDRESSES) and fields & _BOTH_PORTS in (0, _BOTH_PORTS)
    distributor.mask_source = -1 if fields & Field.SOURCE_ADDRESS else 0
    distributor.mask_destination = -1 if fields & Field.DESTINATION_ADDRESS else 0
    ports = (0xFFFF << 24) * bool(fields & Field.SOURCE_PORT) | (0xFFFF << 8) * bool(fields & Field.DESTINATION_PORT)
    distributor.mask_ports = IPV6_KEY | ports | 0xFF * bool(fields & Field.PROTOCOL)
    distributor.symmetric = int(symmetric and both)
    distributor.shared = int(fields != FIVE_TUPLE)


@kernel
def _is_backward(distributor: Distributor, source_port: int, destination_port: int) -> int:
    """Return 1 if the source is the greater end."""
    if distributor.key_0 != distributor.key_2:
        return 1 if distributor.key_0 > distributor.key_2 else 0
    if distributor.key_1 != distributor.key_3:
        return 1 if distributor.key_1 > distributor.key_3 else 0
    return 1 if source_port > destination_port else 0


@kernel
def _swap_ends(distributor: Distributor) -> int:
    distributor.key_0, distributor.key_2 = distributor.key_2, distributor.key_0
    distributor.key_1, distributor.key_3 = distributor.key_3, distributor.key_1
    return 0


@kernel
def make_key(distributor: Distributor, source_port: int, destination_port: int, protocol: int) -> int:
    """Make the key of the two addresses that stand in its place and of the ports: order and mask them."""
    if distributor.symmetric and _is_backward(distributor, source_port, destination_port):
        _swap_ends(distributor)
        source_port, destination_port = destination_port, source_port
    family = 0 if is_ipv4(distributor.key_0, distributor.key_1) else IPV6_KEY
    word = family | source_port << 24 | destination_port << 8 | protocol
    distributor.key_0 &= distributor.mask_source
    distributor.key_1 &= distributor.mask_source
    distributor.key_2 &= distributor.mask_destination
    distributor.key_3 &= distributor.mask_destination
    distributor.key_4 = word & distributor.mask_ports
    return 0


@kernel
def key_of_packet(distributor: Distributor, packet: Packet) -> int:
    """Write the key of a packet whose ports have been read into the decider's record."""
    distributor.key_0 = packet.source_high
    distributor.key_1 = packet.source_low
    distributor.key_2 = packet.destination_high
    distributor.key_3 = packet.destination_low
    return make_key(distributor, packet.source_port, packet.destination_port, packet.protocol)


@kernel
def key_of_addresses(
    distributor: Distributor, source_high: int, source_low: int, destination_high: int, destination_low: int
) -> int:
    """Write a key for the engine hash of two addresses alone, whatever the configured key."""
    distributor.key_0 = source_high
    distributor.key_1 = source_low
    distributor.key_2 = destination_high
    distributor.key_3 = destination_low
    distributor.key_4 = 0 if is_ipv4(source_high, source_low) else IPV6_KEY
    return 0


@kernel
def key_of_ends(
    distributor: Distributor,
    source_high: int,
    source_low: int,
    source_port: int,
    destination_high: int,
    destination_low: int,
    destination_port: int,
    protocol: int,
) -> int:
    """Write the key of two ends into the decider's record."""
    distributor.key_0 = source_high
    distributor.key_1 = source_low
    distributor.key_2 = destination_high
    distributor.key_3 = destination_low
    return make_key(distributor, source_port, destination_port, protocol)


@kernel
def hash_for_engine(base: int, distributor: Distributor) -> int:
    """Return the Toeplitz hash of the key and note it."""
    table = base + distributor.toeplitz
    ports = distributor.key_4 >> 8 & MASK32
    if distributor.key_4 & IPV6_KEY:
        distributor.engine_hash = toeplitz6(
            table, distributor.key_0, distributor.key_1, distributor.key_2, distributor.key_3, ports
        )
    else:
        distributor.engine_hash = toeplitz4(table, distributor.key_1, distributor.key_3, ports)
    return distributor.engine_hash


@kernel
def _hash4(key0: int, key1: int, source: int, destination: int, ports: int, protocol: int) -> int:
    v0, v1, v2, v3 = sip_begin(key0, key1 ^ protocol)
    v0, v1, v2, v3 = sip_word(v0, v1, v2, v3, source)
    v0, v1, v2, v3 = sip_word(v0, v1, v2, v3, destination)
    v0, v1, v2, v3 = sip_word(v0, v1, v2, v3, ports)
    return sip_end(v0, v1, v2, v3, 12)


@kernel
def _was_guessed(base: int, distributor: Distributor) -> int:
    """Return 1 if the guess at the packet at hand has the same key: then it has the hash."""
    if distributor.guess == 0:
        return 0
    guess = guess_at(base + distributor.guess)
    if guess.ports != distributor.key_4 or guess.source != distributor.key_1:
        return 0
    if guess.destination != distributor.key_3:
        return 0
    if guess.ports & IPV6_KEY == 0:
        return 1
    return 1 if guess.source_high == distributor.key_0 and guess.destination_high == distributor.key_2 else 0


@kernel
def hash_for_lookup(base: int, distributor: Distributor) -> int:
    """Return the keyed hash of the key and note it, unless it has been worked out before.

    An IPv4 key is three words and the protocol, which stands in the key: half the work of ten words.
    """
    if _was_guessed(base, distributor):
        distributor.lookup_hash = guess_at(base + distributor.guess).lookup_hash
        return distributor.lookup_hash
    arena = arena_at(base)
    ports = distributor.key_4
    if ports & IPV6_KEY:
        distributor.lookup_hash = hash_tuple(
            arena.secret_0,
            arena.secret_1,
            distributor.key_0,
            distributor.key_1,
            distributor.key_2,
            distributor.key_3,
            ports,
        )
    else:
        source, destination = distributor.key_1 & MASK32, distributor.key_3 & MASK32
        distributor.lookup_hash = _hash4(
            arena.secret_0, arena.secret_1, source, destination, ports >> 8 & MASK32, ports & 0xFF
        )
    return distributor.lookup_hash
