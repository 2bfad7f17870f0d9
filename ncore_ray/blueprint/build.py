"""The making of an arena: all regions laid out, all headers and tables written, ready for the actors."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any, Final

from ncore_ray.arena.core import Actor, Core
from ncore_ray.arena.frame import FRAME_SIZE, MAX_QUEUES, FrameMeta
from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import ArenaError, Bytes, Layout, format_arena, init_rings
from ncore_ray.arena.ring import ring_size
from ncore_ray.blueprint.dimensions import Dimensions, deciders_of, dimensions_of
from ncore_ray.blueprint.parallelism import PARALLELISM, engine_sets, has_links, has_transactions
from ncore_ray.blueprint.records import digest
from ncore_ray.blueprint.routes import ADDRESSES_PER_NIC, SPARE, forget_routes, route_room, write_routes
from ncore_ray.blueprint.rows import Capacity, Rows, capacity_of, plan_rows
from ncore_ray.blueprint.tables import write_bank, write_port_owners
from ncore_ray.blueprint.texts import Texts, error_rows, write_error_rows
from ncore_ray.blueprint.words import MTU_PROBING
from ncore_ray.config.model import Algorithm as ConfiguredAlgorithm
from ncore_ray.config.model import Configuration, HashFunction, Placement
from ncore_ray.config.model import Forwarding as ConfiguredForwarding
from ncore_ray.engine.http.exchange import ErrorText
from ncore_ray.engine.partition import Engine
from ncore_ray.engine.remote.setup import LinkPlan, LinkSpans, init_links, plan_links
from ncore_ray.engine.setup import EngineSettings, init_engine, plan_engine
from ncore_ray.flow.distributor import (
    Algorithm,
    DistributorPlan,
    DistributorSpans,
    Forwarding,
    init_distributor,
    plan_distributor,
)
from ncore_ray.flow.key import fields_of
from ncore_ray.flow.toeplitz import MICROSOFT_KEY, SYMMETRIC_KEY
from ncore_ray.machine.record import CACHE_LINE, size_of, view
from ncore_ray.machine.system import monotonic_us
from ncore_ray.messages.arena import init_messages, plan_messages
from ncore_ray.nic.partition import init_reader, reader_stride
from ncore_ray.office.place import init_office, plan_office
from ncore_ray.tables.neighbour import Neighbour
from ncore_ray.tables.nic import Nic, Transmit
from ncore_ray.tables.own_address import OwnAddress, address_slots
from ncore_ray.tables.port_owner import PORTS, port_ranges
from ncore_ray.tables.route import Route
from ncore_ray.tables.service import Binding, Service, Vserver, Watch
from ncore_ray.tables.settings import Settings

ALGORITHMS: Final = {
    ConfiguredAlgorithm.HASH: Algorithm.HASH,
    ConfiguredAlgorithm.ROUNDROBIN: Algorithm.ROUND_ROBIN,
    ConfiguredAlgorithm.LEASTFLOWS: Algorithm.LEAST_FLOWS,
    ConfiguredAlgorithm.TWO_CHOICES: Algorithm.TWO_CHOICES,
    ConfiguredAlgorithm.WEIGHTED: Algorithm.WEIGHTED,
    ConfiguredAlgorithm.LOAD: Algorithm.LOAD,
}
_FORWARDING: Final = {
    ConfiguredForwarding.STREAM: Forwarding.STREAM,
    ConfiguredForwarding.BATCH_FLOW: Forwarding.BATCH_FLOW,
    ConfiguredForwarding.BATCH_CORE: Forwarding.BATCH_CORE,
}
_FIRST_EPOCH: Final = 1
_TEXTS_OF_BANK: Final = 1 << 16
_TEXT_OF_ROW: Final = 256
"""Bytes for the names and requests of a service or vServer, about: they share what there is."""


@dataclass(frozen=True)
class Blueprint:
    """Everything that is known of an arena before it exists."""

    configuration: Configuration
    dimensions: Dimensions
    layout: Layout
    distributor: DistributorPlan
    distributor_spans: DistributorSpans
    header: dict[str, int]
    """Fields of the arena's header."""
    engines: list[dict[str, int]]
    """Regions of each engine's partition."""
    settings: list[EngineSettings]
    """Of each engine."""
    texts: Texts
    error_rows: list[tuple[int, int, int, int]]
    links: tuple[LinkPlan, LinkSpans] | None = None
    """Of virtual connections between the engines, where the configuration asks for them."""

    @property
    def capacity(self) -> Capacity:
        """Rows of the configured tables."""
        return capacity_of(self.configuration)

    @property
    def size(self) -> int:
        """Bytes that the arena needs."""
        return self.layout.size


