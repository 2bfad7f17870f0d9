"""A host of the test bed: a namespace with devices, addresses and programs."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ncore_ray.lab.namespace import Namespace
from ncore_ray.lab.offload import Offloads, read_offloads, set_offloads
from ncore_ray.lab.process import Process

_QUIET: dict[
    str, int | str
] = {  # before any device exists: no IPv6 autoconfiguration, hence no router or neighbour solicitations
    "net/ipv6/conf/all/disable_ipv6": 1,
    "net/ipv6/conf/default/disable_ipv6": 1,
}
_MANY_CONNECTIONS: dict[str, int | str] = {
    "net/ipv4/ip_local_port_range": "10240 65000",
    "net/core/somaxconn": 65535,
    "net/ipv4/tcp_max_syn_backlog": 65535,
}


def mac_of(address: str) -> str:
    """Return a locally administered MAC address that shows the IPv4 address: 10.2.0.3 -> 02:00:0a:02:00:03."""
    return "02:00:" + ":".join(f"{int(part):02x}" for part in address.split("."))


class Host:
    """A namespace with what runs in it. ``role`` is the last part of its name: ``client``, ``web1`` …"""

    def __init__(self, prefix: str, role: str, logs: Path) -> None:
        self.role = role
        self.namespace = Namespace(f"{prefix}-{role}")
        self.address = ""
        """Its first IPv4 address, without prefix length; empty when the kernel owns none."""
        self.running: list[Process] = []
        self._logs = logs

    def create(self) -> None:
        """Make the namespace: loopback up, IPv6 silent, room for many connections."""
        self.namespace.create()
        if Path("/proc/sys/net/ipv6").is_dir():
            self.namespace.sysctl(_QUIET)
        self.namespace.sysctl(_MANY_CONNECTIONS)

    def connect(self, device: str, peer: Host, peer_device: str, *, mtu: int, macs: tuple[str, str]) -> None:
        """Join two hosts by a veth pair; both ends are up afterwards."""
        end = os.open(peer.namespace.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            far = {"ifname": peer_device, "net_ns_fd": end, "mtu": mtu, "address": macs[1]}
            self.namespace.netlink(
                lambda ip: ip.link("add", ifname=device, kind="veth", mtu=mtu, address=macs[0], peer=far)
            )
        finally:
            os.close(end)
        self.set_up(device)
        peer.set_up(peer_device)

    def set_up(self, device: str) -> None:
        """Bring a device up."""
        self.namespace.netlink(lambda ip: ip.link("set", index=_index(ip, device), state="up"))

    def add_address(self, device: str, address: str, prefix_length: int = 24) -> None:
        """Give the kernel of this host an IPv4 address; the first one becomes :attr:`address`."""
        self.namespace.netlink(
            lambda ip: ip.addr("add", index=_index(ip, device), address=address, prefixlen=prefix_length)
        )
        self.address = self.address or address

    def add_route(self, destination: str, gateway: str) -> None:
        """Add a route, ``10.2.0.0/24`` by way of ``10.1.0.10``."""
        self.namespace.netlink(lambda ip: ip.route("add", dst=destination, gateway=gateway))

    def add_bridge(self, bridge: str, ports: Sequence[str], *, mtu: int) -> None:
        """Join devices by an Ethernet bridge that forwards at once and sends nothing by itself."""

        def make(ip: Any) -> None:
            options = {"br_stp_state": 0, "br_forward_delay": 0, "br_mcast_snooping": 0}
            ip.link("add", ifname=bridge, kind="bridge", mtu=mtu, **options)
            for device in (*ports, bridge):
                master = {} if device == bridge else {"master": _index(ip, bridge)}
                ip.link("set", index=_index(ip, device), state="up", **master)

        self.namespace.netlink(make)

    def set_offloads(self, device: str, wanted: Offloads) -> None:
        """Set the offload switches of a device."""
        self.namespace.call(lambda: set_offloads(device, wanted))

    def offloads(self, device: str) -> Offloads:
        """Return the offload switches of a device."""
        return self.namespace.call(lambda: read_offloads(device))

    def start(
        self, arguments: Sequence[str], *, name: str = "", lifetime_s: float = 3600.0, read_output: bool = False
    ) -> Process:
        """Start a program here; it is ended with the network. Its log is ``<role>-<name>.log``."""
        log = self._logs / f"{self.role}-{name or Path(arguments[0]).name}.log"
        process = Process(
            arguments,
            namespace=self.namespace,
            log=log,
            name=name,
            lifetime_s=lifetime_s,
            read_output=read_output,
        )
        self.running.append(process)
        return process

    def command_text(self, arguments: Sequence[str]) -> str:
        """Return the shell command that runs something here by hand, for a person to paste."""
        inside = f"nsenter --net={self.namespace.path} {shlex.join(arguments)}"
        if os.environ.get("NCORE_LAB_USER_NAMESPACE"):
            return f"nsenter --target {os.getpid()} --user --mount --preserve-credentials {inside}"
        return inside

    def stop_programs(self) -> None:
        """End what was started here, the last first, and whatever else still lives in the namespace."""
        for process in reversed(self.running):
            process.stop()
        self.running.clear()
        end_processes(self.namespace)


def _index(ip: Any, device: str) -> int:
    found = ip.link_lookup(ifname=device)
    if not found:
        raise OSError(f"no device {device}")
    return int(found[0])


def end_processes(namespace: Namespace, grace_s: float = 2.0) -> None:
    """End every process of a namespace by its id: SIGTERM, and SIGKILL for what is left after ``grace_s``."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in namespace.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + grace_s
        while namespace.processes() and time.monotonic() < deadline:
            time.sleep(0.02)
