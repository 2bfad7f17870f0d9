"""Which engine a flow goes to and why, asked of the real kernels; and the list of flows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes
from ncore_ray.errors import NcoreError
from ncore_ray.flow.decide import decide
from ncore_ray.flow.distributor import distributor_view
from ncore_ray.flow.records import (
    ALGORITHM_WORDS,
    ALL_ENGINES,
    BUCKET_SIZE,
    WAYS,
    Algorithm,
    Distributor,
    Drop,
    FlowEntry,
    FlowState,
    Parallelism,
    Rule,
    distributor_at,
)
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.machine.memory import store8, store16be
from ncore_ray.machine.record import dtype_of, new, size_of, view
from ncore_ray.machine.system import monotonic_us
from ncore_ray.wire.address import end_text, words_of
from ncore_ray.wire.icmp import ECHO_REQUEST, IDENTIFIER
from ncore_ray.wire.icmpv6 import ECHO_REQUEST6
from ncore_ray.wire.ip import write_frame
from ncore_ray.wire.ipv4 import PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP
from ncore_ray.wire.ipv6 import PROTOCOL_ICMPV6
from ncore_ray.wire.packet import Packet, packet_at
from ncore_ray.wire.tcp import SYN, TCP_HEADER, write_tcp
from ncore_ray.wire.udp import UDP_HEADER, write_udp

PROTOCOLS: Final = {"tcp": PROTOCOL_TCP, "udp": PROTOCOL_UDP, "icmp": PROTOCOL_ICMP}
_PROBE_BYTES: Final = 128


class ExplainError(NcoreError):
    """A flow that cannot be asked for."""


@dataclass(frozen=True)
class Explanation:
    """What the distributor would do now with the first packet of a flow."""

    flow: str
    engine: int | None
    cause: Drop | None
    """Why it would be dropped, if it would be."""
    rule: Rule
    state: FlowState
    """Of the existing entry, else FREE."""
    algorithm: Algorithm
    engine_hash: int
    bucket: int
    """Entry of the indirection table that the engine hash names."""
    lookup_hash: int
    among: Parallelism = Parallelism.FLOW
    """Whose engines it is chosen from: all (FLOW), its VIP's, or its NIC's."""

    def __str__(self) -> str:
        if self.cause is not None:
            return f"{self.flow}: dropped, {_CAUSES[self.cause]}."
        return f"{self.flow}: engine {self.engine}, {self._reason()}."

    def _reason(self) -> str:
        among = _AMONG[self.among]
        by_hash = f"by hash 0x{self.engine_hash:08x}, {among or f'entry {self.bucket} of the indirection table'}"
        if self.rule == Rule.PORT_OWNER:
            return "which owns the destination port (the answer of a server)"
        if self.rule == Rule.PROTOCOL:
            return f"which has all packets of this protocol, {by_hash}"
        if self.rule == Rule.FLOW:
            return f"by its entry in the flow table ({self.state.name.lower().replace('_', ' ')})"
        if self.rule == Rule.ASSIGNED and self.algorithm == Algorithm.HASH:
            return f"as a new flow {by_hash}"
        if self.rule == Rule.ASSIGNED:
            return f"as a new flow by the algorithm {ALGORITHM_WORDS[self.algorithm]}{among and f', {among}'}"
        return f"without an entry (nobody listens there), {by_hash}"


_AMONG: Final = {
    Parallelism.FLOW: "",
    Parallelism.VIP: "among the engines of its VIP",
    Parallelism.NIC: "among the engines of its NIC",
}
_CAUSES: Final = {
    Drop.TRUNCATED: "because it is truncated",
    Drop.BAD_HEADER: "because of a wrong header",
    Drop.BAD_CHECKSUM: "because of a wrong header checksum",
    Drop.OTHER_ETHER_TYPE: "because of an EtherType that the appliance does not speak",
    Drop.OTHER_PROTOCOL: "because of a protocol that the appliance does not speak",
    Drop.NOT_FOR_US: "because its destination is neither a VIP nor a SNIP",
    Drop.BAD_SOURCE: "because no packet comes from its source address",
    Drop.UNKNOWN_FRAGMENT: "because its first fragment was not seen",
    Drop.FRAGMENTS_FULL: "because too many fragmented packets are under way",
    Drop.UNRELATED_ICMP: "because it reports a packet that nobody sent",
    Drop.TABLE_FULL: "because the flow table is full",
    Drop.TABLE_BUSY: "because another distributor holds its bucket",
    Drop.NO_ENGINE: "because no engine takes new flows",
    Drop.ENGINE_RING_FULL: "because the ring of its engine is full",
}


@entry_kernel
def _write_probe(
    target: int,
    source_high: int,
    source_low: int,
    source_port: int,
    destination_high: int,
    destination_low: int,
    destination_port: int,
    protocol: int,
) -> int:
    """Write the first packet of a flow; return its length. Its transport checksum is 0: only engines look at it."""
    header = TCP_HEADER if protocol == PROTOCOL_TCP else UDP_HEADER
    at = target + write_frame(
        target, 0, 0, source_high, source_low, destination_high, destination_low, protocol, header
    )
    if protocol == PROTOCOL_UDP:
        write_udp(at, source_port, destination_port, 0, 0)
    elif protocol in (PROTOCOL_ICMP, PROTOCOL_ICMPV6):
        store8(at, ECHO_REQUEST if protocol == PROTOCOL_ICMP else ECHO_REQUEST6)
        store16be(at + IDENTIFIER, source_port)
    elif protocol == PROTOCOL_TCP:
        write_tcp(at, source_port, destination_port, 0, 0, SYN, 0, TCP_HEADER)
    return at + header - target


@entry_kernel
def _decide_copy(base: int, distributor_address: int, packet_address: int, now: int) -> int:
    """Decide with a private copy of the distributor's record."""
    return decide(base, distributor_at(distributor_address), packet_at(packet_address), now)