def _power_of_two(count: int) -> int:
    return 1 << max(count - 1, 1).bit_length()


def _distributor_plan(configuration: Configuration) -> DistributorPlan:
    distribution = configuration.distribution
    symmetric = distribution.hash is HashFunction.SYMMETRIC
    return DistributorPlan(
        deciders=deciders_of(configuration),
        bridges=any(nic.bridge for nic in configuration.nics),
        decides_itself=distribution.placement is not Placement.CORE,
        engines=configuration.appliance.engine_room,
        active=configuration.appliance.engines,
        flows=distribution.flows,
        algorithm=ALGORITHMS[distribution.algorithm],
        forwarding=_FORWARDING[distribution.forwarding],
        parallelism=PARALLELISM[distribution.parallelism],
        engine_sets=engine_sets(configuration, capacity_of(configuration).vservers),
        weights=distribution.weights or (),
        key=fields_of(field.value for field in distribution.key),
        symmetric=symmetric,
        hash_key=SYMMETRIC_KEY if symmetric else MICROSOFT_KEY,
        fragments=max(_power_of_two(configuration.limits.fragments), 16),
        flow_timeout=distribution.flow_timeout,
        closing_timeout=_longest_time_wait(configuration) + 60_000_000,
    )


def _longest_time_wait(configuration: Configuration) -> int:
    times = [configuration.timeouts_of(vserver).time_wait for vserver in configuration.vservers]
    return max([configuration.timeouts.time_wait, *times])


def _engine_settings(configuration: Configuration, dimensions: Dimensions, index: int) -> EngineSettings:
    connections, frames = dimensions.of_engine(index)
    tcp, timeouts, access = configuration.tcp, configuration.timeouts, configuration.access_log
    return EngineSettings(
        connections=connections,
        frames=frames,
        receive_window=tcp.receive_window,
        send_buffer=tcp.send_buffer,
        initial_window=tcp.initial_window,
        sack=tcp.sack,
        timestamps=tcp.timestamps,
        delayed_ack_us=tcp.delayed_ack,
        min_rto_us=tcp.min_rto,
        max_rto_us=tcp.max_rto,
        syn_retries=tcp.syn_retries,
        retries=tcp.retries,
        time_wait_us=timeouts.time_wait,
        keepalive_us=timeouts.keepalive,
        user_us=timeouts.user,
        challenge_limit=tcp.challenge_acks,
        reset_limit=tcp.stray_resets,
        error_limit=configuration.limits.icmp_errors,
        echo_limit=configuration.limits.echo_replies,
        fast_open_limit=tcp.fast_open or 0,
        mtu_probing=MTU_PROBING[tcp.mtu_probing],
        idle_server_connections=configuration.limits.idle_server_connections,
        reassemblies=configuration.limits.reassemblies,
        bridges=any(nic.bridge for nic in configuration.nics),
        timer_us=configuration.override(index).timer or configuration.appliance.timer or 0,
        access_log=access.buffer if access else 0,
        access_share=access.sample if access else 0,
    )


