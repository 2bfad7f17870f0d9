"""Receive queues that engines read themselves: what the configuration says of them (placements `per-core`, `rss`)."""

from __future__ import annotations

from collections.abc import Sequence

from ncore_ray.arena.layout import Bytes
from ncore_ray.blueprint.build import Blueprint
from ncore_ray.config.model import Fanout, Placement
from ncore_ray.flow.distributor import distributor_view
from ncore_ray.flow.steering import Steering, steering_program
from ncore_ray.nic.fanout import Fanout as Membership
from ncore_ray.nic.fanout import Spread
from ncore_ray.tables.own_address import snips_in_force
from ncore_ray.tables.port_owner import port_ranges

_SPREADS = {Fanout.HASH: Spread.HASH, Fanout.RANDOM: Spread.RANDOM}


def plan_queues(blueprint: Blueprint, array: Bytes, members: Sequence[int] | None = None) -> Membership | None:
    """Return what the sockets of each interface join; None where readers and distributor are actors of their own.

    ``members`` are the engines in the order of their sockets, where that is not the order of their numbers.
    """
    distribution = blueprint.configuration.distribution
    if distribution.placement is Placement.CORE:
        return None
    if distribution.placement is Placement.PER_CORE:
        return Membership(_SPREADS[distribution.fanout])
    engines = members or range(blueprint.configuration.appliance.engines)
    program = steering_program(_steering(blueprint, array), list(engines))
    return Membership(Spread.PROGRAM, program=program)


def _steering(blueprint: Blueprint, array: Bytes) -> Steering:
    distributor = distributor_view(array)
    start = distributor.indirection
    return Steering(
        snips=_snips(array, 4),
        snips6=_snips(array, 6),
        port_ranges=tuple(port_ranges(blueprint.configuration.appliance.engine_room)),
        hash_key=blueprint.distributor.hash_key,
        key=blueprint.distributor.key,
        indirection=tuple(array[start : start + distributor.indirection_size].tolist()),
    )


def _snips(array: Bytes, version: int) -> tuple[int, ...]:
    return tuple(int(address) for address in snips_in_force(array) if address.version == version)
