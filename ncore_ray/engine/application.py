"""Who owns a connection: events of TCP and of the timers go to the proxy, to HTTP, or to the monitors."""

from __future__ import annotations

from ncore_ray.engine.connection import Role, Tcb, hold_chain
from ncore_ray.engine.http.client import (
    client_closed,
    client_data,
    client_established,
    client_lost,
    client_reads,
    client_timeout,
    pump_client,
)
from ncore_ray.engine.http.respond import await_close
from ncore_ray.engine.http.server import (
    pump_server,
    server_closed,
    server_data,
    server_established,
    server_lost,
    server_timeout,
)
from ncore_ray.engine.lifecycle import destroy
from ncore_ray.engine.monitor.probe import monitor_event, monitor_timeout
from ncore_ray.engine.partition import Engine, base_of
from ncore_ray.engine.proxy.relay import wake_peer
from ncore_ray.engine.proxy.stream import pump_stream, stream_event, stream_lost, stream_timeout
from ncore_ray.engine.remote.arrival import arriving_event, arriving_timeout
from ncore_ray.engine.remote.relay import is_starved, pump_relayed, relayed_event, relayed_lost, watch_far
from ncore_ray.engine.splice.closing import splice_timeout
from ncore_ray.engine.tcp.receive import Event
from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.engine.transaction.answer import pump_leg
from ncore_ray.engine.transaction.client import (
    pump_split,
    served_timeout,
    serves_leg,
    split_event,
    split_lost,
    split_timeout,
)
from ncore_ray.engine.transaction.leg import leg_event, leg_timeout
from ncore_ray.engine.udp.pairs import end_pair
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.service import VserverProtocol, vserver_of


@kernel
def _is_http(engine: Engine, tcb: Tcb) -> int:
    return 1 if vserver_of(base_of(engine), tcb.vserver).protocol == VserverProtocol.HTTP else 0


@kernel
def on_events(engine: Engine, tcb: Tcb, events: int, address: int, length: int) -> int:
    """Tell the owner what a segment brought; with DATA the bytes lie at ``address``."""
    if tcb.discard:  # nobody reads any more
        return _closing_event(engine, tcb, events)
    if tcb.role >= Role.MONITOR:
        return _special_event(engine, tcb, events, address, length)
    if not _is_http(engine, tcb):
        return stream_event(engine, tcb, events, address, length)
    if tcb.role == Role.CLIENT:
        return _http_client_event(engine, tcb, events, address, length)
    return _http_server_event(engine, tcb, events, address, length)


@kernel
def _special_event(engine: Engine, tcb: Tcb, events: int, address: int, length: int) -> int:
    if tcb.role == Role.MONITOR:
        return monitor_event(engine, tcb, events, address, length)
    if tcb.role == Role.ARRIVING:
        return arriving_event(engine, tcb, events, address, length)
    if tcb.role == Role.SPLIT:
        return split_event(engine, tcb, events, address, length)
    if tcb.role == Role.LEG:
        return leg_event(engine, tcb, events)
    return relayed_event(engine, tcb, events, address, length)


@kernel
def _closing_event(engine: Engine, tcb: Tcb, events: int) -> int:
    if events & Event.RESET:
        return destroy(engine, tcb)
    return await_close(engine, tcb) if events & Event.FREED and tcb.role == Role.CLIENT else 0


@kernel
def _http_client_event(engine: Engine, tcb: Tcb, events: int, address: int, length: int) -> int:
    if events & Event.RESET:
        return client_lost(engine, tcb)
    if events & Event.ESTABLISHED:
        client_established(engine, tcb)
    if events & Event.FREED:
        client_reads(engine, tcb)
    if events & Event.DATA:
        client_data(engine, tcb, address, length)
    if events & Event.FIN and tcb.role != Role.FREE and not tcb.discard:
        client_closed(engine, tcb)
    return 0


@kernel
def _http_server_event(engine: Engine, tcb: Tcb, events: int, address: int, length: int) -> int:
    if events & Event.RESET:
        return server_lost(engine, tcb)
    if events & Event.ESTABLISHED:
        server_established(engine, tcb)
    if events & Event.FREED:
        wake_peer(engine, tcb)
    if events & Event.DATA:
        server_data(engine, tcb, address, length)
    if events & Event.FIN and tcb.role != Role.FREE and not tcb.discard:
        server_closed(engine, tcb)
    return 0


@kernel
def on_pump(engine: Engine, tcb: Tcb) -> int:
    """Let held bytes move on, now that they may be able to."""
    if tcb.discard or tcb.state >= TcpState.SPLICE_OPENING:
        return 0
    if tcb.role >= Role.MONITOR:
        return _pump_special(engine, tcb)
    if tcb.virtual and is_starved(engine, tcb):
        return 0
    if not _is_http(engine, tcb):
        return pump_stream(engine, tcb)
    if tcb.role == Role.CLIENT:
        return pump_client(engine, tcb)
    return pump_server(engine, tcb) if hold_chain(tcb).length else 0


@kernel
def _pump_special(engine: Engine, tcb: Tcb) -> int:
    if tcb.role == Role.SPLIT:
        return pump_split(engine, tcb)
    if tcb.role == Role.LEG:
        return pump_leg(engine, tcb)
    return pump_relayed(engine, tcb) if tcb.role >= Role.RELAYED else 0


@kernel
def on_lost(engine: Engine, tcb: Tcb) -> int:
    """The other end does not answer any more."""
    if tcb.discard:
        return destroy(engine, tcb)
    if tcb.role == Role.MONITOR:
        return monitor_timeout(engine, tcb)
    if tcb.role == Role.SPLIT:
        return split_lost(engine, tcb)
    if tcb.role >= Role.ARRIVING:
        return relayed_lost(engine, tcb)
    if not _is_http(engine, tcb):
        return stream_lost(engine, tcb)
    return client_lost(engine, tcb) if tcb.role == Role.CLIENT else server_lost(engine, tcb)


@kernel
def on_timeout(engine: Engine, tcb: Tcb) -> int:
    """The owner's own deadline has come."""
    if tcb.state >= TcpState.SPLICE_OPENING:
        return splice_timeout(engine, tcb)
    if tcb.role == Role.MONITOR:
        return monitor_timeout(engine, tcb)
    if tcb.role == Role.UDP_CLIENT or tcb.role == Role.UDP_SERVER:
        return end_pair(engine, tcb)
    if tcb.role == Role.ARRIVING:
        return arriving_timeout(engine, tcb)
    if tcb.role >= Role.RELAYED:
        return _special_timeout(engine, tcb)
    if not _is_http(engine, tcb):
        return stream_timeout(engine, tcb)
    if serves_leg(engine, tcb):
        return served_timeout(engine, tcb)
    return client_timeout(engine, tcb) if tcb.role == Role.CLIENT else server_timeout(engine, tcb)


@kernel
def _special_timeout(engine: Engine, tcb: Tcb) -> int:
    if tcb.role == Role.SPLIT:
        return split_timeout(engine, tcb)
    return leg_timeout(engine, tcb) if tcb.role == Role.LEG else watch_far(engine, tcb)
