"""Whether a running appliance can have another number of engines."""

from __future__ import annotations

from collections.abc import Iterator

from ncore_ray.config.model import Configuration, Driver, Parallelism, Placement, Unit


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


def _reasons(built: Configuration, wanted: Configuration, has_links: bool) -> Iterator[str]:
    room = built.appliance.engine_room
    if wanted.appliance.engines > room:
        yield (
            f"the arena has room for {room} engine{'s' * (room > 1)}; appliance.max_engines reserves more when it is"
            " built"
        )
    if built.distribution.parallelism is not Parallelism.FLOW:
        yield (
            f"with distribution.parallelism {built.distribution.parallelism.value} it is settled when the appliance is"
            " built which engine has what"
        )
    if has_links or any(one.key is not None or one.unit is Unit.TRANSACTION for one in wanted.vservers):
        yield "virtual connections (a vServer with a key, or the unit transaction) are made when the appliance is built"
    tap = next((nic.name for nic in built.nics if nic.driver is Driver.TAP), None)
    if tap is not None and built.distribution.placement is not Placement.CORE:
        yield f"the receive queues of TAP device {tap} are made with the device"
