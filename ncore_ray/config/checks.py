"""What has to fit together between the sections of a configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from ncore_ray.config.addresses import IpAddress, is_host_in
from ncore_ray.config.appliance import Appliance, Distribution, Parallelism, Placement
from ncore_ray.config.expect import Finding, Location, key_path, repeats, shown, suggestion
from ncore_ray.config.nics import Nic
from ncore_ray.config.overrides import Override
from ncore_ray.config.servers import Mode, Protocol, Service, Unit, VServer
from ncore_ray.config.transport import TimeoutOverrides, Timeouts
from ncore_ray.config.units import format_time

NAMED_SECTIONS: Final = ("overrides", "nics", "services", "vservers")
_QUIET_TIMEOUTS: Final = ("client_idle", "server", "udp")
"""Timeouts during which a flow may be silent and still be alive."""

_Entry = TypeVar("_Entry")


@dataclass(frozen=True)
class Draft:
    """What is known of a configuration. An entry that is wrong by itself is None here, but its name counts."""

    overrides: Sequence[Override | None]
    nics: Sequence[Nic | None]
    services: Sequence[Service | None]
    vservers: Sequence[VServer | None]
    appliance: Appliance | None
    distribution: Distribution | None
    timeouts: Timeouts | None
    wanted: Sequence[Sequence[object]]
    """By vServer, the names of its services as they were written."""
    names: Mapping[str, Sequence[str | None]]
    """By section, the names as they were written; a section is missing when it is not a list."""


def cross_check(draft: Draft) -> Iterator[Finding]:
    """Yield everything that does not fit together."""
    checks: tuple[Callable[[Draft], Iterator[Finding]], ...] = (
        _unique_names,
        _known_services,
        _unique_addresses,
        _unique_listeners,
        _unique_interfaces,
        _bridges_of_two,
        _room_for_nics,
        _unique_files,
        _reachable_services,
        _services_of_one_family,
        _hosts_of_networks,
        _flows_outlive_silence,
        _a_weight_for_each_engine,
        _a_function_for_each_engine,
        _engines_of_things,
        _overrides_of_engines,
        _transactions_on_all_engines,
        _splices_of_one_family,
    )
    for check in checks:
        yield from check(draft)


def _unique_names(draft: Draft) -> Iterator[Finding]:
    for section, names in draft.names.items():
        for index, first in repeats([index if name is None else name for index, name in enumerate(names)]):
            text = f"found {shown(names[index])}, which is the name of {section}[{first}] already"
            yield Finding((section, index, "name"), text)


def _known_services(draft: Draft) -> Iterator[Finding]:
    names = draft.names.get("services", [None])
    known = [name for name in names if name is not None]
    if len(known) < len(names):
        return  # an entry whose name cannot be read may be meant
    for index, wanted in enumerate(draft.wanted):
        for position, name in enumerate(wanted):
            if isinstance(name, str) and name not in known:
                text = f"found {shown(name)}, expected the name of a service{suggestion(name, known)}"
                yield Finding(("vservers", index, "services", position), text)


def _entries(entries: Sequence[_Entry | None]) -> Iterator[tuple[int, _Entry]]:
    """Yield index and value of the entries that are right by themselves."""
    return ((index, entry) for index, entry in enumerate(entries) if entry is not None)


def _unique_addresses(draft: Draft) -> Iterator[Finding]:
    """Yield each address with two uses: it belongs to one NIC, or to VIPs, or to other hosts."""
    users: dict[IpAddress, str] = {}
    for location, address in _own_addresses(draft):
        if address in users:
            yield _used_already(location, address, users[address])
        users.setdefault(address, key_path(location))
    foreign = list(_foreign_addresses(draft))
    for location, address in foreign:
        if address in users:
            yield _used_already(location, address, users[address])
    users |= {address: key_path(location) for location, address in foreign if address not in users}
    for index, vserver in _entries(draft.vservers):
        if vserver.address.address in users:
            address = vserver.address.address
            yield _used_already(("vservers", index, "address"), address, users[address])


def _own_addresses(draft: Draft) -> Iterator[tuple[Location, IpAddress]]:
    """Yield every SNIP."""
    for index, nic in _entries(draft.nics):
        for position, address in enumerate(nic.addresses):
            yield ("nics", index, "addresses", position), address.ip


def _foreign_addresses(draft: Draft) -> Iterator[tuple[Location, IpAddress]]:
    """Yield every address that a host beside the appliance has."""
    for index, nic in _entries(draft.nics):
        if nic.host is not None:
            yield ("nics", index, "host"), nic.host.ip
        if nic.gateway is not None:
            yield ("nics", index, "gateway"), nic.gateway
        for place, route in enumerate(nic.routes):
            if not route.via.is_link_local:
                yield ("nics", index, "routes", place), route.via
        if nic.gateway6 is not None and not nic.gateway6.is_link_local:
            yield ("nics", index, "gateway6"), nic.gateway6
    for index, service in _entries(draft.services):
        yield ("services", index, "address"), service.address.address


def _used_already(location: Location, address: IpAddress, user: str) -> Finding:
    return Finding(location, f"found {shown(address)}, expected an address of its own: {user} has this one")


def _unique_listeners(draft: Draft) -> Iterator[Finding]:
    """Yield each vServer at the address, port and transport protocol of another."""
    listeners = [
        index if vserver is None else (vserver.address, vserver.protocol.transport)
        for index, vserver in enumerate(draft.vservers)
    ]
    for index, first in repeats(listeners):
        vserver = draft.vservers[index]
        assert vserver is not None
        where = f"{vserver.protocol.transport} port {vserver.address.port}"
        text = (
            f"found {shown(vserver.address)}, expected an address and port of its own: "
            f"vservers[{first}] listens there on {where}"
        )
        yield Finding(("vservers", index, "address"), text)


def _unique_interfaces(draft: Draft) -> Iterator[Finding]:
    """Yield each NIC on the interface of another, and in the same VLAN."""
    interfaces = [
        (nic.netns, nic.interface, nic.vlan) if nic is not None and nic.uses_interface else index
        for index, nic in enumerate(draft.nics)
    ]
    for index, first in repeats(interfaces):
        nic = draft.nics[index]
        assert nic is not None
        text = f"found {shown(nic.interface)}, which is the interface of nics[{first}] already"
        yield Finding(("nics", index, "interface"), text)


def _bridges_of_two(draft: Draft) -> Iterator[Finding]:
    """Yield each NIC with a bridge to one that has none to it."""
    others = {nic.name: nic.bridge for _, nic in _entries(draft.nics)}
    for index, nic in _entries(draft.nics):
        if nic.bridge is None or len(others) < len(draft.nics):
            continue
        if nic.bridge == nic.name or others.get(nic.bridge) != nic.name:
            text = f"found {shown(nic.bridge)}, expected the name of another NIC whose bridge is {shown(nic.name)}"
            yield Finding(("nics", index, "bridge"), text)


def _room_for_nics(draft: Draft) -> Iterator[Finding]:
    """Yield more NICs than there is to be room for, and room where no NIC can come."""
    appliance, distribution = draft.appliance, draft.distribution
    if appliance is None or appliance.max_nics is None or distribution is None:
        return
    where: Location = ("appliance", "max_nics")
    if appliance.max_nics < len(draft.nics):
        yield Finding(where, f"found {appliance.max_nics}, expected at least the number of NICs, {len(draft.nics)}")
    elif appliance.max_nics > len(draft.nics) and distribution.placement is not Placement.CORE:
        text = (
            f"found {appliance.max_nics}, but with distribution.placement {shown(distribution.placement)} no NIC comes"
        )
        yield Finding(where, f"{text} while the appliance runs")
    elif appliance.max_nics > len(draft.nics) and distribution.parallelism is Parallelism.NIC:
        text = f'found {appliance.max_nics}, but with distribution.parallelism "nic" no NIC comes'
        yield Finding(where, f"{text} while the appliance runs")


def _unique_files(draft: Draft) -> Iterator[Finding]:
    """Yield each file that is written to although another NIC or key names it too."""
    readers = {nic.input: f"nics[{index}].input" for index, nic in _entries(draft.nics) if nic.input}
    for index, nic in _entries(draft.nics):
        for key, path in (("output", nic.output), ("trace", nic.trace)):
            if path is None:
                continue
            if path in readers:
                text = f"found {shown(path)}, expected a file of its own: {readers[path]} names this one"
                yield Finding(("nics", index, key), text)
            readers.setdefault(path, f"nics[{index}].{key}")


def _reachable_services(draft: Draft) -> Iterator[Finding]:
    """Yield each service that is on no NIC's network while there is no gateway of its family."""
    nics = [nic for nic in draft.nics if nic is not None]
    if not nics or len(nics) < len(draft.nics):
        return
    for index, service in _entries(draft.services):
        address = service.address.address
        if not any(nic.leads_to(address) for nic in nics):
            networks = ", ".join(str(network) for nic in nics for network in nic.networks)
            text = f"found {shown(service.address)}, expected a host in {networks}, or a NIC with a gateway"
            yield Finding(("services", index, "address"), text)


