"""What an appliance says of itself: its state, its counters, its connections. Everything is read from the arena."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from ncore_ray.arena.core import Actor, Stage
from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes
from ncore_ray.blueprint.parallelism import nic_towards
from ncore_ray.config.model import Configuration, Nic, VServer
from ncore_ray.flow.explain import Explanation, explain
from ncore_ray.flow.records import ALGORITHM_WORDS
from ncore_ray.flow.scaling import count_entries
from ncore_ray.machine.record import view
from ncore_ray.machine.system import monotonic_us
from ncore_ray.management import counters
from ncore_ray.management.application import application_of
from ncore_ray.management.connections import Clients, count_clients, find_connection, list_connections
from ncore_ray.management.directory import by_name, service_rows, vserver_rows
from ncore_ray.management.dump import dump_flows
from ncore_ray.management.latencies import latencies, service_latencies
from ncore_ray.management.reports import total_services, total_vservers
from ncore_ray.management.sources import CounterSource
from ncore_ray.management.team import Member, Team
from ncore_ray.management.timers import timers
from ncore_ray.wire.address import end_text, words_of

Plain = dict[str, Any]


@dataclass
class Reporter:
    """Answers questions about one appliance that is built."""

    configuration: Configuration
    """As it is now; the service of the configuration changes it."""
    team: Team
    array: Bytes
    source: CounterSource
    """Where the counters of the cores come from."""
    state_of_engine: Callable[[Member], str] | None = None
    """Returns what an engine is up to: set by who lets engines come and go."""

    def status(self) -> Plain:
        """Return what the appliance consists of, and how each actor is."""
        engines = self.configuration.appliance.engines
        return {
            "engines": engines,
            "arena_bytes": self.team.blueprint.size,
            "dimensions": asdict(self.team.blueprint.dimensions),
            "actors": self._actors(monotonic_us()),
            "standbys": [{"name": one.name, "process": one.process} for one in self.team.standbys],
            "nics": [_nic_row(nic) for nic in self.configuration.nics],
            "vservers": [_vserver_row(vserver) for vserver in self.configuration.vservers],
            "services": self.health(),
            "given_up": counters.given_up(self.array),
            "service_addresses": {service.name: str(service.address) for service in self.configuration.services},
        }

    def health(self) -> dict[str, str]:
        """Return the health of each service: up, down or unknown."""
        return counters.service_health(self.array)

    def clients(self) -> Clients:
        """Count the clients' connections; those of an engine that has died will never end, so they are none."""
        living = (member.number - Actor.ENGINE for member in self.team.engines if member.failure is None)
        return count_clients(self.array, living)

    def engines(self) -> list[int]:
        """Return the numbers of the engines that there are, or were: what was counted stays."""
        there = {member.number - Actor.ENGINE for member in self.team.engines}
        room = range(view(Arena, self.array).engine_count)
        return [k for k in room if k in there or counters.core_view(self.array, Actor.ENGINE + k).breaths]

    def _actors(self, now: int) -> list[Plain]:
        owner = self.team.members[0]
        return [*(self._actor_row(member, now) for member in self.team.workers), _owner_row(owner)]

    def _actor_row(self, member: Member, now: int) -> Plain:
        numbers = counters.core_numbers(self.array, member.number)
        return {
            "name": member.name,
            "kind": member.kind,
            "process": member.process,
            "cpu": member.cpu,
            "state": self._state_of(member),
            "host": member.host or None,
            "failure": None if member.is_new else member.failure,
            "heartbeat_age_ms": max(now - numbers["heartbeat_at"], 0) / 1000,
            "breaths": numbers["breaths"],
            "busy_us": numbers["busy_us"],
            "sleeps": numbers["sleeps"],
            "stage": Stage(numbers["stage"]).name.lower(),
            "restarts": numbers["restarts"],
        }

    def _state_of(self, member: Member) -> str:
        if self.state_of_engine is not None and member.kind == "PacketEngine":
            return self.state_of_engine(member)
        return "failed" if member.failure else counters.core_state(self.array, member.number)

    def stat(self) -> Plain:
        """Return all counters: per actor, vServer and service, with the instant (µs) they were read at."""
        array, found = self.array, self.source.reports()
        told = found.get(Actor.DISTRIBUTOR)
        actors = {"distributor": told.counters if told else counters.distributor_counters(array)}
        actors |= {f"nic-{name}": counters.nic_counters(array, k) for k, name in self.nics() if name}
        actors |= {f"engine-{k}": found[Actor.ENGINE + k].counters for k in self.engines()}
        services = by_name(service_rows(array), total_services(array, found.values()))
        health = self.health()
        return {
            "at_us": monotonic_us(),
            "actors": actors,
            "cores": {name: counters.core_numbers(array, number) for name, number in self.cores().items()},
            "timers": timers(array),
            "latencies": latencies(array, vserver_rows(array)),
            "service_latencies": service_latencies(array, service_rows(array)),
            "vservers": by_name(vserver_rows(array), total_vservers(array, found.values())),
            "services": {name: {"health": health.get(name, "unknown"), **services[name]} for name in services},
        }

    def flow_entries(self) -> dict[str, int]:
        """Return how many entries of the flow table name each engine, counted one by one."""
        return {f"engine-{k}": count_entries(self.array, k) for k in self.engines()}

    def nics(self) -> list[tuple[int, str]]:
        """Return place and name of the NICs that there are, or were; "" where there never was one."""
        return list(enumerate(self.team.seats.names))

    def cores(self) -> dict[str, int]:
        """Return the numbers of the actors that have, or had, a loop, by name."""
        past = {f"engine-{k}": Actor.ENGINE + k for k in self.engines()}
        return past | {member.name: member.number for member in self.team.workers}

    def flows(self, limit: int) -> list[Plain]:
        """Return up to ``limit`` live connections."""
        rows = list_connections(self.array, monotonic_us(), limit)
        return [row.as_dict() for row in rows]

    def dump_flows(self, limit: int, vserver: str | None) -> list[Plain]:
        """Return up to ``limit`` flows with all that their engines know of them."""
        return dump_flows(self.array, monotonic_us(), limit, vserver)

    def explain_flow(self, flow: tuple[str, int, str, int, str]) -> Plain:
        """Return where a flow goes and why, what it is for, and its connection if it lives. Raises NcoreError."""
        source, source_port, destination, destination_port, protocol = flow
        nic = nic_towards(self.team.seats.seated(self.configuration), source)
        found = explain(self.array, source, source_port, destination, destination_port, protocol, nic=nic)
        ends = end_text(*words_of(source), source_port), end_text(*words_of(destination), destination_port)
        vserver = self._vserver_at(ends[1], protocol)
        row = find_connection(self.array, monotonic_us(), *ends, protocol)
        return {
            **_explanation_row(found),
            "vserver": vserver and vserver.name,
            **self._application(vserver, found.engine, source, source_port),
            "connection": row and row.as_dict(),
        }

    def _application(self, vserver: VServer | None, engine: int | None, source: str, port: int) -> Plain:
        """Return which engine serves a client, where that need not be the one that terminates its TCP."""
        if self.team.blueprint.links is None or vserver is None or engine is None:
            return {"application_engine": engine, "application_reason": None}
        served_by, reason = application_of(self.array, vserver, engine, source, port)
        return {"application_engine": served_by, "application_reason": reason}

    def _vserver_at(self, address: str, protocol: str) -> VServer | None:
        """Return the vServer at an address and port, else the one of protocol ANY at the address."""
        own = ((address, protocol.upper()), (address.rpartition(":")[0] + ":*", "ANY"))
        for at, transport in own if protocol != "tcp" else own[:1]:
            for vserver in self.configuration.vservers:
                if str(vserver.address) == at and vserver.protocol.transport == transport:
                    return vserver
        return None


