"""BBR, version 1: the rate and the window follow a model of the way (draft-cardwell-iccrg-bbr-congestion-control-00).

The model is two figures: the largest rate of delivery of the last ten round trips, and the least round-trip time of the
last ten seconds. Losses do not change it, so a way that loses by chance is still filled; a queue is not, or hardly.
Segments are always paced.

Rates are bytes per second, times µs, gains 256ths.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final

import numpy as np

from ncore_ray.engine.connection import Tcb
from ncore_ray.engine.partition import Engine
from ncore_ray.engine.tcp.blocks import block_address, take_block
from ncore_ray.engine.tcp.rate import RATE_ROOM, Rate, note_idle, rate_begin, rate_of, take_sample_of_rate
from ncore_ray.engine.tcp.scoreboard import in_flight
from ncore_ray.engine.tcp.state import Recovery
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load64, store64
from ncore_ray.machine.record import I64, Record, address_of, offset_of, pointer_to, size_of

_UNIT: Final = 256
_HIGH_GAIN: Final = 739
"""2/ln 2: the least that doubles the rate in each round trip (§4.1.1.1 of the draft)."""
_DRAIN_GAIN: Final = 88
_WINDOW_GAIN: Final = 2 * _UNIT
_PROBE_GAIN: Final = 320
_LEAVE_GAIN: Final = 192
_PHASES: Final = 8
"""Of a gain cycle: one above the rate, one below it, and six at it (§4.3.4)."""
_ROUNDS: Final = 10
"""BtlBwFilterLen."""
_RTT_LASTS_US: Final = 10_000_000
_PROBE_RTT_US: Final = 200_000
_LEAST_SEGMENTS: Final = 4
_ROUNDS_WITHOUT_GROWTH: Final = 3
_SECOND_US: Final = 1_000_000
_SLOW: Final = 150_000
_MEDIUM: Final = 3_000_000
_MOST_QUANTUM: Final = 64 << 10
_FIRST_RTT_US: Final = 1_000


class Mode(IntEnum):
    """What BBR is doing (§3.4)."""

    STARTUP = 0
    """The rate doubles in each round trip, until it does not help."""
    DRAIN = 1
    """The queue that this has made goes away."""
    PROBE_BANDWIDTH = 2
    PROBE_RTT = 3
    """Nearly nothing is sent for a moment, so that the way shows its round-trip time without a queue."""


Rounds = Annotated[int, np.dtype(("<i8", (_ROUNDS,)))]


class Bbr(Record):
    """The model and the control of one connection."""

    mode: I64
    """`Mode`"""
    bandwidth: I64
    """BBR.BtlBw: the largest of `rates`."""
    rates: Rounds
    """The largest sample of each of the last rounds, by the round's number."""
    round: I64
    """BBR.round_count"""
    next_round: I64
    """The round ends with what is sent after so much was delivered (BBR.next_round_delivered)."""
    round_begins: I64
    """1: with the acknowledgment at hand a round began (BBR.round_start)."""
    least_rtt: I64
    """BBR.RTprop; 0: none is known."""
    least_rtt_at: I64
    filled: I64
    """1: the rate was found that the way has (BBR.filled_pipe)."""
    full_bandwidth: I64
    full_rounds: I64
    phase: I64
    """Of the gain cycle (BBR.cycle_index)."""
    phase_at: I64
    probe_done_at: I64
    """When PROBE_RTT may end; 0: the flight is not small yet."""
    probe_round_done: I64
    prior_window: I64
    """The window before PROBE_RTT, or before a recovery."""
    recovering: I64
    """1: a recovery, or a time-out, is noted."""
    conserving: I64
    """1: its first round, in which no more goes out than arrives (BBR.packet_conservation)."""
    idle: I64
    """1: sending began again after a pause (BBR.idle_restart)."""
    pacing_gain: I64
    window_gain: I64
    window: I64
    """Bytes: what `Tcb.cwnd` is set to by each acknowledgment."""
    pacing_rate: I64


bbr_at = pointer_to(Bbr)
_BBR_OFFSET: Final = size_of(Rate)
_RATES: Final = offset_of(Bbr, "rates")
assert _BBR_OFFSET + size_of(Bbr) <= RATE_ROOM


