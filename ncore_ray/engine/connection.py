"""The connection table: the transmission control blocks of an engine, and how they are found, made and freed.

UDP sessions stand in the same table: they share the hash index, the timers and the pairing of client and server side.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final

import numpy as np

from ncore_ray.arena.header import arena_at, check_index
from ncore_ray.engine.buffer import Chain, chain_at, chain_clear, chain_init
from ncore_ray.engine.change import touch
from ncore_ray.engine.partition import Engine, base_of
from ncore_ray.engine.tcp.sequence import seq_diff
from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.machine.hash import MASK32, hash_tuple, sip_begin, sip_end, sip_word
from ncore_ray.machine.jit import CHECKED, kernel
from ncore_ray.machine.memory import clear, load32, store32
from ncore_ray.machine.record import I16, I32, I64, Record, address_of, offset_of, pointer_to, size_of
from ncore_ray.wire.address import is_ipv4


class Role(IntEnum):
    """What a connection is for."""

    FREE = 0
    CLIENT = 1
    """A client's connection to a vServer."""
    SERVER = 2
    """Ours to a service, for a client."""
    MONITOR = 3
    """Ours to a service, to see whether it answers."""
    UDP_CLIENT = 4
    UDP_SERVER = 5
    ARRIVING = 6
    """A client's connection whose first request decides which engine serves it."""
    RELAYED = 7
    """A client's connection that another engine serves."""
    FAR = 8
    """The virtual connection, to that engine, of a RELAYED one."""
    SPLIT = 9
    """A client's connection whose requests are served by different engines."""
    LEG = 10
    """A virtual connection to one of these engines."""


class Work(IntEnum):
    """Reasons why a connection stands in the list of those with something to do (bits)."""

    OUTPUT = 1
    """TCP may have something to send."""
    PUMP = 2
    """Held bytes may be able to move on."""
    TIMER = 4
    """Its slot of the timer wheel has come."""


OwnSpans = Annotated[int, np.dtype(("<i8", (4,)))]
ControlWords = Annotated[int, np.dtype(("<i8", (4,)))]


