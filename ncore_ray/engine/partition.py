"""An engine's own part of the arena: its header, and how its tables are reached from it.

Every kernel of the engine takes the header ``engine`` as its first argument; everything else is found from it.
"""

from __future__ import annotations

from typing import Annotated, Final

import numpy as np

from ncore_ray.arena.header import arena_at, check_index
from ncore_ray.engine.counters import (
    EngineCounters,
    ServiceStats,
    VserverStats,
    counters_at,
    service_stats_at,
    vserver_stats_at,
)
from ncore_ray.machine.jit import CHECKED, kernel
from ncore_ray.machine.record import I64, Record, address_of, pointer_to, size_of

TOUCHED: Final = 14
"""Connections that one change can name beside its own and their peers."""


class Engine(Record):
    """Header of an engine's partition. Offsets count from the arena's start."""

    offset: I64
    """Of this header."""
    index: I64
    actor: I64
    now: I64
    """The clock of the running breath, µs."""
    bank: I64
    """The bank of the configured tables that its settings were taken from; −1 at first."""
    changing: I64
    """Number of the connection that is being changed plus 1, `NEW_ONE`, or 0. See `change`."""
    touched_count: I64
    """Of `touched`, while `changing` is not 0; the latest are kept."""
    touched: Annotated[int, np.dtype(("<i8", (TOUCHED,)))]
    """Numbers of further connections that are being changed with it."""
    delivered: I64
    """Bytes that the acknowledgment at hand says have arrived and that were not known to have."""
    unnoted: I64
    """Bytes that it says have arrived and that there was no room to note: they will seem to arrive once more."""
    sample_sent_at: I64
    """When the latest of them was sent, µs; 0: that cannot be told."""
    sample_rtt: I64
    """Round-trip time that the acknowledgment at hand shows, of what was sent only once, µs; 0: none."""
    draining: I64
    drain_next: I64
    """The connection at which the look for idle clients goes on."""
    drain_at: I64
    """When it begins anew, µs."""

    counters: I64
    vserver_stats: I64
    service_stats: I64
    latencies: I64
    """`Latency` of each row of vServers: to the head of the response."""
    whole_latencies: I64
    """... to its last byte."""
    service_latencies: I64
    """`Latency` of each row of services: to the head of the response."""

    connections: I64
    connection_count: I64
    free_connection: I64
    """First free connection plus 1, or 0 (derived)."""
    live_connections: I64
    half_open: I64
    half_open_limit: I64
    half_open_first: I64
    """Oldest connection in SYN-RECEIVED plus 1, or 0 (derived)."""
    half_open_last: I64
    fast_open_pending: I64
    """Of those in SYN-RECEIVED, the ones whose data were taken with the SYN (derived)."""
    cookies_until: I64
    """The last instant at which an acknowledgment may bring back a cookie of this engine's; 0: none was sent."""
    buckets: I64
    """Hash index of the connections: 32-bit words, connection number plus 1 (derived)."""
    bucket_count: I64
    time_wait_first: I64
    """Oldest connection in TIME-WAIT plus 1, or 0."""
    time_wait_last: I64
    orphan_first: I64
    """Oldest connection without an owner plus 1, or 0 (derived); see `orphans`."""
    orphan_last: I64
    datagrams: I64
    """Connections that are sides of sessions of datagrams (derived); see `datagrams`."""
    datagram_first: I64
    """Such a session of a client plus 1, one of the oldest, or 0 (derived)."""
    datagram_last: I64
    http: I64
    """`Exchange` of each connection."""
    bodies: I64
    """`Body` of each connection."""

    first_frame: I64
    frame_count: I64
    free_frames: I64
    """Stack of 32-bit numbers of free frames (derived)."""
    free_frame_count: I64
    freed_late: I64
    """Frames freed while packets that may name them wait for the flush: the first plus 1, or 0, linked by `next`."""
    frame_reserve: I64
    """Frames kept for what is on its way already: no new data is accepted below it."""
    offered: I64
    """Frame of the packet at hand plus 1 that a stream may keep, or 0. See `offer`."""
    offered_end: I64
    """Offset behind the last byte of its that is handed over."""
    offered_after: I64
    """The frame before it in its packet, or −1: then …"""
    offered_word: I64
    """… the word at this offset names it."""
    given: I64
    """The empty frame plus 1 that goes home for it, or 0."""

    spans: I64
    """`BLOCK_SIZE` bytes for each block of spans, see `tcp/spans.py`."""
    span_block_count: I64
    span_blocks_used: I64
    """So many were ever in use …"""
    free_span_block: I64
    """… and this one of them is free (plus 1), or 0; its first word names the next."""

    wheel: I64
    """Timer wheel: per slot the first connection plus 1, 32 bits (derived)."""
    wheel_at: I64
    """The tick up to which timers have fired."""

    work_list: I64
    """Connections with something to send or to do: a circular list of 32-bit numbers, each at most once."""
    work_size: I64
    """Power of two, more than `connection_count`."""
    work_head: I64
    work_tail: I64

    slots: I64
    slot_count: I64
    slots_used: I64
    headers: I64
    """`HEADER_ROOM` bytes for each slot."""
    pieces: I64
    """`piece_count` `Piece` records for the payload of large segments; used up to `pieces_used` until the flush."""
    piece_count: I64
    pieces_used: I64

    train_of: I64
    """Number plus 1 of the UDP session whose datagram is in the packet made last, if others may join it; else 0."""
    train_made: I64
    """The number of that packet: `made_packets` after it was made."""
    train_step: I64
    """Bytes of its datagrams."""

    scratch: I64
    """Room for a head and what was read from it, valid within one call."""

    first_port: I64
    port_count: I64
    next_port: I64

    has_streams: I64
    """1: there are vServers of TCP or HTTP."""
    any_vservers: I64
    forwards: I64
    """1: there is, or was, a vServer of protocol ANY."""
    bridges: I64
    """1: there are NICs that pass on what is not for the appliance."""
    reassemblies: I64
    """`Reassembly` records …"""
    reassembly_rooms: I64
    """… and a room of `ROOM` bytes for each."""
    reassembly_count: I64
    reassembly_at: I64
    """When the next of them may be over, µs; 0: none is under way."""
    identification: I64
    """Of the last packet that was sent in fragments."""
    paths: I64
    """`PATHS` `PathMtu` records, see `ip/paths.py` …"""
    paths_until: I64
    """… and when the last of them is too old, µs; 0: there was none."""
    mtu_probing: I64
    """`MtuProbing`"""
    reset_tokens: I64
    """`Allowance` of resets to strangers: these two words, as the two pairs that follow; see `allowance`."""
    resets_at: I64
    error_tokens: I64
    errors_at: I64
    echo_tokens: I64
    echoes_at: I64
    reset_limit: I64
    """Per second, as the next two."""
    error_limit: I64
    echo_limit: I64

    announces: I64
    """1: this engine makes the own addresses known."""
    announce_at: I64
    """When it goes on with that, µs; 0: all is said."""
    announce_round: I64
    announce_next: I64
    """Place of the next address in their table."""
    report_at: I64
    """When groups are reported, because a router has asked, µs; 0: none has; see `membership`."""
    report_group: I64
    """Low word of the one that was asked about; 0: all."""
    report_next: I64
    first_version_until: I64
    """So long reports are of the first version of MLD, µs."""

    challenge_window_at: I64
    challenges_left: I64
    """Of the window that began then."""
    challenge_limit: I64
    """Per window."""

    receive_limit: I64
    send_limit: I64
    receive_most: I64
    """To which these two grow for a connection that needs it; see `tcp/buffers.py`."""
    send_most: I64
    receive_scale: I64
    initial_window: I64
    sack: I64
    """1: selective acknowledgments are offered and accepted."""
    pacing: I64
    """1: all connections are paced; else only those whose congestion control asks for it."""
    ecn: I64
    """`EcnUse`"""
    nagle: I64
    """1: small segments wait for acknowledgments."""
    cork_us: I64
    """So long small segments wait for company."""
    timestamps: I64
    """1: timestamps are offered and accepted."""
    delayed_ack_us: I64
    min_rto_us: I64
    max_rto_us: I64
    syn_retries: I64
    retries: I64
    time_wait_us: I64
    keepalive_us: I64
    user_us: I64
    splices: I64
    """1: there are vServers whose proxied pairs become spliced ones."""
    fast_open_limit: I64
    """0: no data are taken with a SYN."""
    idle_limit: I64
    """Idle connections kept per service."""
    monitor_at: I64
    """When the next probe of this engine is due."""
    flow_key: I64
    """A `Distributor` record of this engine's own, with which it tells the flow table of ended connections."""
    pace: I64
    """`Pace`: the packet processing timer."""
    links: I64
    """`Link` to each other engine, where virtual connections are configured; else 0."""
    halves: I64
    """`half_count` `Half` rows for each engine."""
    half_count: I64
    turns: I64
    """`Turn` of each connection, where a vServer has the unit `transaction`; else 0."""
    turn_engine: I64
    """The engine that a request was given to last."""
    ahead: I64
    """Requests given away whose answers have others of the same clients before them."""
    starved: I64
    """1: bytes of virtual connections are held because there was no memory to pass them on."""
    access_ring: I64
    """`NoteRing` to the management, where there is an access log; else 0."""
    access_share: I64
    """Parts per million of the requests that are logged."""
    access_credit: I64
    """A request is logged when this has come to a million."""
    access_number: I64
    """Of the last request that was logged."""
    error_texts: I64
    """`ErrorText` rows: the appliance's own HTTP responses, in `texts`."""


engine_at = pointer_to(Engine)
HEADER_ROOM: Final = 128

_VSERVER_STATS: Final = size_of(VserverStats)
_SERVICE_STATS: Final = size_of(ServiceStats)


@kernel
def base_of(engine: Engine) -> int:
    """Return the address of the arena's start."""
    return address_of(engine) - engine.offset


@kernel
def counters_of(engine: Engine) -> EngineCounters:
    """Return the engine's counters."""
    return counters_at(base_of(engine) + engine.counters)


@kernel
def vserver_stats(engine: Engine, index: int) -> VserverStats:
    """Return this engine's counters of a vServer."""
    if CHECKED:
        check_index(index, arena_at(base_of(engine)).vserver_count)
    return vserver_stats_at(base_of(engine) + engine.vserver_stats + index * _VSERVER_STATS)


@kernel
def service_stats(engine: Engine, index: int) -> ServiceStats:
    """Return this engine's counters of a service."""
    if CHECKED:
        check_index(index, arena_at(base_of(engine)).service_count)
    return service_stats_at(base_of(engine) + engine.service_stats + index * _SERVICE_STATS)
