"""The handshake of a spliced pair: a service is chosen for the client's SYN, and its answer is the client's.

SYNs are written anew from the options that both ends have to agree on, which nobody can change later: segment size,
window scale, selective acknowledgments, timestamps, ECN. All others are left out: they are about addresses that
the other end does not see (Fast Open, Multipath TCP). Each side gets initial numbers and timestamps of the appliance's
own, so that the ports of either can be used again as those of any connection (RFC 9293 §3.4.1, RFC 6191).
"""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.balance.choose import NO_SERVICE, choose_service
from ncore_ray.engine.connection import (
    Role,
    Tcb,
    Work,
    index_connection,
    make_ports,
    mark,
    peer_of,
    release_connection,
    tcb_of,
)
from ncore_ray.engine.half_open import enter_half_open
from ncore_ray.engine.ip.header import headers_to, pseudo_to, write_headers_to
from ncore_ray.engine.lifecycle import destroy
from ncore_ray.engine.monitor.health import connect_failed
from ncore_ray.engine.partition import Engine, base_of, counters_of, service_stats, vserver_stats
from ncore_ray.engine.proxy.relay import pair
from ncore_ray.engine.splice.words import words_of
from ncore_ray.engine.tcp.rtt import INITIAL_RTO_US
from ncore_ray.engine.tcp.segment import answer_reset, mss_limit_of, send_reset, told_mss
from ncore_ray.engine.tcp.sequence import seq_add
from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.engine.tcp.user import address_active, choose_port, initial_sequence, take_or_recycle
from ncore_ray.engine.transmit import SPARE_SLOTS, header_address, resolve, slot_of, slots_left, take_slot
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.route import NO_ROUTE
from ncore_ray.tables.service import service_of, vserver_of
from ncore_ray.tables.settings import EcnUse
from ncore_ray.wire.address import is_ipv4
from ncore_ray.wire.ipv4 import PROTOCOL_TCP
from ncore_ray.wire.packet import Packet
from ncore_ray.wire.tcp import (
    ACK,
    CWR,
    ECE,
    NO_FAST_OPEN,
    SYN,
    TCP_HEADER,
    finish_tcp_checksum,
    write_syn_options,
    write_tcp,
    write_timestamps,
)

TICK_BITS: Final = 10
"""Timestamps of ours count in ticks of 1,024 µs."""
_DEFAULT_MSS: Final = 536
_DEFAULT_MSS6: Final = 1_220
_LEAST_MSS: Final = 64
_RESOLVE_RETRY_US: Final = 2_000
_MOST_DOUBLINGS: Final = 7
ANSWER_US: Final = 30_000_000
"""How long a client may take to acknowledge a service's answer."""


@kernel
def begin_splice(engine: Engine, packet: Packet, vserver: int, number: int) -> int:
    """Begin a spliced pair for a SYN, with a fresh record for the client's side; return its number plus 1.

    0: no service takes it, and the client is refused. Data with the SYN are left to be sent again.
    """
    client = tcb_of(engine, number - 1)
    packet.fast_open = NO_FAST_OPEN
    _fill_client(engine, client, packet, vserver)
    if not _open_server(engine, client, NO_SERVICE):
        vserver_stats(engine, vserver).errors += 1
        answer_reset(engine, packet)
        destroy(engine, client)
        return 0
    client.state = TcpState.SPLICE_OPENING
    enter_half_open(engine, client)
    return number


@kernel
def _fill_client(engine: Engine, client: Tcb, packet: Packet, vserver: int) -> int:
    client.role = Role.CLIENT
    client.vserver = vserver
    client.remote_high, client.remote_low = packet.source_high, packet.source_low
    client.local_high, client.local_low = packet.destination_high, packet.destination_low
    client.ports = make_ports(packet.source_port, packet.destination_port, PROTOCOL_TCP)
    client.nic = packet.nic
    client.remote_mac = packet.ethernet_source
    client.route = NO_ROUTE
    client.iss = initial_sequence(engine, client)
    take_syn(engine, client, packet)
    client.ecn = 1 if engine.ecn != EcnUse.NEVER and packet.flags & (ECE | CWR) == ECE | CWR else 0
    index_connection(engine, client)
    counters_of(engine).connections_accepted += 1
    vserver_stats(engine, vserver).connections += 1
    vserver_stats(engine, vserver).total_connections += 1
    return 0


