"""Services (servers), vServers (what clients connect to), and which services a vServer uses."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ncore_ray.arena.header import arena_at, bank_in_force, check_index
from ncore_ray.machine.jit import CHECKED, entry_kernel, kernel
from ncore_ray.machine.memory import load32, store32
from ncore_ray.machine.record import I64, Record, offset_of, pointer_to, size_of
from ncore_ray.tables.own_address import mix


class VserverProtocol(IntEnum):
    """What a vServer speaks."""

    TCP = 0
    HTTP = 1
    UDP = 2
    ANY = 3
    """UDP to any port, ICMP that asks and answers, and every other protocol but TCP: forwarded as it comes."""


class Method(IntEnum):
    """How a vServer chooses among its services."""

    ROUND_ROBIN = 0
    LEAST_CONNECTION = 1


class Congestion(IntEnum):
    """How a connection keeps from congesting its way."""

    NEWRENO = 0
    CUBIC = 1
    VEGAS = 2
    BBR = 3


class CookieMode(IntEnum):
    """When a vServer answers SYNs with cookies (RFC 4987 §3.6)."""

    AUTO = 0
    """When too many handshakes are under way."""
    ALWAYS = 1
    OFF = 2


class MonitorKind(IntEnum):
    """How a service is watched."""

    NONE = 0
    TCP = 1
    HTTP = 2


class Health(IntEnum):
    """What is known of a service."""

    UNKNOWN = 0
    """Not probed yet: left out, except where it is not monitored."""
    UP = 1
    DOWN = 2


class RowState(IntEnum):
    """What a row of the tables of vServers and services is."""

    FREE = 0
    ACTIVE = 1
    DRAINING = 2
    """Configured no more: what has begun goes on, nothing new begins."""


class Arrival(IntEnum):
    """What decides which engine serves a vServer's clients."""

    DIRECT = 0
    """The flow distributor alone."""
    KEY = 1
    """A field of the first request."""
    FUNCTION = 2
    """A hash of its addresses, where only some engines serve clients (`distribution.functions`)."""
    TRANSACTION = 3
    """For each request by itself, whose turn it is (`unit: transaction`)."""


class Vserver(Record):
    """One vServer. Spans are µs; the first words are those of the look-up."""

    high: I64
    low: I64
    port: I64
    protocol: I64
    method: I64
    first_binding: I64
    bindings: I64

    congestion: I64
    """`Congestion` control of the clients' connections."""
    client_idle_us: I64
    header_us: I64
    connect_us: I64
    server_us: I64
    udp_us: I64
    keepalive_us: I64
    """Of its clients' connections and of those to services for them, as the next three; 0: never."""
    time_wait_us: I64
    fin_wait_us: I64
    user_us: I64
    """How long what was sent may stay unacknowledged; 0: as long as there are retransmissions left."""

    syn_cookies: I64
    """`CookieMode`."""
    half_open_limit: I64
    """Handshakes under way at one engine; 0: as many as the engine allows."""
    connection_limit: I64
    """Connections of clients at one engine whose handshakes are over; 0: any number."""
    mss: I64
    """Bytes of a segment from or to a client at the most; 0: what the way lets through."""
    send_limit: I64
    """Bytes that may wait for a client; 0: as many as for all others."""

    x_forwarded_for: I64
    via: I64
    max_header: I64
    max_request_line: I64
    max_fields: I64
    max_body: I64
    """Bytes of a request's body; −1 for no limit."""
    access_log: I64
    """1: its requests are logged, where there is an access log."""
    splice: I64
    """1: packets of its clients and of services are translated and passed on; see `engine/splice`."""

    arrival: I64
    """`Arrival`: what decides which engine serves a client."""
    engines: I64
    """Among which engines (a bit for each) that decides."""
    key_kind: I64
    """`KeyKind`: the field of the first request."""
    key_name: I64
    """Offset of the field's name in `texts`."""
    key_name_length: I64

    state: I64
    """`RowState`."""
    name: I64
    """Offset in `texts` of its name."""
    name_length: I64


class Binding(Record):
    """One service of a vServer."""

    service: I64
    weight: I64


class Service(Record):
    """One service, as it is configured."""

    high: I64
    low: I64
    port: I64
    weight: I64
    route: I64
    """Number of the route to it."""
    host: I64
    """Offset in `texts` of "address:port", for requests that name no host."""
    host_length: I64

    monitor: I64
    interval_us: I64
    timeout_us: I64
    fall: I64
    rise: I64
    expect_low: I64
    """HTTP status codes that a probe accepts, from … to."""
    expect_high: I64
    probe: I64
    """Offset in `texts` of the bytes that an HTTP probe sends."""
    probe_length: I64

    congestion: I64
    """`Congestion` control of our connections to it."""
    mss: I64
    """Bytes of a segment from or to it at the most; 0: what the way lets through."""
    monitor_engine: I64
    """Number of the engine that probes it."""

    state: I64
    """`RowState`."""
    name: I64
    """Offset in `texts` of its name."""
    name_length: I64


