"""CUBIC congestion avoidance (RFC 9438), in bytes and µs.

The window follows a cubic function of the time since the last loss: fast towards where that loss was, slowly past it,
and then ever faster. Short ways and small windows are left to what Reno would do (§4.3).
"""

from __future__ import annotations

from typing import Final

from ncore_ray.engine.connection import CONTROL_OFFSET, Tcb
from ncore_ray.engine.tcp.sequence import seq_diff
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.record import I64, Record, address_of, pointer_to

_C: Final = 0.4
"""Segments per second cubed (§5.1)."""
_BETA: Final = 0.7
_ALPHA: Final = 3.0 * (1.0 - _BETA) / (1.0 + _BETA)
_SECOND_US: Final = 1_000_000.0
_LONGEST_S: Final = 600.0
"""After so long without a loss nothing of the curve is left that could matter."""


class Cubic(Record):
    """What CUBIC keeps of a connection, in `Tcb.control`. Windows are bytes."""

    epoch_at: I64
    """When the present stage of congestion avoidance began, µs; 0: it has not."""
    start: I64
    """The window then (cwnd_epoch of RFC 9438)."""
    reno: I64
    """The window that Reno would have (W_est)."""
    most: I64
    """The window before the last reduction (W_max). The last one, as before any loss HyStart++ uses the others."""


cubic_at = pointer_to(Cubic)


@kernel
def cubic_of(tcb: Tcb) -> Cubic:
    """Return what CUBIC keeps of a connection."""
    return cubic_at(address_of(tcb) + CONTROL_OFFSET)


@kernel
def cubic_begin(tcb: Tcb) -> int:
    """Begin without any loss."""
    cubic = cubic_of(tcb)
    cubic.epoch_at = cubic.start = cubic.most = cubic.reno = 0
    return 0


@kernel
def cubic_restart(tcb: Tcb) -> int:
    """Another stage of congestion avoidance begins with the next acknowledgment."""
    cubic_of(tcb).epoch_at = 0
    return 0


@kernel
def _begin_epoch(tcb: Tcb, cubic: Cubic, now: int) -> int:
    """§4.2: a stage of congestion avoidance begins."""
    cubic.epoch_at = now
    cubic.start = cubic.reno = tcb.cwnd
    cubic.most = max(cubic.most, tcb.cwnd)
    return 0


@kernel
def _curve(tcb: Tcb, cubic: Cubic, seconds: float) -> float:
    """W_cubic(t), bytes (§4.2, equations 1 and 2)."""
    k: float = ((cubic.most - cubic.start) / (tcb.mss * _C)) ** (1.0 / 3.0)
    away = min(seconds, _LONGEST_S) - k
    return cubic.most + _C * away * away * away * tcb.mss


@kernel
def cubic_grow(tcb: Tcb, acked: int, now: int) -> int:
    """Grow the window by an acknowledgment of ``acked`` new bytes in congestion avoidance (§4.2 to §4.5)."""
    cubic = cubic_of(tcb)
    if cubic.epoch_at == 0:
        _begin_epoch(tcb, cubic, now)
    if seq_diff(tcb.snd_max, tcb.snd_una) + acked < tcb.cwnd // 2:
        cubic.epoch_at = 0  # the window is not what holds the sender back: such time does not count (§5.8)
        return 0
    seconds = (now - cubic.epoch_at) / _SECOND_US
    alpha = 1.0 if cubic.reno >= cubic.most else _ALPHA
    cubic.reno += max(int(alpha * tcb.mss * acked / tcb.cwnd), 1)
    if _curve(tcb, cubic, seconds) < cubic.reno:
        tcb.cwnd = max(tcb.cwnd, cubic.reno)  # §4.3
        return 0
    target = _curve(tcb, cubic, seconds + (tcb.srtt >> 3) / _SECOND_US)
    target = min(max(target, float(tcb.cwnd)), 1.5 * tcb.cwnd)
    tcb.cwnd += int((target - tcb.cwnd) * acked / tcb.cwnd)
    return 0


@kernel
def cubic_reduced(tcb: Tcb, flight: int) -> int:
    """Note where the loss was, and return the slow start threshold after it (§4.6, §4.7)."""
    cubic = cubic_of(tcb)
    cubic.epoch_at = 0
    if tcb.cwnd < cubic.most:
        cubic.most = int(tcb.cwnd * (1.0 + _BETA) / 2.0)  # fast convergence: room for newer flows
    else:
        cubic.most = tcb.cwnd
    return max(int(flight * _BETA), 2 * tcb.mss)


@kernel
def cubic_undone(tcb: Tcb) -> int:
    """The reduction was needless: the window is what it was (§4.9)."""
    cubic = cubic_of(tcb)
    cubic.most = max(cubic.most, tcb.cwnd)
    return 0