def _services_of_one_family(draft: Draft) -> Iterator[Finding]:
    """Yield each service of a vServer of protocol ANY with an address of the other family: nothing is translated."""
    versions = {service.name: service.address.address.version for _, service in _entries(draft.services)}
    for index, vserver in _entries(draft.vservers):
        if vserver.protocol is not Protocol.ANY:
            continue
        for place, name in enumerate(vserver.services):
            if versions.get(name, vserver.address.address.version) != vserver.address.address.version:
                text = f"found {shown(name)}, expected a service with an IPv{vserver.address.address.version} address"
                yield Finding(("vservers", index, "services", place), text + ', as the protocol is "ANY"')


def _hosts_of_networks(draft: Draft) -> Iterator[Finding]:
    """Yield each VIP or service that has the first or last address of a network: no host has those."""
    endpoints = [("vservers", index, entry.address) for index, entry in _entries(draft.vservers)]
    endpoints += [
        ("services", index, entry.address)
        for index, entry in _entries(draft.services)
        if any(nic is not None and nic.gateway_to(entry.address.address) for nic in draft.nics)
    ]
    networks = [network for _, nic in _entries(draft.nics) for network in nic.networks]
    for section, index, endpoint in endpoints:
        for network in networks:
            if endpoint.address in network and not is_host_in(endpoint.address, network):
                which = "not its first" if network.version == 6 else "neither its first nor its last"
                text = f"found {shown(endpoint)}, expected a host in {network}, {which}"
                yield Finding((section, index, "address"), text)


