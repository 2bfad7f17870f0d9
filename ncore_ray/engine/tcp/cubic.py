"""CUBIC congestion avoidance (RFC 9438), in bytes and µs.

The window follows a cubic function of the time since the last loss: fast towards where that loss was, slowly past it,
and then ever faster. Short ways and small windows are left to what Reno would do (§4.3).
"""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.connection import Tcb
from ncore_ray.engine.tcp.sequence import seq_diff
from ncore_ray.machine.jit import kernel

_C: Final = 0.4
"""Segments per second cubed (§5.1)."""
_BETA: Final = 0.7
_ALPHA: Final = 3.0 * (1.0 - _BETA) / (1.0 + _BETA)
_SECOND_US: Final = 1_000_000.0
_LONGEST_S: Final = 600.0
"""After so long without a loss nothing of the curve is left that could matter."""


@kernel
def _begin_epoch(tcb: Tcb, now: int) -> int:
    """§4.2: a stage of congestion avoidance begins."""
    tcb.cubic_epoch_at = now
    tcb.cubic_reno = tcb.cwnd
    tcb.cubic_most = max(tcb.cubic_most, tcb.cwnd)
    return 0


@kernel
def _curve(tcb: Tcb, seconds: float) -> float:
    """W_cubic(t), bytes (§4.2, equations 1 and 2)."""
    k: float = ((tcb.cubic_most - tcb.cubic_from) / (tcb.mss * _C)) ** (1.0 / 3.0)
    away = min(seconds, _LONGEST_S) - k
    return tcb.cubic_most + _C * away * away * away * tcb.mss


@kernel
def cubic_grow(tcb: Tcb, acked: int, now: int) -> int:
    """Grow the window by an acknowledgment of ``acked`` new bytes in congestion avoidance (§4.2 to §4.5)."""
    if tcb.cubic_epoch_at == 0:
        tcb.cubic_from = tcb.cwnd
        _begin_epoch(tcb, now)
    if seq_diff(tcb.snd_max, tcb.snd_una) + acked < tcb.cwnd // 2:
        return 0  # the window is not what holds the sender back (§5.8)
    seconds = (now - tcb.cubic_epoch_at) / _SECOND_US
    alpha = 1.0 if tcb.cubic_reno >= tcb.cubic_most else _ALPHA
    tcb.cubic_reno += max(int(alpha * tcb.mss * acked / tcb.cwnd), 1)
    if _curve(tcb, seconds) < tcb.cubic_reno:
        tcb.cwnd = max(tcb.cwnd, tcb.cubic_reno)  # §4.3
        return 0
    target = _curve(tcb, seconds + (tcb.srtt >> 3) / _SECOND_US)
    target = min(max(target, float(tcb.cwnd)), 1.5 * tcb.cwnd)
    tcb.cwnd += int((target - tcb.cwnd) * acked / tcb.cwnd)
    return 0


@kernel
def cubic_reduced(tcb: Tcb, flight: int) -> int:
    """Note where the loss was, and return the slow start threshold after it (§4.6, §4.7)."""
    tcb.cubic_epoch_at = 0
    if tcb.cwnd < tcb.cubic_most:
        tcb.cubic_most = int(tcb.cwnd * (1.0 + _BETA) / 2.0)  # fast convergence: room for newer flows
    else:
        tcb.cubic_most = tcb.cwnd
    return max(int(flight * _BETA), 2 * tcb.mss)
