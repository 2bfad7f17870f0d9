"""Whether a running appliance can have another number of engines, or of NICs."""

from __future__ import annotations

from collections.abc import Iterator

from ncore_ray.config.model import Configuration, Driver, Parallelism, Placement


def scaling_reasons(
    built: Configuration, before: Configuration, wanted: Configuration, *, has_links: bool
) -> list[str]:
    """Return a sentence for everything that keeps a running appliance from the number of engines that is wanted.

    ``built`` is what it was built for, ``before`` what it works by. ``has_links`` says whether its engines reach each
    other's applications (virtual connections).
    """
    if wanted.appliance.engines == before.appliance.engines:
        return []
    subject = f"appliance.engines={wanted.appliance.engines} needs a restart (ncore deploy)"
    return [f"{subject}: {why}" for why in _reasons(built, wanted, has_links)]


def room_reasons(built: Configuration, wanted: Configuration) -> list[str]:
    """Return a sentence where a configuration has more NICs than the arena that was built has places for."""
    room = built.nic_room
    if len(wanted.nics) <= room:
        return []
    return [
        f"nics: {len(wanted.nics)} need a restart (ncore deploy): the arena has room for {room}"
        f" NIC{'s' * (room > 1)}; appliance.max_nics reserves more when it is built"
    ]


def _reasons(built: Configuration, wanted: Configuration, has_links: bool) -> Iterator[str]:
    room = built.appliance.engine_room
    if wanted.appliance.engines > room:
        yield (
            f"the arena has room for {room} engine{'s' * (room > 1)}; appliance.max_engines reserves more when it is"
            " built"
        )
    yield from _reasons_of_parallelism(built, wanted, has_links)
    tap = next((nic.name for nic in built.nics if nic.driver is Driver.TAP), None)
    if tap is not None and built.distribution.placement is not Placement.CORE:
        yield f"the receive queues of TAP device {tap} are made with the device"


def _reasons_of_parallelism(built: Configuration, wanted: Configuration, has_links: bool) -> Iterator[str]:
    distribution = built.distribution
    if distribution.parallelism is Parallelism.VIP and has_links:
        yield "with distribution.parallelism vip it is settled when the appliance is built which engine serves a key"
    if distribution.parallelism is not Parallelism.FUNCTIONAL:
        return
    if distribution.functions is not None:
        yield "distribution.functions names the function of each engine; with functions auto those that come serve"
    if built.appliance.engines == 1 or wanted.appliance.engines == 1:
        yield "with distribution.parallelism functional a single engine has both functions, of several none has"