def _flows_outlive_silence(draft: Draft) -> Iterator[Finding]:
    """Yield a flow timeout that could give a quiet but living connection to another engine."""
    if draft.distribution is None:
        return
    longest, location = max(_quiet_waits(draft), key=lambda wait: wait[0], default=(0, ()))
    if draft.distribution.flow_timeout < longest:
        default = "" if "flow_timeout" in draft.distribution.model_fields_set else "the default "
        text = (
            f"found {default}{shown(format_time(draft.distribution.flow_timeout))}, "
            f"expected at least {format_time(longest)}, which is {key_path(location)}: "
            "a quiet connection has to keep its engine"
        )
        yield Finding(("distribution", "flow_timeout"), text)


def _a_weight_for_each_engine(draft: Draft) -> Iterator[Finding]:
    if draft.appliance is None or draft.distribution is None or draft.distribution.weights is None:
        return
    yield from _one_for_each_engine("weights", len(draft.distribution.weights), draft.appliance.engines)


def _one_for_each_engine(key: str, found: int, engines: int) -> Iterator[Finding]:
    if found != engines:
        text = f"found {found} {key}, expected {engines}, one for each engine (appliance.engines)"
        yield Finding(("distribution", key), text)


def _a_function_for_each_engine(draft: Draft) -> Iterator[Finding]:
    if draft.appliance is None or draft.distribution is None or draft.distribution.functions is None:
        return
    yield from _one_for_each_engine("functions", len(draft.distribution.functions), draft.appliance.engines)


