"""Errors that say a packet was too long for a link: fragmentation needed, packet too big (RFC 1191, RFC 8201).

What they quote has been found to be of a connection or session. Whether a connection believes them is a matter of the
quoted sequence number: it has to be in flight, which nobody who does not see the packets knows (RFC 5927 §4.1, §7).
"""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.change import begin_change, end_change
from ncore_ray.engine.connection import Tcb, tcb_of
from ncore_ray.engine.ip.paths import lower_path
from ncore_ray.engine.partition import Engine, base_of, counters_of
from ncore_ray.engine.tcp.path import least_path_mtu
from ncore_ray.engine.tcp.resizing import take_too_big
from ncore_ray.engine.tcp.sequence import seq_le, seq_lt
from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.nic import nic_of
from ncore_ray.wire.address import is_ipv4
from ncore_ray.wire.ipv4 import PROTOCOL_UDP

_PLATEAUS: Final = 2_002 | 1_492 << 12 | 1_006 << 24
"""Sizes that are met on links (RFC 1191 §7, table 7-1), 12 bits each; larger ones fit in no frame."""
_PLATEAU_COUNT: Final = 3


@kernel
def take_report(engine: Engine, number: int, sequence: int, mtu: int, length: int) -> int:
    """Take an error about a packet of ``length`` bytes of the connection or session with this number plus 1."""
    tcb = tcb_of(engine, number - 1)
    if tcb.state == TcpState.DATAGRAM:
        return _take_datagram(engine, tcb, mtu, length)
    opening = tcb.state <= TcpState.SYN_RECEIVED  # a SYN gets through everywhere
    if opening or not seq_le(tcb.snd_una, sequence) or not seq_lt(sequence, tcb.snd_max):
        counters_of(engine).path_mtu_bad_sequences += 1
        return 0
    size = _believable(engine, tcb, mtu, length)
    if size == 0:
        return 0
    begin_change(engine, number)
    take_too_big(engine, tcb, sequence, size)
    return end_change(engine)


@kernel
def _take_datagram(engine: Engine, tcb: Tcb, mtu: int, length: int) -> int:
    """What a session's way lets through is known from now on: longer datagrams leave in fragments."""
    size = _believable(engine, tcb, mtu, length)
    if size == 0:
        return 0
    counters_of(engine).path_mtu_datagrams += 1
    if size < nic_of(base_of(engine), tcb.nic).mtu:
        lower_path(engine, tcb.remote_high, tcb.remote_low, PROTOCOL_UDP, size)
    return 0


@kernel
def _believable(engine: Engine, tcb: Tcb, mtu: int, length: int) -> int:
    """Return the MTU to go by: what was told, never less than what each way takes; 0 (counted) if nothing is."""
    least = least_path_mtu(tcb)
    if is_ipv4(tcb.remote_high, tcb.remote_low):
        if mtu == 0:
            mtu = _plateau_below(min(length, nic_of(base_of(engine), tcb.nic).mtu))
        return max(mtu, least)
    if mtu < least:  # RFC 8201 §4: must be discarded
        counters_of(engine).path_mtu_bad_sizes += 1
        return 0
    return mtu


@kernel
def _plateau_below(length: int) -> int:
    """Return the next size below that of a packet which is common on links (RFC 1191 §5); 0: there is none."""
    for place in range(_PLATEAU_COUNT):
        plateau = _PLATEAUS >> 12 * place & 0xFFF
        if plateau < length:
            return plateau
    return 0