def _lines(record: Any) -> int:
    return -(-size_of(record) // CACHE_LINE) * CACHE_LINE


def _counts(configuration: Configuration, dimensions: Dimensions) -> dict[str, int]:
    nics, engines, deciders = configuration.nic_room, configuration.appliance.engine_room, deciders_of(configuration)
    queues = nics * deciders
    capacity = capacity_of(configuration)
    addresses = sum(len(nic.addresses) for nic in configuration.nics) + capacity.vservers
    addresses += (nics - len(configuration.nics)) * ADDRESSES_PER_NIC
    return {
        "nic_count": nics,
        "queue_count": queues,
        "engine_count": engines,
        "decider_count": deciders,
        "decides_itself": int(configuration.distribution.placement is not Placement.CORE),
        "actor_count": 1 + engines + queues + nics,
        "frame_count": queues * dimensions.nic_frames + sum(dimensions.of_engine(k)[1] for k in range(engines)),
        "ring_stride": ring_size(dimensions.nic_frames),
        "address_count": address_slots(addresses + SPARE),
        "route_count": route_room(configuration),
        "neighbour_count": _power_of_two(configuration.limits.neighbours),
        "vserver_count": capacity.vservers,
        "vserver_index_size": _power_of_two(2 * capacity.vservers + 1),
        "service_count": capacity.services,
        "binding_count": 2 * capacity.bindings,
        "reader_stride": reader_stride(dimensions.nic_frames),
        "engine_stride": _lines(Engine),
    }


def _reserve_shared(layout: Layout, counts: dict[str, int], dimensions: Dimensions) -> dict[str, int]:
    nics, engines, queues = counts["nic_count"], counts["engine_count"], counts["queue_count"]

    def rings(name: str, count: int) -> int:
        return layout.reserve_rings(name, count, dimensions.nic_frames)

    return {
        "cores": layout.reserve_table("cores", Core, counts["actor_count"]),
        "nics": layout.reserve_table("nics", Nic, nics),
        "routes": layout.reserve_table("routes", Route, counts["route_count"]),
        "neighbours": layout.reserve_table("neighbours", Neighbour, counts["neighbour_count"]),
        "port_owners": layout.reserve("port_owners", PORTS),
        **_reserve_banks(layout, counts),
        "watches": layout.reserve_table("watches", Watch, counts["service_count"]),
        "bindings": layout.reserve_table("bindings", Binding, counts["binding_count"]),
        "inbound_rings": rings("inbound_rings", queues),
        "engine_rings": rings("engine_rings", counts["decider_count"] * engines),
        "return_rings": rings("return_rings", (1 + engines) * queues),
        "transmit_rings": rings("transmit_rings", engines * nics),
        "transmit_return_rings": rings("transmit_return_rings", engines * nics),
        "readers": layout.reserve("readers", counts["reader_stride"] * queues),
        "engines": layout.reserve("engines", counts["engine_stride"] * engines),
        "frame_metas": layout.reserve_table("frame_metas", FrameMeta, counts["frame_count"]),
        "frames": layout.reserve("frames", FRAME_SIZE * counts["frame_count"]),
    }


def _reserve_banks(layout: Layout, counts: dict[str, int]) -> dict[str, int]:
    """Reserve both banks of the configured tables; return where each table of the first one lies."""
    sizes = {
        "settings": size_of(Settings),
        "vserver_index": 4 * counts["vserver_index_size"],
        "addresses": size_of(OwnAddress) * counts["address_count"],
        "vservers": size_of(Vserver) * counts["vserver_count"],
        "services": size_of(Service) * counts["service_count"],
    }
    places, place = {}, 0
    for name, size in sizes.items():
        places[name] = place
        place += -(-size // CACHE_LINE) * CACHE_LINE
    start = layout.reserve("configured tables", 2 * place)
    return {"bank_stride": place, **{name: start + offset for name, offset in places.items()}}


def _reserve_texts(layout: Layout, counts: dict[str, int], fixed: int) -> dict[str, int]:
    each = _TEXTS_OF_BANK + _TEXT_OF_ROW * (counts["service_count"] + counts["vserver_count"])
    size = fixed + 2 * each
    return {"texts_fixed": fixed, "texts_size": size, "texts": layout.reserve("texts", size)}


def _check_queues(configuration: Configuration) -> None:
    nics, deciders = configuration.nic_room, deciders_of(configuration)
    if nics * deciders > MAX_QUEUES:
        raise ArenaError(
            f"distribution.placement: {nics} NICs with a receive queue for each of {deciders} engines are more than"
            f" {MAX_QUEUES} queues; use fewer engines, or placement core"
        )


def draw(configuration: Configuration, *, dimensions: Dimensions | None = None, guard: int = 0) -> Blueprint:
    """Lay out the arena of a configuration; ``guard`` bytes stay free behind each region (tests).

    Raises:
        ArenaError: the arena is too small for what the configuration asks, or there are too many queues.
    """
    _check_queues(configuration)
    if dimensions is None:
        dimensions = dimensions_of(configuration, lambda least: draw(configuration, dimensions=least).size)
    layout = Layout(guard=guard)
    counts = _counts(configuration, dimensions)
    header = counts | _reserve_shared(layout, counts, dimensions)
    plan = _distributor_plan(configuration)
    spans = plan_distributor(layout, plan)
    settings = [_engine_settings(configuration, dimensions, k) for k in range(counts["engine_count"])]
    vservers, services = counts["vserver_count"], counts["service_count"]
    engines = [plan_engine(layout, k, one, vservers, services) for k, one in enumerate(settings)]
    links = _reserve_links(layout, configuration, dimensions, engines)
    plan_messages(layout, len(engines))
    plan_office(layout, vservers + services, configuration.appliance.management_memory or 0)
    texts = Texts()
    rows = error_rows(texts)
    header |= _reserve_texts(layout, counts, len(texts.content))
    header["error_texts"] = layout.reserve("error_texts", size_of(ErrorText) * len(rows))
    return Blueprint(configuration, dimensions, layout, plan, spans, header, engines, settings, texts, rows, links)


def _reserve_links(
    layout: Layout, configuration: Configuration, dimensions: Dimensions, engines: list[dict[str, int]]
) -> tuple[LinkPlan, LinkSpans] | None:
    """Reserve what virtual connections need, and enter it in the fields of the engines' headers."""
    if not has_links(configuration):
        return None
    plan = LinkPlan(
        len(engines),
        dimensions.connections,
        dimensions.messages,
        dimensions.engine_frames,
        has_transactions(configuration),
    )
    spans, fields = plan_links(layout, plan)
    for engine, more in zip(engines, fields, strict=True):
        engine.update(more)
    return plan, spans


def build(
    array: Bytes,
    blueprint: Blueprint,
    *,
    epoch: int | None = None,
    secret: tuple[int, int] | None = None,
    now: int | None = None,
    transmit: list[Transmit] | None = None,
) -> Arena:
    """Write a whole arena to a zeroed array; tests give epoch, secret and clock to have the same one every time.

    Raises:
        ArenaError: the array is smaller than the blueprint's size.
    """
    arena = format_arena(array, blueprint.layout, epoch or secrets.randbits(62), digest())
    for name, value in blueprint.header.items():
        if name != "error_texts":
            setattr(arena, name, value)
    arena.secret_0, arena.secret_1 = secret or (secrets.randbits(32), secrets.randbits(32))
    _write_rings(array, blueprint, arena)
    _write_tables(array, blueprint, arena)
    for queue in range(arena.queue_count):
        init_reader(array, queue, queue * blueprint.dimensions.nic_frames, blueprint.dimensions.nic_frames)
    for index in range(len(blueprint.configuration.nics)):
        _write_nic(array, blueprint, arena, index, transmit[index] if transmit else Transmit.DIRECT)
    for index in range(len(blueprint.configuration.nics), arena.nic_count):
        view(Nic, array, arena.nics + index * size_of(Nic)).writer = _writer_of(arena, index)
    init_distributor(array, blueprint.distributor, blueprint.distributor_spans)
    _write_engines(array, blueprint, arena, monotonic_us() if now is None else now)
    init_messages(array, arena.engine_count)
    memory = blueprint.configuration.appliance.management_memory or 0
    init_office(array, arena.vserver_count + arena.service_count, memory)
    if blueprint.links is not None:
        init_links(array, arena, *blueprint.links)
    return arena


def _write_rings(array: Bytes, blueprint: Blueprint, arena: Arena) -> None:
    nics, engines, capacity = arena.nic_count, arena.engine_count, blueprint.dimensions.nic_frames
    init_rings(array, arena.inbound_rings, arena.queue_count, capacity)
    init_rings(array, arena.engine_rings, arena.decider_count * engines, capacity)
    init_rings(array, arena.return_rings, (1 + engines) * arena.queue_count, capacity)
    init_rings(array, arena.transmit_rings, engines * nics, capacity)
    init_rings(array, arena.transmit_return_rings, engines * nics, capacity)


def _write_tables(array: Bytes, blueprint: Blueprint, arena: Arena) -> None:
    configuration = blueprint.configuration
    forget_routes(array, arena)
    write_routes(array, arena, configuration)
    rows = plan_rows(Rows(), configuration, blueprint.capacity)
    write_bank(array, arena, 0, rows, configuration, _FIRST_EPOCH)
    write_port_owners(array, arena, configuration.appliance.engines)
    write_error_rows(array, blueprint.header["error_texts"], blueprint.error_rows)
    blueprint.texts.write(array, arena.texts)


def _write_nic(array: Bytes, blueprint: Blueprint, arena: Arena, index: int, transmit: Transmit) -> None:
    nic = view(Nic, array, arena.nics + index * size_of(Nic))
    nic.transmit = transmit
    nic.vlan = blueprint.configuration.nics[index].vlan or 0
    names = [one.name for one in blueprint.configuration.nics]
    other = blueprint.configuration.nics[index].bridge
    nic.bridge = names.index(other) + 1 if other else 0
    nic.proxy_arp = int(blueprint.configuration.nics[index].proxy_arp)
    nic.writer = _writer_of(arena, index)


def _writer_of(arena: Arena, index: int) -> int:
    return Actor.ENGINE + arena.engine_count + arena.queue_count + index


def _write_engines(array: Bytes, blueprint: Blueprint, arena: Arena, now: int) -> None:
    first = arena.queue_count * blueprint.dimensions.nic_frames
    for index, (regions, settings) in enumerate(zip(blueprint.engines, blueprint.settings, strict=True)):
        init_engine(
            array,
            arena,
            index,
            regions,
            settings,
            first_frame=first,
            ports=port_ranges(arena.engine_count)[index],
            error_texts=blueprint.header["error_texts"],
            now=now,
        )
        first += settings.frames
