"""What becomes of a SYN, and of an acknowledgment that may bring back a cookie.

A SYN gets a record of the connection table while there are few handshakes under way, at the engine and of its vServer;
beyond that a cookie, or nothing (`syn_cookies`). A record that is needed for somebody who has proven to be there is
taken from the oldest handshake (`make_room`): a flood of SYNs stands in nobody's way.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ncore_ray.engine.connection import tcb_of
from ncore_ray.engine.handshake.answer import answer_with_cookie
from ncore_ray.engine.handshake.cookie import NO_DATA, read_cookie, restore_options
from ncore_ray.engine.orphans import oldest_idle_orphan
from ncore_ray.engine.partition import Engine, base_of, counters_of, vserver_stats
from ncore_ray.engine.splice.opening import begin_splice
from ncore_ray.engine.tcp.accept import takes_no_more
from ncore_ray.engine.tcp.sequence import seq_add
from ncore_ray.engine.tcp.user import (
    evict_orphan,
    has_spare,
    number_from,
    open_passive,
    take_or_evict,
    take_or_recycle,
)
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.service import NO_VSERVER, CookieMode, VserverProtocol, find_vserver, vserver_of
from ncore_ray.wire.packet import Packet

NO_COOKIE: Final = -1


class Admission(IntEnum):
    """What a SYN gets."""

    RECORD = 0
    COOKIE = 1
    TOO_MANY_HANDSHAKES = 2
    TOO_MANY_CONNECTIONS = 3


@kernel
def judge_syn(engine: Engine, vserver: int) -> int:
    """Return the `Admission` of a SYN to a vServer."""
    record = vserver_of(base_of(engine), vserver)
    if record.connection_limit and takes_no_more(engine, vserver):
        return Admission.TOO_MANY_CONNECTIONS
    if record.syn_cookies == CookieMode.ALWAYS:
        return Admission.COOKIE
    own = record.half_open_limit
    if engine.half_open < engine.half_open_limit and (own == 0 or vserver_stats(engine, vserver).half_open < own):
        return Admission.RECORD
    return Admission.COOKIE if record.syn_cookies == CookieMode.AUTO else Admission.TOO_MANY_HANDSHAKES


@kernel
def begin_handshake(engine: Engine, packet: Packet, vserver: int, reborn: int) -> int:
    """Take a SYN to a vServer; return the number plus 1 of the connection that it began, or 0.

    ``reborn``: it takes the place of one in TIME-WAIT. That gets a record, as it did before: a cookie might be a number
    that the former one has used.
    """
    admission = judge_syn(engine, vserver)
    if reborn and admission != Admission.TOO_MANY_CONNECTIONS:
        admission = Admission.RECORD
    if admission == Admission.COOKIE:
        return answer_with_cookie(engine, packet, vserver)
    if admission != Admission.RECORD:
        return _refuse(engine, vserver, admission)
    number = take_or_recycle(engine)
    with_cookies = vserver_of(base_of(engine), vserver).syn_cookies == CookieMode.AUTO
    if number == 0 and with_cookies and (engine.half_open or engine.orphan_first):
        return answer_with_cookie(engine, packet, vserver)  # who answers it may have the place of one of them
    if number == 0 and evict_orphan(engine, oldest_idle_orphan(engine)):
        number = take_or_recycle(engine)
    if number:
        counters_of(engine).used_tcp_packets += 1
        if _is_spliced(engine, vserver) and has_spare(engine):
            return begin_splice(engine, packet, vserver, number)
        return open_passive(engine, packet, vserver, number)
    counters_of(engine).drop_tcp_table_full_packets += 1
    vserver_stats(engine, vserver).refused += 1
    return 0


@kernel
def _is_spliced(engine: Engine, vserver: int) -> int:
    """Return 1 if a SYN to a vServer goes on to a service; of HTTP something has to be read first."""
    record = vserver_of(base_of(engine), vserver)
    return 1 if record.splice and record.protocol == VserverProtocol.TCP else 0


@kernel
def _refuse(engine: Engine, vserver: int, admission: int) -> int:
    vserver_stats(engine, vserver).refused += 1
    if admission == Admission.TOO_MANY_CONNECTIONS:
        counters_of(engine).drop_tcp_connection_limit_packets += 1
    else:
        counters_of(engine).drop_tcp_half_open_limit_packets += 1
    return 0


@kernel
def end_handshake(engine: Engine, packet: Packet) -> int:
    """Make a connection of an acknowledgment that brings back a cookie; return its number plus 1, or NO_COOKIE.

    0: there is no room. The segment is dropped without an answer, and the client says it again with its first data.
    """
    vserver = find_vserver(base_of(engine), packet.destination_high, packet.destination_low, packet.destination_port, 0)
    if vserver == NO_VSERVER:
        return NO_COOKIE
    timestamps = engine.timestamps & packet.has_timestamp
    cookie, first = seq_add(packet.acknowledgment, -1), seq_add(packet.sequence, -1)
    data = read_cookie(engine, packet, cookie, first, timestamps)
    if data == NO_DATA:
        counters_of(engine).syn_cookies_refused += 1
        return NO_COOKIE
    if takes_no_more(engine, vserver):
        counters_of(engine).drop_tcp_connection_limit_packets += 1
        return 0
    number = take_or_evict(engine)
    if number == 0:
        counters_of(engine).drop_tcp_table_full_packets += 1
        return 0
    restore_options(packet, data, timestamps)
    return _revive(engine, packet, vserver, number, cookie)


@kernel
def _revive(engine: Engine, packet: Packet, vserver: int, number: int, cookie: int) -> int:
    """Let a connection be as if the SYN had made it; what ends the handshake takes it on from there."""
    sequence = packet.sequence
    packet.sequence = seq_add(sequence, -1)
    open_passive(engine, packet, vserver, number)
    packet.sequence = sequence
    tcb = tcb_of(engine, number - 1)
    number_from(tcb, cookie)
    tcb.snd_nxt = tcb.snd_max = seq_add(cookie, 1)
    counters_of(engine).syn_cookies_accepted += 1
    return number