def _engines_of_things(draft: Draft) -> Iterator[Finding]:
    """Yield engines of a vServer or NIC that there are not, or that the parallelism has no use for."""
    listed = [("vservers", Parallelism.VIP, index, entry.engines) for index, entry in _entries(draft.vservers)]
    listed += [("nics", Parallelism.NIC, index, entry.engines) for index, entry in _entries(draft.nics)]
    for section, parallelism, index, engines in listed:
        if engines is not None and draft.distribution and draft.distribution.parallelism is not parallelism:
            text = f"found engines, which belong to distribution.parallelism {shown(parallelism)} only"
            yield Finding((section, index, "engines"), text)
        for position, engine in enumerate(engines or ()):
            if draft.appliance and engine >= draft.appliance.engines:
                text = f"found {engine}, expected the number of an engine, 0 to {draft.appliance.engines - 1}"
                yield Finding((section, index, "engines", position), text)


def _overrides_of_engines(draft: Draft) -> Iterator[Finding]:
    """Yield overrides of engines that there are not, and what does not go together with the rest."""
    uneven = {index: one for index, one in _entries(draft.overrides) if one.memory != 100}
    for index, one in _entries(draft.overrides):
        if draft.appliance and one.engine >= draft.appliance.engines:
            last = draft.appliance.engines - 1
            text = f"found {shown(one.name)}, expected the name of an engine, engine-0 to engine-{last}"
            yield Finding(("overrides", index, "name"), text)
        functional = draft.distribution and draft.distribution.parallelism is Parallelism.FUNCTIONAL
        if one.function is not None and not functional:
            text = 'found a function, which belongs to distribution.parallelism "functional" only'
            yield Finding(("overrides", index, "function"), text)
    linked = any(vserver.key or vserver.unit is Unit.TRANSACTION for _, vserver in _entries(draft.vservers))
    if linked or (draft.distribution and draft.distribution.parallelism is Parallelism.FUNCTIONAL):
        for index, one in uneven.items():
            text = f"found {one.memory}, expected 100: engines with virtual connections have the same memory each"
            yield Finding(("overrides", index, "memory"), text)


def _transactions_on_all_engines(draft: Draft) -> Iterator[Finding]:
    """Yield a unit that does not go with engines which only terminate TCP or only serve."""
    if draft.distribution is None or draft.distribution.parallelism is not Parallelism.FUNCTIONAL:
        return
    for index, vserver in _entries(draft.vservers):
        if vserver.unit is Unit.TRANSACTION:
            text = 'found "transaction", which does not go together with distribution.parallelism "functional"'
            yield Finding(("vservers", index, "unit"), text)


def _splices_of_one_family(draft: Draft) -> Iterator[Finding]:
    """Yield each service of the other family than a vServer whose packets are only translated."""
    families = {service.name: service.address.address.version for _, service in _entries(draft.services)}
    for index, vserver in _entries(draft.vservers):
        own = vserver.address.address.version
        for position, name in enumerate(vserver.services if vserver.mode is Mode.SPLICE else ()):
            if families.get(name, own) != own:
                text = (
                    f"found {shown(name)}, an IPv{families[name]} service, expected one of IPv{own}, as the vServer: "
                )
                text += 'mode "splice" changes no packet\'s length'
                yield Finding(("vservers", index, "services", position), text)


def _quiet_waits(draft: Draft) -> Iterator[tuple[int, Location]]:
    sections: list[tuple[Location, Timeouts | TimeoutOverrides | None]] = [(("timeouts",), draft.timeouts)]
    for index, vserver in _entries(draft.vservers):
        sections.append((("vservers", index, "timeouts"), vserver.timeouts))
    for location, section in sections:
        for key in _QUIET_TIMEOUTS if section is not None else ():
            value = getattr(section, key)
            if value is not None:
                yield value, (*location, key)
