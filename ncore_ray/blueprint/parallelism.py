"""Which engines run which VIPs or serve which NICs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import Final

from ncore_ray.config.model import Configuration, Function, Unit, VServer
from ncore_ray.config.model import Parallelism as Configured
from ncore_ray.flow.distributor import Parallelism

PARALLELISM: Final = {
    Configured.FLOW: Parallelism.FLOW,
    Configured.VIP: Parallelism.VIP,
    Configured.NIC: Parallelism.NIC,
    Configured.FUNCTIONAL: Parallelism.VIP,
}
"""How the distributor has it: with functions, every vServer is run by the engines that clients may reach."""


def shared_out(things: int, engines: int) -> list[tuple[int, ...]]:
    """Return the engines of each of some things, even by number.

    No engine is without one: where there are more engines than things, several share a thing.
    """
    if things >= engines:
        return [(thing % engines,) for thing in range(things)]
    return [tuple(range(thing, engines, things)) for thing in range(things)]


def engine_sets(configuration: Configuration, vservers: int) -> tuple[int, ...]:
    """Return a set of engines (a bit for each) for each vServer or NIC, or nothing where flows are shared out.

    ``vservers`` is how many there may be while the appliance runs.
    """
    parallelism, engines = configuration.distribution.parallelism, configuration.appliance.engines
    if parallelism is Configured.VIP:
        return _vserver_sets(configuration, engines)
    if parallelism is Configured.FUNCTIONAL:
        transports = _mask(function.transports for function in configuration.functions())
        return (transports,) * vservers
    if parallelism is Configured.NIC:
        free = iter(shared_out(sum(nic.engines is None for nic in configuration.nics), engines))
        return _masks(next(free) if nic.engines is None else nic.engines for nic in configuration.nics)
    return ()


def _mask(engines: Iterable[bool]) -> int:
    return sum(1 << number for number, is_in in enumerate(engines) if is_in)


def application_engines(configuration: Configuration, vserver: VServer) -> int:
    """Return the engines (a bit for each) that may serve the clients of a vServer, whoever terminates their TCP."""
    if configuration.distribution.parallelism is Configured.VIP:
        sets = _vserver_sets(configuration, configuration.appliance.engines)
        return sets[configuration.vservers.index(vserver)]
    return serving_engines(configuration)


def serving_engines(configuration: Configuration) -> int:
    """Return the engines that serve clients, where that is not a matter of the VIP.

    Those that may come are among them: whoever chooses passes over engines that take no new flows.
    """
    return _mask(function.applies for function in _functions(configuration))


def _functions(configuration: Configuration) -> tuple[Function, ...]:
    """Return the function of each engine that there is, or may come."""
    functional = configuration.distribution.parallelism is Configured.FUNCTIONAL
    appliance, later = configuration.appliance, Function.APPLICATION if functional else Function.BOTH
    return (*configuration.functions(), *(later,) * (appliance.engine_room - appliance.engines))


def has_links(configuration: Configuration) -> bool:
    """Return whether engines have to reach each other's applications."""
    appliance = configuration.appliance
    functional = configuration.distribution.parallelism is Configured.FUNCTIONAL and appliance.engines > 1
    keyed = appliance.engine_room > 1 and any(vserver.key is not None for vserver in configuration.vservers)
    return functional or keyed or has_transactions(configuration)


def has_transactions(configuration: Configuration) -> bool:
    """Return whether requests of one connection go to different engines."""
    units = {vserver.unit for vserver in configuration.vservers}
    return configuration.appliance.engine_room > 1 and Unit.TRANSACTION in units


def _vserver_sets(configuration: Configuration, engines: int) -> tuple[int, ...]:
    """Return the sets of the vServers; those on one VIP are together unless the configuration says otherwise."""
    vservers = configuration.vservers
    vips = list(dict.fromkeys(vserver.address.address for vserver in vservers if vserver.engines is None))
    of_vip = dict(zip(vips, shared_out(len(vips), engines), strict=True))
    return _masks(
        of_vip[vserver.address.address] if vserver.engines is None else vserver.engines for vserver in vservers
    )


def _masks(sets: Iterable[Sequence[int]]) -> tuple[int, ...]:
    return tuple(sum(1 << engine for engine in engines) for engines in sets)


def nic_towards(configuration: Configuration, source: str) -> int:
    """Return the number of the NIC that packets from an address come in on, if it is where we would send to."""
    try:
        address = ip_address(source)
    except ValueError:
        return 0
    near = [number for number, nic in enumerate(configuration.nics) if nic.reaches(address)]
    near += [
        number for number, nic in enumerate(configuration.nics) if any(address in route.network for route in nic.routes)
    ]
    far = [number for number, nic in enumerate(configuration.nics) if nic.gateway_to(address) is not None]
    return next(iter([*near, *far]), 0)