def _private_copy(array: Bytes) -> tuple[npt.NDArray[np.uint8], Distributor, int]:
    memory, copy, address = new(Distributor)
    start = view(Arena, array).distributor
    memory[:] = array[start : start + size_of(Distributor)]
    copy.read_only = 1
    copy.guess = 0  # the decider is at work on its guesses
    return memory, copy, address


def explain(
    array: Bytes,
    source: str,
    source_port: int,
    destination: str,
    destination_port: int,
    protocol: str = "tcp",
    now: int | None = None,
    nic: int = 0,
) -> Explanation:
    """Say what the distributor would do now with the first packet (TCP: a SYN) of a flow. Nothing is changed.

    Of ``icmp`` (an echo request), the source's port is the identifier; a protocol by its number has no ports. ``nic``
    is the number of the NIC that the packet would come in on.

    Raises:
        ExplainError: no IP addresses of one family, a port out of range, or no protocol.
    """
    number = protocol_number(protocol, ":" in source)
    if number is None or not (0 <= source_port < 65536 and 0 <= destination_port < 65536):
        raise ExplainError(
            "a flow is SOURCE PORT DESTINATION PORT and tcp, udp, icmp or the number of a protocol,"
            " with ports from 0 to 65535"
        )
    ends = _words(source), _words(destination)
    if (":" in source) != (":" in destination):
        raise ExplainError(f"{source} and {destination} are of two families: no packet has both")
    probe = np.zeros(_PROBE_BYTES, np.uint8)
    length = _write_probe(probe.ctypes.data, *ends[0], source_port, *ends[1], destination_port, number)
    packet_bytes, packet, packet_address = new(Packet)
    packet.frame, packet.length, packet.nic = probe.ctypes.data, length, nic
    memory, copy, address = _private_copy(array)
    answer = _decide_copy(array.ctypes.data, address, packet_address, monotonic_us() if now is None else now)
    del memory, packet_bytes
    flow = f"{protocol} {end_text(*ends[0], source_port)} → {end_text(*ends[1], destination_port)}"
    return _explanation(flow, copy, answer)


