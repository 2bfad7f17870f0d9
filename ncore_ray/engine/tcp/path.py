"""How long a connection's segments may be: what routers say of the way (RFC 1191, RFC 8201), and what gets through.

`mss` is at the most what both ends agreed on. It becomes smaller when a router says that a segment was too long, when
full ones get no answer at all (a black hole), or when the way to the peer is known. After ten minutes, or at once where
nobody has said how narrow the way is, it is tried to become larger again: by a segment of data that is longer than the
others, whose loss tells nothing of congestion (RFC 4821 §7). Errors never make it larger.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.connection import Tcb
from ncore_ray.engine.ip.paths import LIFETIME_US, NO_PATH, find_path, forget_path, lower_path, note_path, path_at
from ncore_ray.engine.partition import Engine, counters_of
from ncore_ray.engine.tcp.sequence import seq_diff, seq_lt
from ncore_ray.engine.tcp.state import Sack, Search
from ncore_ray.engine.tcp.timestamps import options_length
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.settings import MtuProbing
from ncore_ray.wire.address import is_ipv4
from ncore_ray.wire.ip import ip_header
from ncore_ray.wire.ipv4 import LEAST_PATH_MTU, PROTOCOL_TCP
from ncore_ray.wire.ipv6 import LEAST_MTU
from ncore_ray.wire.tcp import TCP_HEADER

_BASE_MSS: Final = 1_024
"""Payload with which a search begins (RFC 4821 §7.2), as in Linux."""
_SILENCES: Final = 3
"""Time-outs in a row that make a black hole suspected, as in Linux (tcp_retries1); twice as many, a narrower one."""
_NEAR: Final = 8
"""Bytes that are not worth another probe."""
_FOLLOWERS: Final = 3
"""Segments behind a probe, by whose arrival its loss is found out."""
_PAUSE_US: Final = 1_000_000
"""From a black hole, or a probe of which nothing is known, to the next probe."""


@kernel
def _headers(tcb: Tcb) -> int:
    return ip_header(tcb.remote_high, tcb.remote_low) + TCP_HEADER + options_length(tcb)


@kernel
def least_path_mtu(tcb: Tcb) -> int:
    """Return the bytes of a packet that every way is taken to let through."""
    return LEAST_PATH_MTU if is_ipv4(tcb.remote_high, tcb.remote_low) else LEAST_MTU


@kernel
def _base(tcb: Tcb) -> int:
    """Return the payload that a search begins with."""
    return max(_BASE_MSS, least_path_mtu(tcb) - _headers(tcb))


@kernel
def begin_path(engine: Engine, tcb: Tcb) -> int:
    """Take what both ends agreed on, which stands in `mss`, and what is known of the way to the peer."""
    tcb.mss_agreed = tcb.mss
    tcb.mtu_search = Search.NONE
    tcb.probe_length = 0
    place = find_path(engine, tcb.remote_high, tcb.remote_low, PROTOCOL_TCP)
    if place != NO_PATH:
        known = path_at(place)
        if known.mtu - _headers(tcb) < tcb.mss:
            tcb.mss = known.mtu - _headers(tcb)
            tcb.mtu_search = Search.HELD
            tcb.probe_at = known.noted_at + LIFETIME_US
            counters_of(engine).path_mtu_known += 1
    elif engine.mtu_probing == MtuProbing.ALWAYS and _base(tcb) < tcb.mss:
        tcb.mss = _base(tcb)
        _search(tcb, engine.now)
    return 0


@kernel
def _search(tcb: Tcb, at: int) -> int:
    """Try from an instant on what the way takes: all at first, then by halves."""
    tcb.mtu_search = Search.CEILING
    tcb.mss_ceiling = tcb.mss_agreed
    tcb.probe_length = 0
    tcb.probe_at = at
    return 0


@kernel
def _hold(engine: Engine, tcb: Tcb) -> int:
    """Let segments be as long as they are, for ten minutes or for good."""
    tcb.mtu_search = Search.HELD if tcb.mss < tcb.mss_agreed else Search.NONE
    tcb.probe_length = 0
    tcb.probe_at = engine.now + LIFETIME_US
    return 0


@kernel
def shrink(engine: Engine, tcb: Tcb, mtu: int) -> int:
    """Take a router's word of the longest packet; return 1 if segments have to become smaller for it."""
    payload = mtu - _headers(tcb)
    if payload >= tcb.mss:
        counters_of(engine).path_mtu_repeated += 1
        return 0
    tcb.mss = payload
    _hold(engine, tcb)
    counters_of(engine).path_mtu_reductions += 1
    lower_path(engine, tcb.remote_high, tcb.remote_low, PROTOCOL_TCP, mtu)
    return 1


@kernel
def is_of_probe(tcb: Tcb, sequence: int) -> int:
    """Return 1 if a sequence number is of the probe in flight."""
    if tcb.probe_length == 0:
        return 0
    return 1 if 0 < seq_diff(tcb.probe_end, sequence) <= tcb.probe_length else 0