@kernel
def take_syn(engine: Engine, tcb: Tcb, packet: Packet) -> int:
    """Take what a host's SYN says."""
    default = _DEFAULT_MSS if is_ipv4(tcb.remote_high, tcb.remote_low) else _DEFAULT_MSS6
    offered = packet.option_mss if packet.option_mss else default
    most = told_mss(engine, tcb.nic, tcb.remote_high, tcb.remote_low, mss_limit_of(engine, tcb))
    tcb.mss = max(min(offered, most), _LEAST_MSS)
    tcb.irs = packet.sequence
    tcb.rcv_nxt = seq_add(packet.sequence, 1)
    tcb.snd_scale = packet.option_window_scale
    tcb.sack_permitted = engine.sack & packet.option_sack_permitted
    tcb.timestamps = packet.has_timestamp
    tcb.ts_recent = packet.timestamp if packet.has_timestamp else 0
    tcb.snd_wnd = packet.window  # never scaled in a SYN
    tcb.max_window = packet.window
    tcb.last_received_at = engine.now
    return 0


@kernel
def _open_server(engine: Engine, client: Tcb, avoid: int) -> int:
    """Let the client's SYN go to a service; return the number plus 1 of the other side, or 0."""
    service = choose_service(engine, client.vserver, avoid)
    if service == NO_SERVICE or service_of(base_of(engine), service).route < 0:
        return 0
    number = take_or_recycle(engine)
    if number == 0:
        return 0
    server = tcb_of(engine, number - 1)
    server.role = Role.MONITOR  # counted for its true role only when it is sure to stay
    address_active(engine, server, service)
    if not choose_port(engine, server, service_of(base_of(engine), service).port, PROTOCOL_TCP):
        release_connection(engine, server)
        return 0
    server.role = Role.SERVER
    index_connection(engine, server)
    pair(engine, client, server)
    return _begin_server(engine, client, server)


@kernel
def _begin_server(engine: Engine, client: Tcb, server: Tcb) -> int:
    """Number the other side, and send the SYN; return its number plus 1."""
    server.state = TcpState.SPLICE_OPENING
    server.iss = server.snd_una = initial_sequence(engine, server)
    server.snd_max = seq_add(server.iss, 1)
    words_of(client).sequence_shift = seq_add(server.iss, -client.irs)
    words_of(client).timestamp_shift = seq_add(server.iss + (engine.now >> TICK_BITS), -client.ts_recent)
    counters_of(engine).connections_opened += 1
    stats = service_stats(engine, server.service)
    stats.connections += 1
    stats.total_connections += 1
    try_syn(engine, server)
    mark(engine, server, Work.OUTPUT)
    return client.peer


@kernel
def try_syn(engine: Engine, server: Tcb) -> int:
    """Send the client's SYN to the service, or look soon again for the way there; the timer is set for the next."""
    if slots_left(engine) <= SPARE_SLOTS or not resolve(engine, server):
        delay = _RESOLVE_RETRY_US << min(server.unresolved >> 3, _MOST_DOUBLINGS)
        server.unresolved = min(server.unresolved + 1, 255)
    else:
        client = peer_of(engine, server)
        offers = 1 if client.ecn and server.retransmissions == 0 else 0  # RFC 3168 §6.1.1.1
        relay_syn(engine, client, server, SYN | ECE | CWR if offers else SYN)
        delay = max(INITIAL_RTO_US, engine.min_rto_us) << min(server.retransmissions, _MOST_DOUBLINGS)
        server.retransmissions += 1
    server.application_at = engine.now + delay
    return 0


