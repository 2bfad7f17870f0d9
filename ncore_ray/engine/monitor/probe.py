"""Probes: short connections of the appliance to a service, by TCP alone or with an HTTP request."""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.header import arena_at
from ncore_ray.engine.buffer import chain_gather
from ncore_ray.engine.change import NEW_ONE, begin_change, end_change
from ncore_ray.engine.connection import Role, Tcb, hold_chain, tcb_of
from ncore_ray.engine.http.exchange import gather_scratch
from ncore_ray.engine.monitor.health import probe_failed, probe_succeeded
from ncore_ray.engine.partition import Engine, base_of
from ncore_ray.engine.proxy.relay import hold
from ncore_ray.engine.tcp.receive import Event
from ncore_ray.engine.tcp.user import abort, open_active, send_bytes
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load8, load64be
from ncore_ray.tables.service import MonitorKind, service_of, watch_of

_LOOK_EVERY_US: Final = 50_000
_HTTP_1: Final = 0x485454502F312E  # "HTTP/1."
_STATUS_LINE: Final = 12


@kernel
def start_probes(engine: Engine) -> int:
    """Begin the probes that are due; note when to look again."""
    base = base_of(engine)
    engine.monitor_at = engine.now + _LOOK_EVERY_US
    for index in range(arena_at(base).service_count):
        service = service_of(base, index)
        if service.monitor != MonitorKind.NONE and service.monitor_engine == engine.index:
            watch = watch_of(base, index)
            if watch.probe_at <= engine.now or watch.probe_at > engine.now + service.interval_us:
                watch.probe_at = engine.now + service.interval_us
                begin_change(engine, NEW_ONE)
                _start_probe(engine, index)
                end_change(engine)
    return 0


@kernel
def _start_probe(engine: Engine, index: int) -> int:
    service = service_of(base_of(engine), index)
    if service.route < 0:
        return probe_failed(engine, index)
    number = open_active(engine, index, Role.MONITOR)
    if number:  # else it is our table that is full, which says nothing about the service
        tcb_of(engine, number - 1).application_at = engine.now + service.timeout_us
    return 0


@kernel
def _conclude(engine: Engine, tcb: Tcb, good: int) -> int:
    if good:
        probe_succeeded(engine, tcb.service)
    else:
        probe_failed(engine, tcb.service)
    return abort(engine, tcb)


@kernel
def _take_status(engine: Engine, tcb: Tcb, address: int, length: int) -> int:
    """Gather the first bytes of the status line, which is all that is read."""
    if not hold(engine, tcb, address, length):
        return _conclude(engine, tcb, 0)
    if hold_chain(tcb).length < _STATUS_LINE:
        return 0
    line = gather_scratch(engine)
    chain_gather(engine, hold_chain(tcb), line, _STATUS_LINE)
    return _judge_status(engine, tcb, line)


@kernel
def _judge_status(engine: Engine, tcb: Tcb, address: int) -> int:
    service = service_of(base_of(engine), tcb.service)
    if (load64be(address) >> 8) & 0xFF_FFFF_FFFF_FFFF != _HTTP_1:
        return _conclude(engine, tcb, 0)
    status = 0
    for i in range(9, 12):
        digit = load8(address + i) - 48
        if digit < 0 or digit > 9:
            return _conclude(engine, tcb, 0)
        status = status * 10 + digit
    return _conclude(engine, tcb, 1 if service.expect_low <= status <= service.expect_high else 0)


@kernel
def monitor_event(engine: Engine, tcb: Tcb, events: int, address: int, length: int) -> int:
    """Take what happened on a probe's connection."""
    service = service_of(base_of(engine), tcb.service)
    if events & Event.RESET:
        return _conclude(engine, tcb, 0)
    if events & Event.ESTABLISHED:
        if service.monitor == MonitorKind.TCP:
            return _conclude(engine, tcb, 1)
        texts = base_of(engine) + arena_at(base_of(engine)).texts
        if not send_bytes(engine, tcb, texts + service.probe, service.probe_length):
            return _conclude(engine, tcb, 0)
    if events & Event.DATA:
        _take_status(engine, tcb, address, length)
    if events & Event.FIN and tcb.role != Role.FREE:
        return _conclude(engine, tcb, 0)
    return 0


@kernel
def monitor_timeout(engine: Engine, tcb: Tcb) -> int:
    """Take the end of a probe's time."""
    return _conclude(engine, tcb, 0)