@kernel
def refuse_probe(engine: Engine, tcb: Tcb, mtu: int) -> int:
    """A router says how much shorter than the probe a packet has to be; return 0 if it says nothing of use."""
    payload = mtu - _headers(tcb)
    if payload < tcb.mss or payload >= tcb.probe_length:
        return 0
    tcb.mss_ceiling = payload
    tcb.mtu_search = Search.CEILING
    return _probe_lost(engine, tcb)


@kernel
def fail_probe(engine: Engine, tcb: Tcb) -> int:
    """The probe was lost, and nothing but it: the way takes less."""
    tcb.mss_ceiling = tcb.probe_length - 1
    tcb.mtu_search = Search.MIDDLE
    return _probe_lost(engine, tcb)


@kernel
def _probe_lost(engine: Engine, tcb: Tcb) -> int:
    tcb.probe_length = 0
    counters_of(engine).path_mtu_probes_lost += 1
    return 1


@kernel
def forget_probe(tcb: Tcb, now: int) -> int:
    """What is in flight may go out again in other segments: nothing will tell of the probe; another one goes later."""
    if tcb.probe_length:
        tcb.probe_length = 0
        tcb.probe_at = now + _PAUSE_US
    return 0


@kernel
def suspect_black_hole(engine: Engine, tcb: Tcb) -> int:
    """Make segments smaller when long ones had no answer some times in a row (RFC 4821 §7.7); called at a time-out."""
    if engine.mtu_probing == MtuProbing.OFF or tcb.retransmissions % _SILENCES:
        return 0
    least = least_path_mtu(tcb) - _headers(tcb)
    size = _base(tcb) if tcb.mss > _base(tcb) else least
    if size >= min(tcb.mss, seq_diff(tcb.snd_max, tcb.snd_una)):
        return 0  # what went out and got no answer was short
    tcb.mss = size
    tcb.mtu_search = Search.SUSPECTED
    counters_of(engine).path_mtu_suspicions += 1
    return 1


@kernel
def _believe_black_hole(engine: Engine, tcb: Tcb) -> int:
    """A smaller segment got an answer: not the peer was silent, but the way too narrow."""
    counters_of(engine).path_mtu_black_holes += 1
    lower_path(engine, tcb.remote_high, tcb.remote_low, PROTOCOL_TCP, tcb.mss + _headers(tcb))
    return _search(tcb, engine.now + _PAUSE_US)


@kernel
def _take_arrival(engine: Engine, tcb: Tcb) -> int:
    """The probe has arrived: the way takes so much."""
    counters_of(engine).path_mtu_probes_arrived += 1
    tcb.mss = tcb.probe_length
    tcb.probe_length = 0
    if tcb.mss < tcb.mss_agreed:
        return note_path(engine, tcb.remote_high, tcb.remote_low, PROTOCOL_TCP, tcb.mss + _headers(tcb))
    return forget_path(engine, tcb.remote_high, tcb.remote_low, PROTOCOL_TCP)


@kernel
def _end_hold(engine: Engine, tcb: Tcb) -> int:
    """Ten minutes are over: full segments again, or probes where these are allowed (RFC 1191 §6.3, RFC 8201 §4)."""
    if engine.mtu_probing != MtuProbing.OFF:
        return _search(tcb, engine.now)
    tcb.mss = tcb.mss_agreed
    tcb.mtu_search = Search.NONE
    counters_of(engine).path_mtu_raises += 1
    return 0


@kernel
def next_probe(engine: Engine, tcb: Tcb) -> int:
    """Return the payload of the probe that may go out now, or 0; what became of the last one is noted first."""
    if tcb.probe_length:
        if seq_lt(tcb.snd_una, tcb.probe_end):
            return 0
        _take_arrival(engine, tcb)
    if tcb.mtu_search == Search.SUSPECTED and tcb.retransmissions == 0:
        _believe_black_hole(engine, tcb)
    if tcb.mtu_search == Search.SUSPECTED or engine.now < tcb.probe_at or not _is_calm(tcb):
        return 0
    if tcb.mtu_search == Search.HELD:
        _end_hold(engine, tcb)
    elif engine.mtu_probing == MtuProbing.OFF or tcb.mss_ceiling - tcb.mss < _NEAR:
        _hold(engine, tcb)
    if tcb.mtu_search < Search.CEILING:
        return 0
    return tcb.mss_ceiling if tcb.mtu_search == Search.CEILING else (tcb.mss + tcb.mss_ceiling + 1) >> 1


@kernel
def _is_calm(tcb: Tcb) -> int:
    """Return 1 if nothing is being repaired, so that the loss of a probe would be seen for what it is."""
    if tcb.in_recovery or tcb.sacked_bytes or tcb.duplicate_acks or tcb.sack_permitted == Sack.BLIND:
        return 0
    return 1 if not tcb.probing and tcb.snd_nxt == tcb.snd_max else 0


@kernel
def room_for_probe(tcb: Tcb, length: int) -> int:
    """Return the bytes that have to be there, and to be allowed, for a probe and some segments behind it."""
    return length + _FOLLOWERS * tcb.mss


@kernel
def note_probe(engine: Engine, tcb: Tcb, length: int) -> int:
    """Note that the segment of ``length`` bytes up to SND.NXT is a probe."""
    tcb.probe_length = length
    tcb.probe_end = tcb.snd_nxt
    counters_of(engine).path_mtu_probes += 1
    return 0