@kernel
def relay_syn(engine: Engine, source: Tcb, target: Tcb, flags: int) -> int:
    """Make a SYN, with or without ACK, that says to one side what the other has said."""
    limit = told_mss(engine, target.nic, target.remote_high, target.remote_low, mss_limit_of(engine, target))
    source.mss = max(min(source.mss, limit), _LEAST_MSS)
    before = headers_to(target)
    index = take_slot(engine, target.nic, before)
    start = header_address(engine, index)
    options = start + before + TCP_HEADER
    length = TCP_HEADER + write_syn_options(options, source.mss, source.snd_scale, source.sack_permitted)
    if source.timestamps:
        value = seq_add(source.ts_recent, words_of(source).timestamp_shift)
        length += write_timestamps(options - TCP_HEADER + length, value, target.ts_recent if flags & ACK else 0)
    slot_of(engine, index).header_length = before + length
    at = start + write_headers_to(engine, target, start, PROTOCOL_TCP, length)
    acknowledgment = seq_add(target.irs, 1) if flags & ACK else 0  # even if it has sent more: this may be a repetition
    window = min(source.snd_wnd, 0xFFFF)
    write_tcp(at, target.ports >> 8 & 0xFFFF, target.ports >> 24, target.iss, acknowledgment, flags, window, length)
    return finish_tcp_checksum(at, length, pseudo_to(target, PROTOCOL_TCP, length))


@kernel
def take_answer(engine: Engine, client: Tcb, server: Tcb, packet: Packet) -> int:
    """A service has taken the SYN: its answer, by which all numbers are settled, goes to the client."""
    take_syn(engine, server, packet)
    server.sack_permitted &= client.sack_permitted
    server.timestamps &= client.timestamps
    server.ecn = 1 if client.ecn and packet.flags & (ECE | CWR) == ECE else 0
    if client.snd_scale < 0 or server.snd_scale < 0:  # both or none (RFC 7323 §2.2)
        client.snd_scale = server.snd_scale = -1
    client.rcv_scale, server.rcv_scale = server.snd_scale, client.snd_scale
    words_of(server).sequence_shift = seq_add(client.iss, -server.irs)
    words_of(server).timestamp_shift = seq_add(client.iss + (engine.now >> TICK_BITS), -server.ts_recent)
    server.snd_una = seq_add(server.iss, 1)
    client.snd_una, client.snd_max = client.iss, seq_add(client.iss, 1)
    client.rcv_edge = seq_add(client.rcv_nxt, server.snd_wnd)
    server.rcv_edge = seq_add(server.rcv_nxt, client.snd_wnd)
    client.state = server.state = TcpState.SPLICE_ANSWERED
    server.application_at = client.application_at = engine.now + ANSWER_US
    mark(engine, client, Work.OUTPUT)
    mark(engine, server, Work.OUTPUT)
    return answer_client(engine, client, server)


@kernel
def answer_client(engine: Engine, client: Tcb, server: Tcb) -> int:
    """Say to the client, once more maybe, what the service has answered."""
    if slots_left(engine) == 0:
        return 0
    return relay_syn(engine, server, client, SYN | ACK | ECE if server.ecn else SYN | ACK)


@kernel
def try_another(engine: Engine, server: Tcb) -> int:
    """A service has refused, or not answered: try another one, or refuse the client."""
    client = peer_of(engine, server)
    failed = server.service
    connect_failed(engine, failed)
    counters_of(engine).connections_refused += 1
    destroy(engine, server)
    client.attempts += 1
    if client.attempts <= vserver_of(base_of(engine), client.vserver).bindings and _open_server(engine, client, failed):
        return 1
    vserver_stats(engine, client.vserver).errors += 1
    if slots_left(engine):
        send_reset(engine, client)
    return destroy(engine, client)


@kernel
def syn_timeout(engine: Engine, server: Tcb) -> int:
    """A service has not answered in time: say the SYN again, or give up."""
    limit = vserver_of(base_of(engine), server.vserver).connect_us
    if server.retransmissions > engine.syn_retries or engine.now - server.created_at >= limit:
        return try_another(engine, server)
    try_syn(engine, server)
    server.application_at = min(server.application_at, server.created_at + limit)
    return 0