class Tcb(Record):
    """A transmission control block (RFC 9293 §3.3.1), and what the proxy needs to know of the connection.

    Names in upper case in the RFC (SND.UNA, RCV.NXT …) stand here in lower case. Sequence numbers are 0 … 2³²−1.
    Times are µs; an instant of 0 means "not set". Numbers of other connections are plus 1, 0 means none. Numbers of
    connections and frames, spans of time and bytes of a window take 32 bits, flags and small counts 16, so that idle
    connections take little memory.
    """

    remote_high: I64
    remote_low: I64
    local_high: I64
    local_low: I64
    ports: I64
    """remote port << 24 | local port << 8 | protocol"""
    remote_mac: I64
    """Link-layer address that packets go to; −1 while it is not known."""
    state: I32
    role: I32
    vserver: I32
    service: I32
    peer: I32
    """The other side of the proxied pair."""
    work: I32
    """`Work` bits."""
    nic: I32
    route: I32
    """Route to the remote address; −1: back the way the client's packets came."""
    mac_checked_at: I64
    """When the neighbour table was last asked for `remote_mac`."""
    created_at: I64

    iss: I64
    snd_una: I64
    snd_nxt: I64
    snd_max: I64
    snd_wnd: I64
    snd_wl1: I64
    snd_wl2: I64
    max_window: I64
    """The largest window that the peer ever told (MAX.SND.WND)."""
    irs: I64
    rcv_nxt: I64
    rcv_edge: I64
    """The right edge of the window that was advertised."""
    mss: I32
    """Largest payload to send in one segment."""
    mtu_search: I16
    """`Search`: what is done about the MTU of the way."""
    mss_agreed: I16
    """What both ends let in: `mss` as long as no link on the way is narrower."""
    probe_end: I64
    """Sequence number behind the probe in flight."""
    probe_at: I64
    """Not before this instant may `mss` be tried to become larger."""

    early_0: I64
    """First bytes of the latest segments that came too early, two in a word, each of a block of its own; see `sack`."""
    early_2: I64
    duplicate_range: I64
    """What arrived twice and is to be said (RFC 2883): first byte << 31 | length, or 0."""
    sacked_bytes: I64
    """Bytes in flight that the peer has said to hold."""
    lost_bytes: I64
    """Bytes in flight that are lost and were not sent again."""
    own_spans: OwnSpans
    """What is in flight and when it was sent, as long as two `Span` records are enough; see `spans`."""
    rack_sent_at: I64
    """When that was sent which was sent last of all that arrived (RACK.xmit_ts of RFC 8985) …"""
    rack_end: I64
    """… and the sequence number behind it (RACK.end_seq)."""
    min_rtt_at: I64
    """When the least round-trip time was measured."""
    duplicates_until: I64
    """Until this is acknowledged (plus 1; 0: no more), duplicates that the peer speaks of belong to one round
    (RACK.dsack_round)."""
    tail_end: I64
    """Sequence number behind the tail loss probe that is in flight (TLP.end_seq)."""
    recovery_at: I64
    """When the present recovery began."""
    recheck_at: I64
    """When the reordering timer or the probe time-out is due, by `recheck`."""

    ts_recent: I64
    """The peer's timestamp to echo (TS.Recent of RFC 7323), and when it came."""
    ts_recent_at: I64
    last_ack_sent: I64
    """`rcv_nxt` as the latest segment told it (Last.ACK.sent)."""

    control: ControlWords
    """What the congestion control in use keeps for itself: `Cubic` or `Vegas`; BBR has a block, see `rate`."""
    round_at: I64
    """When the present round of receiving began …"""
    received_before: I64
    """… and `received_bytes` then."""
    pace_at: I64
    """Where segments are paced: not before this instant may the next one go out."""
    marked_until: I64
    """Until this is acknowledged (plus 1; 0: no more), the peer's echoes of marks tell of one congestion."""
    cwnd: I64
    ssthresh: I64
    recover: I64
    srtt: I32
    rttvar: I32
    rto: I64
    rtt_sequence: I64
    rtt_started_at: I64
    last_sent_at: I64

    retransmit_at: I64
    ack_at: I64
    keepalive_at: I64
    application_at: I64
    close_at: I64
    """End of TIME-WAIT, of FIN-WAIT-2 without a reader, or of a lingering close."""
    wheel_at: I64
    """Tick of the slot in which it stands."""
    last_received_at: I64
    refused_at: I64
    """When a segment without data that is outside the window was last answered."""

    send_base: I64
    """Sequence number of the first byte in the send chain."""
    send_chain: I64
    send_chain_length: I64
    cursor_sequence: I64
    """Sequence number of the first byte of the cursor's frame: where `snd_nxt` was found last."""
    hold_chain: I64
    hold_chain_length: I64
    hash_next: I32
    wheel_next: I32
    wheel_previous: I32
    list_next: I32
    """Next in the pool of idle connections, or in the queue of SYN-RECEIVED, orphans or TIME-WAIT."""
    list_previous: I32
    cursor_frame: I32
    out_of_order: I32
    """First frame of the segments that came too early, by sequence number, or −1."""
    out_of_order_last: I32
    """The last frame of them, if there is any."""
    out_of_order_count: I32
    attempts: I32
    """Services tried for the client so far."""
    duplicate_acks: I32
    duplicate_acks_due: I32
    """Segments that came too early and whose duplicate acknowledgments have not gone out."""
    delivered_in_recovery: I32
    """prr_delivered of RFC 6937."""
    sent_in_recovery: I32
    """prr_out."""
    flight_at_loss: I32
    """RecoverFS."""
    span_block: I32
    """Number of the `SpanBlock` plus 1 that holds the spans; 0: they are `own_spans`."""
    rate_block: I32
    """Number of the block plus 1 in which the rate of delivery is measured, for BBR; 0: it is not."""
    receive_limit: I32
    """Bytes that the peer may send ahead of the reader, where it was found to need more than others; else 0."""
    rack_rtt: I32
    """Round-trip time of that which arrived and was sent last, µs (RACK.rtt of RFC 8985)."""
    min_rtt: I32
    """Least round-trip time of late, µs (RACK.min_RTT); 0: none is known."""
    undo_window: I32
    """`cwnd` and `ssthresh` before the time-out, in case it turns out to be spurious."""
    undo_threshold: I32
    silent_since: I32
    """Tick (31 bits) at which that was sent which is unacknowledged, if `retransmissions` is not 0; see `patience`."""
    fin_wanted: I16
    """1 when the stream ends behind the bytes in the send chain."""
    fin_received: I16
    ack_now: I16
    ack_pending: I16
    """Segments received and not yet acknowledged."""
    resend: I16
    """1: the oldest unacknowledged segment goes out again (fast retransmit)."""
    retain: I16
    """1: acknowledged bytes stay in the send chain, so that a request can be sent again elsewhere."""
    discard: I16
    """1: incoming bytes are acknowledged and thrown away (nobody reads any more)."""
    in_recovery: I16
    """`Recovery`"""
    probing: I16
    """1 while the retransmission timer runs as the persist timer."""
    keepalive_due: I16
    """1: a keep-alive probe is to be sent."""
    probe_now: I16
    """1: one byte may go out into a closed window."""
    pooled: I16
    """1: stands in its service's pool of idle connections."""
    busy: I16
    """1: counted as busy at its service."""
    wheel_armed: I16
    sack_permitted: I16
    """1: both ends understand selective acknowledgments (RFC 2018)."""
    timestamps: I16
    """1: every segment carries timestamps, both ways (RFC 7323)."""
    congestion: I16
    """`Congestion` control in use."""
    keepalive_probes: I16
    unresolved: I16
    """How often in a row what should have gone out found no link-layer address of the next hop, up to a limit."""
    snd_scale: I16
    rcv_scale: I16
    cursor_valid: I16
    retransmissions: I16
    """Of the oldest byte, in a row."""
    span_first: I16
    """Place of the first span in use, and how many there are."""
    span_count: I16
    reordering: I16
    """1: the way was seen to reorder (RACK.reordering_seen)."""
    window_steps: I16
    """By how many quarters of `min_rtt` the reordering window is wider than at first (RACK.reo_wnd_mult − 1)."""
    window_kept: I16
    """How many recoveries without duplicates it stays so (RACK.reo_wnd_persist)."""
    recheck: I16
    """`Recheck`: what `recheck_at` is for."""
    tail_probe: I16
    """`TailProbe` that is in flight."""
    probe_tail: I16
    """1: a tail loss probe is to be sent."""
    lost_again: I16
    """1: what was sent again in this recovery is lost once more."""
    verification: I16
    """`Verification` of whether a time-out was spurious (F-RTO)."""
    pace_waits: I16
    """`Wait`: something may go out at `pace_at`."""
    ecn: I16
    """`Ecn` bits."""
    fast_open: I16
    """`FastOpen`: what the client's SYN brought about."""
    mss_ceiling: I16
    """Payload that a search of `mss` goes up to."""
    probe_length: I16
    """Payload of the segment in flight that tries whether the way takes so much; 0: there is none."""

    received_bytes: I64
    sent_bytes: I64
    received_at_request: I64
    """`received_bytes` of a server's connection when its present request began."""
    acknowledged_at_request: I64
    """`snd_una` of a server's connection from the pool when its present request began; −1 on a fresh one."""
    progress: I64
    """What `moved_on` was told last."""
    virtual: I64
    """The other end is an engine: number of the `Half` plus 1; 0: it is a host."""


