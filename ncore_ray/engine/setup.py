"""Control code: the regions of an engine's partition, its first state, and what a successor rebuilds in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ncore_ray.arena.core import Actor
from ncore_ray.arena.frame import FrameMeta
from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes, Layout
from ncore_ray.engine.access.ring import RING_HEAD, NoteRing
from ncore_ray.engine.connection import Tcb
from ncore_ray.engine.counters import EngineCounters, ServiceStats, VserverStats
from ncore_ray.engine.http.exchange import SCRATCH_NEEDED, Exchange
from ncore_ray.engine.http.message.body import Body
from ncore_ray.engine.ip.paths import PATHS_SIZE
from ncore_ray.engine.ip.rooms import REASSEMBLY_SIZE, ROOM
from ncore_ray.engine.latency.histogram import Latency
from ncore_ray.engine.pacing import Pace
from ncore_ray.engine.partition import HEADER_ROOM, Engine
from ncore_ray.engine.tcp.blocks import BLOCK_SIZE, CONNECTIONS_PER_BLOCK, FEWEST_BLOCKS
from ncore_ray.engine.tcp.buffers import FIRST_BUFFER
from ncore_ray.engine.timer import TICK_BITS, WHEEL_SLOTS
from ncore_ray.flow.records import Distributor
from ncore_ray.machine.record import size_of, table, view
from ncore_ray.nic.direct import PIECE_SIZE, Slot
from ncore_ray.tables.settings import MtuProbing

SLOTS: Final = 512
"""Packets that an engine makes between two flushes at the most."""
SECOND: Final = 1_000_000
PIECES: Final = 4_096
"""Pieces of payload beyond two per packet that they name together at the most."""


@dataclass(frozen=True)
class EngineSettings:
    """What the configuration says of an engine. Spans are µs, sizes bytes."""

    connections: int
    frames: int
    receive_window: int = 4 << 20
    send_buffer: int = 4 << 20
    initial_window: int = 10
    sack: bool = True
    timestamps: bool = False
    delayed_ack_us: int = 40_000
    min_rto_us: int = 200_000
    max_rto_us: int = 60_000_000
    syn_retries: int = 5
    retries: int = 8
    time_wait_us: int = 5_000_000
    keepalive_us: int = 0
    user_us: int = 0
    challenge_limit: int = 1_000
    reset_limit: int = 20_000
    error_limit: int = 100
    echo_limit: int = 10_000
    fast_open_limit: int = 0
    mtu_probing: int = MtuProbing.OFF
    idle_server_connections: int = 1024
    bridges: bool = False
    """Whether NICs are joined by a bridge."""
    reassemblies: int = 8
    """Fragmented packets that may be under way at a time."""
    timer_us: int = 0
    """Period of the packet processing timer; 0: adaptive."""
    access_log: int = 0
    """Bytes of the ring of notes for the access log, a power of two; 0: there is none."""
    access_share: int = 0
    """Parts per million of the requests that are logged."""


def _power_of_two(count: int) -> int:
    return 1 << max(count - 1, 1).bit_length()


def _span_blocks(connections: int) -> int:
    return max(connections // CONNECTIONS_PER_BLOCK, FEWEST_BLOCKS)


def plan_engine(layout: Layout, index: int, settings: EngineSettings, vservers: int, services: int) -> dict[str, int]:
    """Reserve the regions of an engine's partition; return their offsets by the names of the header's fields."""
    count = settings.connections

    def reserve(name: str, size: int) -> int:
        return layout.reserve(f"engine.{index}.{name}", size)

    optional = {"access_ring": reserve("access", RING_HEAD + settings.access_log)} if settings.access_log else {}
    return optional | {
        "counters": reserve("counters", size_of(EngineCounters)),
        "vserver_stats": reserve("vservers", size_of(VserverStats) * max(vservers, 1)),
        "latencies": reserve("latencies", size_of(Latency) * max(vservers, 1)),
        "whole_latencies": reserve("whole_times", size_of(Latency) * max(vservers, 1)),
        "service_latencies": reserve("service_times", size_of(Latency) * max(services, 1)),
        "service_stats": reserve("services", size_of(ServiceStats) * max(services, 1)),
        "connections": reserve("connections", size_of(Tcb) * count),
        "buckets": reserve("buckets", 4 * _power_of_two(2 * count)),
        "http": reserve("http", size_of(Exchange) * count),
        "bodies": reserve("bodies", size_of(Body) * count),
        "free_frames": reserve("free_frames", 4 * settings.frames),
        "spans": reserve("spans", BLOCK_SIZE * _span_blocks(count)),
        "wheel": reserve("wheel", 4 * WHEEL_SLOTS),
        "work_list": reserve("work_list", 4 * _power_of_two(count + 1)),
        "slots": reserve("slots", size_of(Slot) * SLOTS),
        "pieces": reserve("pieces", PIECE_SIZE * PIECES),
        "headers": reserve("headers", HEADER_ROOM * SLOTS),
        "scratch": reserve("scratch", SCRATCH_NEEDED),
        "flow_key": reserve("flow_key", size_of(Distributor)),
        "pace": reserve("pace", size_of(Pace)),
        "reassemblies": reserve("parts", REASSEMBLY_SIZE * max(settings.reassemblies, 1)),
        "reassembly_rooms": reserve("rooms", ROOM * settings.reassemblies),
        "paths": reserve("paths", PATHS_SIZE),
    }


def _window_scale(receive_limit: int) -> int:
    """Return the smallest scale with which a window of the limit can be told (RFC 7323 §2.2)."""
    scale = 0
    while 65535 << scale < receive_limit:
        scale += 1
    return scale


def init_engine(
    array: Bytes,
    arena: Arena,
    index: int,
    regions: dict[str, int],
    settings: EngineSettings,
    *,
    first_frame: int,
    ports: tuple[int, int],
    error_texts: int,
    now: int,
) -> Engine:
    """Write the header of an engine's zeroed partition and the first state of all that is derived.

    The distributor's record has to be there: the engine keeps a copy of the flow key that it names.
    """
    offset = arena.engines + index * arena.engine_stride
    engine = view(Engine, array, offset)
    for name, value in regions.items():
        setattr(engine, name, value)
    engine.offset, engine.index, engine.actor, engine.now = offset, index, Actor.ENGINE + index, now
    engine.connection_count = settings.connections
    engine.bucket_count = _power_of_two(2 * settings.connections)
    engine.span_block_count = _span_blocks(settings.connections)
    engine.half_open_limit = max(settings.connections // 2, 16)
    engine.work_size = _power_of_two(settings.connections + 1)
    engine.bank = -1
    engine.first_frame, engine.frame_count = first_frame, settings.frames
    engine.frame_reserve = max(min(settings.frames // 8, 512), 4)
    engine.wheel_at = now >> TICK_BITS
    engine.slot_count = SLOTS
    engine.piece_count = PIECES
    engine.reassembly_count = settings.reassemblies
    engine.bridges = int(settings.bridges)
    engine.resets_at = engine.errors_at = engine.echoes_at = now - SECOND  # the buckets are full
    engine.first_port, engine.port_count = ports
    engine.error_texts = error_texts
    key = size_of(Distributor)
    array[engine.flow_key : engine.flow_key + key] = array[arena.distributor : arena.distributor + key]
    _write_settings(engine, settings)
    view(Pace, array, engine.pace).period_us = settings.timer_us
    if engine.access_ring:
        view(NoteRing, array, engine.access_ring).capacity = settings.access_log
    _free_all(array, arena, engine)
    return engine


def _write_settings(engine: Engine, settings: EngineSettings) -> None:
    engine.receive_limit = min(settings.receive_window, FIRST_BUFFER)
    engine.receive_most = settings.receive_window
    engine.send_limit = min(settings.send_buffer, FIRST_BUFFER)
    engine.send_most = settings.send_buffer
    engine.receive_scale = _window_scale(settings.receive_window)
    engine.initial_window = settings.initial_window
    engine.sack = int(settings.sack)
    engine.timestamps = int(settings.timestamps)
    engine.delayed_ack_us = settings.delayed_ack_us
    engine.min_rto_us = settings.min_rto_us
    engine.max_rto_us = settings.max_rto_us
    engine.syn_retries = settings.syn_retries
    engine.retries = settings.retries
    engine.time_wait_us = settings.time_wait_us
    engine.keepalive_us, engine.user_us = settings.keepalive_us, settings.user_us
    engine.challenge_limit, engine.fast_open_limit = settings.challenge_limit, settings.fast_open_limit
    engine.reset_limit, engine.error_limit = settings.reset_limit, settings.error_limit
    engine.echo_limit = settings.echo_limit
    engine.mtu_probing = settings.mtu_probing
    engine.idle_limit = settings.idle_server_connections
    engine.access_share = settings.access_share


def _free_all(array: Bytes, arena: Arena, engine: Engine) -> None:
    """Put all connections and frames on their free lists."""
    tcbs = table(Tcb, array, engine.connections, engine.connection_count)
    tcbs["hash_next"][:-1] = np.arange(2, engine.connection_count + 1)
    engine.free_connection = 1
    stack = array[engine.free_frames : engine.free_frames + 4 * engine.frame_count].view("<i4")
    stack[:] = np.arange(engine.first_frame + engine.frame_count - 1, engine.first_frame - 1, -1)
    engine.free_frame_count = engine.frame_count
    metas = table(FrameMeta, array, arena.frame_metas, arena.frame_count)
    own = metas[engine.first_frame : engine.first_frame + engine.frame_count]
    own["owner"] = engine.actor
    own["next"] = -1
    own["home"] = engine.index