class Watch(Record):
    """What is known of a service, in a cache line of its own; one engine writes it."""

    health: I64
    """`Health`; written by the engine that monitors it, and set DOWN by any engine that cannot connect."""
    changed_at: I64
    failures: I64
    """Probes failed in a row."""
    successes: I64
    probe_at: I64
    """When the next probe is due; any engine may set it to "at once"."""
    probes: I64
    failed_probes: I64
    pad: I64


vserver_at = pointer_to(Vserver)
binding_at = pointer_to(Binding)
service_at = pointer_to(Service)
watch_at = pointer_to(Watch)
_VSERVER: Final = size_of(Vserver)
_BINDING: Final = size_of(Binding)
_SERVICE: Final = size_of(Service)
_WATCH: Final = size_of(Watch)
HEALTH_OFFSET: Final = offset_of(Watch, "health")
NO_VSERVER: Final = -1
ANY_PORT: Final = 0
_SLOT: Final = 4


@kernel
def vserver_of(base: int, index: int) -> Vserver:
    """Return a vServer by its number."""
    if CHECKED:
        check_index(index, arena_at(base).vserver_count)
    return vserver_at(base + arena_at(base).vservers + arena_at(base).bank + index * _VSERVER)


@kernel
def vserver_in(base: int, bank: int, index: int) -> Vserver:
    """Return a vServer of a bank by its number."""
    if CHECKED:
        check_index(index, arena_at(base).vserver_count)
    return vserver_at(base + arena_at(base).vservers + bank + index * _VSERVER)


@kernel
def binding_of(base: int, index: int) -> Binding:
    """Return a binding by its number."""
    if CHECKED:
        check_index(index, arena_at(base).binding_count)
    return binding_at(base + arena_at(base).bindings + index * _BINDING)


@kernel
def service_of(base: int, index: int) -> Service:
    """Return a service by its number."""
    if CHECKED:
        check_index(index, arena_at(base).service_count)
    return service_at(base + arena_at(base).services + arena_at(base).bank + index * _SERVICE)


@kernel
def watch_of(base: int, index: int) -> Watch:
    """Return what is known of a service by its number."""
    if CHECKED:
        check_index(index, arena_at(base).service_count)
    return watch_at(base + arena_at(base).watches + index * _WATCH)


@kernel
def _index_slot(base: int, bank: int, place: int) -> int:
    arena = arena_at(base)
    return base + arena.vserver_index + bank + (place & (arena.vserver_index_size - 1)) * _SLOT


@kernel
def find_vserver(base: int, high: int, low: int, port: int, is_udp: int) -> int:
    """Return the number of the vServer at an address and port, or NO_VSERVER. One of protocol ANY is at UDP port 0."""
    bank = bank_in_force(base)  # once: index and rows have to be of the same
    place = mix(high, low, port << 1 | is_udp)
    entry = load32(_index_slot(base, bank, place))
    while entry:
        vserver = vserver_in(base, bank, entry - 1)
        matches = vserver.low == low and vserver.high == high and vserver.port == port
        if matches and (vserver.protocol >= VserverProtocol.UDP) == (is_udp != 0):
            return entry - 1
        place += 1
        entry = load32(_index_slot(base, bank, place))
    return NO_VSERVER


@kernel
def find_any(base: int, high: int, low: int) -> int:
    """Return the number of the vServer of protocol ANY at an address, or NO_VSERVER."""
    return find_vserver(base, high, low, ANY_PORT, 1)


@kernel
def find_datagram_vserver(base: int, high: int, low: int, port: int) -> int:
    """Return the number of the vServer for a datagram, the port's own or that for any, or NO_VSERVER."""
    vserver = find_vserver(base, high, low, port, 1)
    return vserver if vserver != NO_VSERVER or port == ANY_PORT else find_any(base, high, low)


@entry_kernel
def index_vserver(base: int, bank: int, index: int) -> int:
    """Control code: enter a written vServer record of a bank that is not in force yet in its look-up index."""
    vserver = vserver_in(base, bank, index)
    is_udp = 1 if vserver.protocol >= VserverProtocol.UDP else 0
    place = mix(vserver.high, vserver.low, vserver.port << 1 | is_udp)
    while load32(_index_slot(base, bank, place)):
        place += 1
    return store32(_index_slot(base, bank, place), index + 1)