tcb_at = pointer_to(Tcb)
TCB_SIZE: Final = size_of(Tcb)
SEND_CHAIN_OFFSET: Final = offset_of(Tcb, "send_chain")
HOLD_CHAIN_OFFSET: Final = offset_of(Tcb, "hold_chain")
CONTROL_OFFSET: Final = offset_of(Tcb, "control")
NO_MAC: Final = -1


@kernel
def tcb_of(engine: Engine, index: int) -> Tcb:
    """Return a connection by its number (0 …)."""
    if CHECKED:
        check_index(index, engine.connection_count)
    return tcb_at(base_of(engine) + engine.connections + index * TCB_SIZE)


@kernel
def index_of(engine: Engine, tcb: Tcb) -> int:
    """Return the number of a connection."""
    return (address_of(tcb) - base_of(engine) - engine.connections) // TCB_SIZE


@kernel
def peer_of(engine: Engine, tcb: Tcb) -> Tcb:
    """Return the other side of a pair (`peer` is not 0)."""
    return tcb_of(engine, tcb.peer - 1)


@kernel
def make_ports(remote_port: int, local_port: int, protocol: int) -> int:
    """Return the word that holds both ports and the protocol."""
    return remote_port << 24 | local_port << 8 | protocol


@kernel
def remote_port(tcb: Tcb) -> int:
    """Return the remote port."""
    return tcb.ports >> 24


@kernel
def local_port(tcb: Tcb) -> int:
    """Return the local port."""
    return (tcb.ports >> 8) & 0xFFFF


@kernel
def protocol_of(tcb: Tcb) -> int:
    """Return the IP protocol number."""
    return tcb.ports & 0xFF


@kernel
def _hash(engine: Engine, remote_high: int, remote_low: int, local_high: int, local_low: int, ports: int) -> int:
    arena = arena_at(base_of(engine))
    if is_ipv4(remote_high, remote_low) and is_ipv4(local_high, local_low):
        v0, v1, v2, v3 = sip_begin(arena.secret_0, arena.secret_1)
        v0, v1, v2, v3 = sip_word(v0, v1, v2, v3, remote_low & MASK32)
        v0, v1, v2, v3 = sip_word(v0, v1, v2, v3, local_low & MASK32 ^ ports & 0xFF)
        v0, v1, v2, v3 = sip_word(v0, v1, v2, v3, ports >> 8)
        return sip_end(v0, v1, v2, v3, 12)
    return hash_tuple(arena.secret_0, arena.secret_1, remote_high, remote_low, local_high, local_low, ports)


