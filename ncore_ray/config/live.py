"""Which changes a running appliance takes at once, and which need a new one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from ncore_ray.config.change import Add, Bind, Change, Move, Remove, Set, Unbind, Unset
from ncore_ray.config.model import Configuration, Parallelism, Placement, Unit

_LIVE: Final = {
    "nic": ("addresses", "gateway", "gateway6", "routes", "proxy_arp"),
    "appliance": ("engines", "drain_time"),
    "distribution": ("algorithm", "weights"),
    "timeouts": ("client_idle", "header", "connect", "server", "keepalive", "fin_wait", "user", "udp"),
    "tcp": (
        *("initial_window", "congestion", "sack", "delayed_ack", "pacing", "ecn", "mtu_probing", "nagle", "cork"),
        *("min_rto", "max_rto", "syn_retries", "retries", "syn_cookies", "challenge_acks"),
        *("stray_resets", "fast_open"),
    ),
    "limits": ("idle_server_connections", "icmp_errors", "echo_replies"),
}
"""Sections of which some keys may change; all of services and nearly all of vServers may."""
_DEVICE: Final = ("driver", "interface", "netns", "vlan", "mac", "host", "input", "output", "faults", "trace")
"""Keys of a NIC with which it is opened: it is closed and opened anew (placement `core`)."""
_WHY: Final = {
    "override": "each engine's memory and core are settled when the appliance is built",
    "nic": "what a NIC is bridged with, its MTU and its engines are settled when it comes: remove it and add it anew",
    "appliance": "actors and shared memory are made when the appliance is built",
    "distribution": "the flow table and the rings are made for it when the appliance is built",
    "timeouts": "the flow table is made for it when the appliance is built",
    "tcp": "the memory of connections that live is shared out by it",
    "limits": "the tables are made as large when the appliance is built",
    "access_log": "its buffers and its file are made when the appliance is built",
    "logs": "its files are opened when the appliance is built",
    "statistics": "the actors begin to report when the appliance is built",
}


def restart_reasons(changes: Iterable[Change], running: Configuration, *, has_links: bool) -> list[str]:
    """Return a sentence for each key that cannot change while the appliance runs.

    ``has_links`` says whether its engines reach each other's applications (virtual connections).
    """
    return list(dict.fromkeys(reason for change in changes for reason in _reasons(change, running, has_links)))


def _reasons(change: Change, running: Configuration, has_links: bool) -> Iterator[str]:
    match change:
        case Bind() | Unbind():
            return
        case Add(kind="vserver") | Remove(kind="vserver") if running.distribution.parallelism is Parallelism.VIP:
            yield _sentence(f"vserver {change.name}", "which engines run which VIP is settled when it is built (vip)")
        case Move(kind="nic" | "override") | Add(kind="override") | Remove(kind="override"):
            yield _sentence(f"{change.kind} {change.name}", _WHY[change.kind])
        case Add(kind="nic") | Remove(kind="nic"):
            yield from _reasons_of_nic(change, running)
        case Add() | Set():
            for key, _ in change.values:
                yield from _reasons_of_key(change, key, running, has_links)
        case Unset():
            for key in change.keys:
                yield from _reasons_of_key(change, key, running, has_links)


def _reasons_of_nic(change: Add | Remove, running: Configuration) -> Iterator[str]:
    subject, distribution = f"nic {change.name}", running.distribution
    if distribution.placement is not Placement.CORE:
        placement = distribution.placement
        yield _sentence(subject, f"with distribution.placement {placement} each engine has a receive queue of each NIC")
    if distribution.parallelism is Parallelism.NIC:
        yield _sentence(subject, "which engines serve which NIC is settled when the appliance is built")
    bridged = [nic.name for nic in running.nics if nic.bridge]
    if change.name in bridged or (isinstance(change, Add) and any(key == "bridge" for key, _ in change.values)):
        yield _sentence(subject, "bridges are made when the appliance is built")


def _reasons_of_key(change: Add | Set | Unset, key: str, running: Configuration, has_links: bool) -> Iterator[str]:
    subject = f"{change.kind} {change.name}: {key}" if change.name else f"{change.kind}.{key}"
    if change.kind == "vserver" and key == "engines":
        yield _sentence(subject, "which engines run which VIP is settled when the appliance is built")
    elif change.kind == "vserver" and key == "unit":
        yield from _reasons_of_unit(subject, change, running)
    elif change.kind == "vserver" and key.partition(".")[0] == "key":
        if not has_links and running.appliance.engine_room > 1:
            yield _sentence(subject, "the appliance was built without virtual connections between its engines")
    elif change.kind == "nic" and key.partition(".")[0] in _DEVICE:
        if running.distribution.placement is not Placement.CORE:
            yield _sentence(subject, "the engines' receive queues are made with the NIC")
    elif change.kind not in ("service", "vserver") and key not in _LIVE.get(change.kind, ()):
        yield _sentence(subject, _WHY[change.kind])


def _reasons_of_unit(subject: str, change: Add | Set | Unset, running: Configuration) -> Iterator[str]:
    """A vServer may be added with transactions where there are some already; none changes its unit."""
    has_some = any(vserver.unit is Unit.TRANSACTION for vserver in running.vservers)
    if running.appliance.engine_room > 1 and not (isinstance(change, Add) and has_some):
        yield _sentence(subject, "what requests of one connection need is made when the appliance is built")


def _sentence(subject: str, why: str) -> str:
    return f"{subject} needs a restart (ncore deploy): {why}"