def protocol_number(protocol: str, is_ipv6: bool) -> int | None:
    """Return the number of an IP protocol by its name, or as it was written; None: there is none."""
    if protocol == "icmp" and is_ipv6:
        return PROTOCOL_ICMPV6
    if protocol.isascii() and protocol.isdecimal() and int(protocol) < 256:
        return int(protocol)
    return PROTOCOLS.get(protocol)


def _words(text: str) -> tuple[int, int]:
    try:
        return words_of(text)
    except ValueError as error:
        raise ExplainError(f"{text!r} is no IP address") from error


def _explanation(flow: str, copy: Distributor, answer: int) -> Explanation:
    return Explanation(
        flow=flow,
        engine=answer if answer >= 0 else None,
        cause=Drop(answer) if answer < 0 else None,
        rule=Rule(copy.rule),
        state=FlowState(copy.state),
        algorithm=Algorithm(copy.algorithm),
        engine_hash=copy.engine_hash,
        bucket=copy.engine_hash & (copy.indirection_size - 1),
        lookup_hash=copy.lookup_hash,
        among=Parallelism(copy.parallelism) if copy.among != ALL_ENGINES else Parallelism.FLOW,
    )


FLOW_DTYPE: Final = np.dtype(
    [
        *((name, "<i8") for name in ("source_high", "source_low", "destination_high", "destination_low")),
        *((name, "<i4") for name in ("source_port", "destination_port", "protocol", "engine", "state")),
        *((name, "<i8") for name in ("created_at_s", "last_seen_at", "packets", "bytes")),
    ]
)


def list_flows(array: Bytes, now: int | None = None) -> npt.NDArray[Any]:
    """Return the live flows (`FLOW_DTYPE`). The table goes on changing meanwhile: each row is what stood there."""
    distributor = distributor_view(array)
    start = distributor.flow_buckets
    buckets = array[start : start + BUCKET_SIZE * distributor.flow_bucket_count].reshape(-1, BUCKET_SIZE)
    words = buckets[:, 8 : 8 + 8 * WAYS].copy().view(np.int64)
    entries = buckets[:, 64:].copy().view(dtype_of(FlowEntry))
    states = (words >> 56) & 15
    live = (states != FlowState.FREE) & (states != FlowState.CLAIMED)
    live &= (monotonic_us() if now is None else now) - entries["last_seen_at"] <= _timeouts(distributor)[states]
    return _rows(words[live], entries[live])


def _timeouts(distributor: Distributor) -> npt.NDArray[np.int64]:
    names = ("free", "syn", "established", "fin", "reset", "closed", "udp", "shared")
    spans = [getattr(distributor, f"timeout_{name}") for name in names]
    return np.array(spans + [0] * 8, np.int64)


def _rows(words: npt.NDArray[np.int64], entries: npt.NDArray[Any]) -> npt.NDArray[Any]:
    rows = np.zeros(words.size, FLOW_DTYPE)
    names = ("source_high", "source_low", "destination_high", "destination_low")
    for name in (*names, "created_at_s", "last_seen_at", "packets", "bytes"):
        rows[name] = entries[name]
    rows["source_port"] = (entries["ports"] >> 24) & 0xFFFF
    rows["destination_port"] = (entries["ports"] >> 8) & 0xFFFF
    rows["protocol"] = entries["ports"] & 0xFF
    rows["engine"] = (words >> 48) & 0xFF
    rows["state"] = (words >> 56) & 15
    return rows


def flow_text(row: Any) -> str:
    """Return a row of `list_flows` for a person: ``tcp 10.1.0.7:4711 → 10.1.0.100:80``."""
    names = {number: name for name, number in PROTOCOLS.items()} | {PROTOCOL_ICMPV6: "icmp"}
    source = end_text(int(row["source_high"]), int(row["source_low"]), int(row["source_port"]))
    destination = end_text(int(row["destination_high"]), int(row["destination_low"]), int(row["destination_port"]))
    protocol = names.get(int(row["protocol"]), str(row["protocol"]))
    return f"{protocol} {source} → {destination}"