@kernel
def bbr_of(engine: Engine, tcb: Tcb) -> Bbr:
    """Return the model of a connection that has a block."""
    return bbr_at(block_address(engine, tcb.rate_block) + _BBR_OFFSET)


@kernel
def bbr_begin(engine: Engine, tcb: Tcb) -> int:
    """Begin in STARTUP; return 0 if there is no room for a model."""
    tcb.rate_block = take_block(engine)
    if tcb.rate_block == 0:
        return 0
    rate_begin(engine, tcb)
    bbr = bbr_of(engine, tcb)
    for round in range(_ROUNDS):
        store64(address_of(bbr) + _RATES + 8 * round, 0)
    bbr.bandwidth = bbr.round = bbr.next_round = bbr.round_begins = 0
    bbr.least_rtt = tcb.srtt >> 3
    bbr.least_rtt_at = engine.now
    bbr.filled = bbr.full_bandwidth = bbr.full_rounds = 0
    bbr.probe_done_at = bbr.probe_round_done = 0
    bbr.prior_window = bbr.recovering = bbr.conserving = bbr.idle = 0
    bbr.window = tcb.cwnd
    _enter_startup(bbr)
    rtt = tcb.srtt >> 3
    bbr.pacing_rate = _times(tcb.cwnd * _SECOND_US // (rtt if rtt else _FIRST_RTT_US), bbr.pacing_gain)
    return 1


@kernel
def _times(value: int, gain: int) -> int:
    return value * gain // _UNIT


@kernel
def bbr_acknowledged(engine: Engine, tcb: Tcb) -> int:
    """Take an acknowledgment that was processed otherwise; set the window and the rate (BBRUpdateOnACK)."""
    take_sample_of_rate(engine, tcb)
    rate, bbr = rate_of(engine, tcb), bbr_of(engine, tcb)
    _update_round(bbr, rate)
    _update_bandwidth(bbr, rate)
    if bbr.mode == Mode.PROBE_BANDWIDTH:
        _advance_cycle(engine, tcb, bbr)
    _check_full(bbr, rate)
    _check_drain(engine, tcb, bbr)
    _update_rtt(engine, tcb, bbr, rate)
    if engine.delivered:
        bbr.idle = 0
    _set_rate(bbr)
    _set_window(engine, tcb, bbr, rate)
    return 0


@kernel
def _update_round(bbr: Bbr, rate: Rate) -> int:
    """§4.1.1.3: a round is what is sent until all is known to have arrived that had been sent when it began."""
    bbr.round_begins = 0
    if rate.sample and rate.sample_prior >= bbr.next_round:
        bbr.next_round = rate.delivered
        bbr.round += 1
        bbr.round_begins = 1
        bbr.conserving = 0
        store64(address_of(bbr) + _RATES + 8 * (bbr.round % _ROUNDS), 0)
        bbr.bandwidth = _largest(bbr)
    return 0


@kernel
def _largest(bbr: Bbr) -> int:
    most = 0
    for round in range(_ROUNDS):
        most = max(most, load64(address_of(bbr) + _RATES + 8 * round))
    return most


@kernel
def _update_bandwidth(bbr: Bbr, rate: Rate) -> int:
    """§4.1.1.4: samples of a sender that had nothing to send count only if they are larger than what is known."""
    if rate.sample == 0 or (rate.sample_limited and rate.sample < bbr.bandwidth):
        return 0
    word = address_of(bbr) + _RATES + 8 * (bbr.round % _ROUNDS)
    store64(word, max(load64(word), rate.sample))
    bbr.bandwidth = max(bbr.bandwidth, rate.sample)
    return 0


@kernel
def quantum_of(rate: int, mss: int) -> int:
    """Return how many bytes go out at once at a rate (§4.2.2): those of a millisecond, within bounds."""
    if rate < _SLOW:
        return mss
    return 2 * mss if rate < _MEDIUM else min(rate // 1000, _MOST_QUANTUM)


@kernel
def _target(engine: Engine, tcb: Tcb, bbr: Bbr, gain: int) -> int:
    """BBRInflight: the bytes that fill the way by the model, times a gain, and some for delayed acknowledgments."""
    if bbr.bandwidth == 0 or bbr.least_rtt == 0:
        return max(engine.initial_window * tcb.mss, bbr.window)
    product = bbr.bandwidth * bbr.least_rtt // _SECOND_US
    return _times(product, gain) + 3 * quantum_of(bbr.pacing_rate, tcb.mss)


@kernel
def _enter_startup(bbr: Bbr) -> int:
    bbr.mode = Mode.STARTUP
    bbr.pacing_gain = bbr.window_gain = _HIGH_GAIN
    return 0


@kernel
def _check_full(bbr: Bbr, rate: Rate) -> int:
    """§4.3.2.2: three rounds in which the rate grew by less than a quarter."""
    if bbr.filled or not bbr.round_begins or rate.sample_limited:
        return 0
    if bbr.bandwidth * 4 >= bbr.full_bandwidth * 5:
        bbr.full_bandwidth = bbr.bandwidth
        bbr.full_rounds = 0
        return 0
    bbr.full_rounds += 1
    bbr.filled = 1 if bbr.full_rounds >= _ROUNDS_WITHOUT_GROWTH else 0
    return 0


@kernel
def _check_drain(engine: Engine, tcb: Tcb, bbr: Bbr) -> int:
    """§4.3.3"""
    if bbr.mode == Mode.STARTUP and bbr.filled:
        bbr.mode = Mode.DRAIN
        bbr.pacing_gain = _DRAIN_GAIN
        bbr.window_gain = _HIGH_GAIN
    if bbr.mode == Mode.DRAIN and in_flight(tcb) <= _target(engine, tcb, bbr, _UNIT):
        _enter_probing(engine, tcb, bbr)
    return 0


@kernel
def _enter_probing(engine: Engine, tcb: Tcb, bbr: Bbr) -> int:
    """§4.3.4.3: at any phase but the one below the rate, so that streams do not probe all at once."""
    bbr.mode = Mode.PROBE_BANDWIDTH
    bbr.window_gain = _WINDOW_GAIN
    phase = (tcb.iss ^ engine.now) % (_PHASES - 1)
    return _enter_phase(engine, bbr, phase if phase == 0 else phase + 1)


@kernel
def _enter_phase(engine: Engine, bbr: Bbr, phase: int) -> int:
    bbr.phase = phase
    bbr.phase_at = engine.now
    bbr.pacing_gain = _PROBE_GAIN if phase == 0 else _LEAVE_GAIN if phase == 1 else _UNIT
    return 0


@kernel
def _advance_cycle(engine: Engine, tcb: Tcb, bbr: Bbr) -> int:
    """BBRCheckCyclePhase: a phase lasts a round-trip time, until the queue is full or empty where it probes."""
    is_over = engine.now - bbr.phase_at > bbr.least_rtt
    if bbr.pacing_gain > _UNIT:
        lost = tcb.lost_bytes > 0 or tcb.in_recovery != Recovery.NONE
        is_over = is_over and (lost or in_flight(tcb) >= _target(engine, tcb, bbr, bbr.pacing_gain))
    elif bbr.pacing_gain < _UNIT:
        is_over = is_over or in_flight(tcb) <= _target(engine, tcb, bbr, _UNIT)
    return _enter_phase(engine, bbr, (bbr.phase + 1) % _PHASES) if is_over else 0


@kernel
def _update_rtt(engine: Engine, tcb: Tcb, bbr: Bbr, rate: Rate) -> int:
    """§4.1.2.3 and §4.3.5: keep the least round-trip time, and look for it anew when it was not seen for long."""
    expired = engine.now > bbr.least_rtt_at + _RTT_LASTS_US
    if engine.sample_rtt and (engine.sample_rtt <= bbr.least_rtt or bbr.least_rtt == 0 or expired):
        bbr.least_rtt = engine.sample_rtt
        bbr.least_rtt_at = engine.now
    if expired and not bbr.idle and bbr.mode != Mode.PROBE_RTT:
        bbr.mode = Mode.PROBE_RTT
        bbr.pacing_gain = bbr.window_gain = _UNIT
        bbr.prior_window = _kept(bbr)
        bbr.probe_done_at = 0
    return _probe_rtt(engine, tcb, bbr, rate) if bbr.mode == Mode.PROBE_RTT else 0


@kernel
def _probe_rtt(engine: Engine, tcb: Tcb, bbr: Bbr, rate: Rate) -> int:
    note_idle(engine, tcb)
    if bbr.probe_done_at == 0:
        if in_flight(tcb) <= _LEAST_SEGMENTS * tcb.mss:
            bbr.probe_done_at = engine.now + _PROBE_RTT_US
            bbr.probe_round_done = 0
            bbr.next_round = rate.delivered
        return 0
    bbr.probe_round_done |= bbr.round_begins
    if bbr.probe_round_done == 0 or engine.now <= bbr.probe_done_at:
        return 0
    bbr.least_rtt_at = engine.now
    bbr.window = max(bbr.window, bbr.prior_window)
    if bbr.filled:
        return _enter_probing(engine, tcb, bbr)
    return _enter_startup(bbr)


@kernel
def _set_rate(bbr: Bbr) -> int:
    """§4.2.1: until the way is known the rate only grows."""
    rate = _times(bbr.bandwidth, bbr.pacing_gain)
    if rate and (bbr.filled or rate > bbr.pacing_rate):
        bbr.pacing_rate = rate
    return 0


@kernel
def _kept(bbr: Bbr) -> int:
    """Return the window to come back to (BBRSaveCwnd)."""
    if bbr.recovering or bbr.mode == Mode.PROBE_RTT:
        return max(bbr.prior_window, bbr.window)
    return bbr.window


@kernel
def _follow_recovery(tcb: Tcb, bbr: Bbr, rate: Rate, delivered: int) -> int:
    """§4.2.3.4: a recovery begins with one round in which no more goes out than arrives; then all is as before."""
    if tcb.in_recovery == Recovery.FAST and not bbr.recovering:
        bbr.prior_window = _kept(bbr)
        bbr.recovering = bbr.conserving = 1
        bbr.next_round = rate.delivered
        bbr.window = in_flight(tcb) + max(delivered, tcb.mss)
    elif tcb.in_recovery == Recovery.NONE and bbr.recovering:
        bbr.recovering = bbr.conserving = 0
        bbr.window = max(bbr.window, bbr.prior_window)
    return 0


@kernel
def _set_window(engine: Engine, tcb: Tcb, bbr: Bbr, rate: Rate) -> int:
    """§4.2.3"""
    delivered = engine.delivered
    least = _LEAST_SEGMENTS * tcb.mss
    _follow_recovery(tcb, bbr, rate, delivered)
    if bbr.conserving:
        bbr.window = max(bbr.window, in_flight(tcb) + delivered)
    else:
        target = _target(engine, tcb, bbr, bbr.window_gain)
        if bbr.filled:
            bbr.window = min(bbr.window + delivered, target)
        elif bbr.window < target or rate.delivered < engine.initial_window * tcb.mss:
            bbr.window += delivered
    bbr.window = max(bbr.window, least if tcb.in_recovery != Recovery.TIMEOUT else tcb.mss)
    tcb.cwnd = min(bbr.window, least) if bbr.mode == Mode.PROBE_RTT else bbr.window
    return 0


@kernel
def bbr_timed_out(engine: Engine, tcb: Tcb) -> int:
    """All seems lost: the window begins with one segment, and comes back when it is repaired (§4.2.3.4)."""
    bbr = bbr_of(engine, tcb)
    bbr.prior_window = _kept(bbr)
    bbr.recovering = 1
    bbr.conserving = 0
    bbr.window = tcb.mss
    return 0


@kernel
def bbr_lost(engine: Engine, tcb: Tcb, lost: int) -> int:
    """So many bytes are lost: in a recovery the window gives way by as much (BBRModulateCwndForRecovery)."""
    bbr = bbr_of(engine, tcb)
    if bbr.recovering:
        bbr.window = max(bbr.window - lost, tcb.mss)
    return 0


@kernel
def bbr_resumed(engine: Engine, tcb: Tcb) -> int:
    """Sending begins again after a pause: by the rate that is known, without probing (§4.4.3 of the draft)."""
    bbr = bbr_of(engine, tcb)
    bbr.idle = 1
    if bbr.mode == Mode.PROBE_BANDWIDTH:
        bbr.pacing_rate = bbr.bandwidth
    return 0