def _explanation_row(found: Explanation) -> Plain:
    return {
        "flow": found.flow,
        "engine": found.engine,
        "rule": found.rule.name.lower(),
        "reason": str(found).removeprefix(found.flow + ": "),
        "dropped": None if found.cause is None else found.cause.name.lower(),
        "algorithm": ALGORITHM_WORDS[found.algorithm],
        "hash": f"0x{found.engine_hash:08x}",
        "table_entry": found.bucket,
        "flow_state": found.state.name.lower(),
    }


def _owner_row(member: Member) -> Plain:
    return {
        "name": member.name,
        "kind": member.kind,
        "process": member.process,
        "cpu": None,
        "state": "failed" if member.failure else "running",
        "failure": member.failure,
        "heartbeat_age_ms": None,
        "breaths": None,
        "busy_us": None,
        "sleeps": None,
        "stage": None,
        "restarts": member.restarts,
    }


def _nic_row(nic: Nic) -> Plain:
    return {
        "name": nic.name,
        "driver": nic.driver.value,
        "interface": nic.interface if nic.uses_interface else None,
        "netns": nic.netns,
        "addresses": [str(address) for address in nic.addresses],
        "faults": None if nic.faults is None else nic.faults.model_dump(mode="json", exclude_defaults=True),
        "trace": None if nic.trace is None else str(nic.trace),
    }


def _vserver_row(vserver: VServer) -> Plain:
    return {
        "name": vserver.name,
        "address": str(vserver.address),
        "protocol": vserver.protocol.value,
        "method": vserver.method.value,
        "services": list(vserver.services),
    }