@kernel
def _bucket(engine: Engine, remote_high: int, remote_low: int, local_high: int, local_low: int, ports: int) -> int:
    place = _hash(engine, remote_high, remote_low, local_high, local_low, ports) & (engine.bucket_count - 1)
    return base_of(engine) + engine.buckets + 4 * place


@kernel
def find_connection(
    engine: Engine, remote_high: int, remote_low: int, local_high: int, local_low: int, ports: int
) -> int:
    """Return the number plus 1 of the connection with these addresses and ports, or 0."""
    number = load32(_bucket(engine, remote_high, remote_low, local_high, local_low, ports))
    while number:
        tcb = tcb_of(engine, number - 1)
        if (
            tcb.ports == ports
            and tcb.remote_low == remote_low
            and tcb.local_low == local_low
            and tcb.remote_high == remote_high
            and tcb.local_high == local_high
        ):
            return number
        number = tcb.hash_next
    return 0


@kernel
def index_connection(engine: Engine, tcb: Tcb) -> int:
    """Enter a connection, whose addresses are set, into the hash index."""
    bucket = _bucket(engine, tcb.remote_high, tcb.remote_low, tcb.local_high, tcb.local_low, tcb.ports)
    tcb.hash_next = load32(bucket)
    return store32(bucket, index_of(engine, tcb) + 1)


@kernel
def _unindex(engine: Engine, tcb: Tcb) -> int:
    bucket = _bucket(engine, tcb.remote_high, tcb.remote_low, tcb.local_high, tcb.local_low, tcb.ports)
    own = index_of(engine, tcb) + 1
    number = load32(bucket)
    if number == own:
        return store32(bucket, tcb.hash_next)
    while number:
        before = tcb_of(engine, number - 1)
        if before.hash_next == own:
            before.hash_next = tcb.hash_next
            return 0
        number = before.hash_next
    return 0


@kernel
def send_chain(tcb: Tcb) -> Chain:
    """Return the chain of bytes to send: those in flight and those that wait."""
    return chain_at(address_of(tcb) + SEND_CHAIN_OFFSET)


@kernel
def hold_chain(tcb: Tcb) -> Chain:
    """Return the chain of bytes received in order that nobody could take yet."""
    return chain_at(address_of(tcb) + HOLD_CHAIN_OFFSET)


@kernel
def take_connection(engine: Engine) -> int:
    """Return the number plus 1 of a fresh connection (fields 0, chains empty, not indexed), or 0 if all are taken."""
    number = engine.free_connection
    if number == 0:
        return 0
    touch(engine, number - 1)
    tcb = tcb_of(engine, number - 1)
    engine.free_connection = tcb.hash_next
    engine.live_connections += 1
    work = tcb.work  # it may still stand in the work list from its former life
    clear(address_of(tcb), TCB_SIZE)
    tcb.work = work
    chain_init(send_chain(tcb))
    chain_init(hold_chain(tcb))
    tcb.out_of_order = -1
    tcb.out_of_order_last = -1
    tcb.acknowledged_at_request = -1
    tcb.remote_mac = NO_MAC
    tcb.created_at = engine.now
    return number


@kernel
def release_connection(engine: Engine, tcb: Tcb) -> int:
    """Free a connection that stands in no list but the hash index, with all its frames but those out of order."""
    _unindex(engine, tcb)
    chain_clear(engine, send_chain(tcb))
    chain_clear(engine, hold_chain(tcb))
    tcb.role = Role.FREE
    tcb.state = TcpState.CLOSED
    tcb.ports = 0
    tcb.hash_next = engine.free_connection
    engine.free_connection = index_of(engine, tcb) + 1
    engine.live_connections -= 1
    return 0


@kernel
def bytes_moved(tcb: Tcb) -> int:
    """Return a number that changes whenever a byte comes in or is acknowledged (unlike `last_received_at`: probes)."""
    return tcb.received_bytes + tcb.snd_una


@kernel
def undelivered(tcb: Tcb) -> int:
    """Return how many bytes the other end has not taken: those in flight, and those that wait."""
    waiting = send_chain(tcb).length
    return waiting + max(seq_diff(tcb.snd_nxt, tcb.snd_una), 0) if tcb.virtual else waiting


@kernel
def moved_on(tcb: Tcb, progress: int) -> int:
    """Return 1 if a measure of progress is another one than at the last call."""
    before = tcb.progress
    tcb.progress = progress
    return 1 if progress != before else 0


@kernel
def mark(engine: Engine, tcb: Tcb, work: int) -> int:
    """Put a connection on the list of those with something to do, if it does not stand there yet."""
    if tcb.work == 0:
        place = engine.work_tail & (engine.work_size - 1)
        store32(base_of(engine) + engine.work_list + 4 * place, index_of(engine, tcb))
        engine.work_tail += 1
    tcb.work |= work
    return 0
