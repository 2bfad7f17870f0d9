"""Who is compared: the kernel's forwarding alone, HAProxy, nginx, and the appliance.

All are driven in the same way and stand in the same place of the same network. HAProxy and nginx are set up as their
manuals advise for speed: connections to the server kept and shared, no logging, no limits in the way, one thread (or
worker), free to run on any core. They add X-Forwarded-For, as the appliance does.
"""

from __future__ import annotations

import importlib
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

from benchmarks.memory import proportional_bytes
from ncore_ray.lab import cpu
from ncore_ray.lab.network import VIP, Network
from ncore_ray.lab.process import Process, find_program

PORT: Final = 80
_LIFETIME_S: Final = 900.0


class Peer(ABC):
    """Something that stands between the client and the servers."""

    name: str
    forwarding: bool = True
    """Whether the kernel of the appliance's host owns the addresses and routes (see ``Layout``)."""

    @abstractmethod
    def start(self, network: Network, services: Sequence[str]) -> str:
        """Serve ``services`` (``10.2.0.2:80`` …); return ``ADDRESS:PORT`` to talk to, once it answers there."""

    @abstractmethod
    def stop(self) -> None:
        """End it. Called once after each start, also after a failed one."""

    @abstractmethod
    def pids(self) -> list[int]:
        """Return the roots of its process trees: everything it needs to do its work, and nothing else."""

    def missing(self) -> str | None:
        """Return in one sentence why it cannot run here, None when it can."""
        return None

    def cpu_seconds(self) -> float:
        """User + system time in s of all its processes so far."""
        return cpu.cpu_seconds(*self.pids())

    def memory_bytes(self) -> int:
        """Memory of all its processes; pages that several of them share count once."""
        return sum(proportional_bytes(pid) for root in self.pids() for pid in cpu.process_tree(root))


class Direct(Peer):
    """No proxy: the kernel forwards packets to the (first) server. The limit of the test bed itself."""

    name = "direct"

    def start(self, network: Network, services: Sequence[str]) -> str:
        """Nothing to start: the client talks to the server."""
        return services[0]

    def stop(self) -> None:
        """Nothing to stop."""

    def pids(self) -> list[int]:
        """No processes: the work is done in the kernel, in the client's and the server's time."""
        return []


class Program(Peer):
    """A proxy that is one program with a configuration file."""

    program: str

    def __init__(self) -> None:
        self._process: Process | None = None

    @abstractmethod
    def configuration(self, folder: Path, services: Sequence[str]) -> str:
        """Return the text of the configuration file."""

    @abstractmethod
    def arguments(self, file: Path) -> list[str]:
        """Return the command line that runs it in the foreground with a configuration file."""

    def missing(self) -> str | None:
        """Tell whether the program is installed."""
        return None if find_program(self.program) else f"{self.program} is not installed"

    def start(self, network: Network, services: Sequence[str]) -> str:
        """Write the configuration and start the program on the appliance's host."""
        file = network.folder / f"{self.name}.conf"
        file.write_text(self.configuration(network.folder, services), encoding="utf-8")
        self._process = network.appliance.start(self.arguments(file), name=self.name, lifetime_s=_LIFETIME_S)
        self._process.wait_port(VIP, PORT)
        return f"{VIP}:{PORT}"

    def stop(self) -> None:
        """End the program."""
        if self._process:
            self._process.stop()

    def pids(self) -> list[int]:
        """Return its one root process."""
        return [self._process.pid] if self._process else []


class HAProxy(Program):
    """HAProxy in HTTP mode."""

    program = "haproxy"

    def __init__(self, threads: int = 1) -> None:
        super().__init__()
        self.name = "haproxy" if threads == 1 else f"haproxy-{threads}"
        self._threads = threads

    def configuration(self, folder: Path, services: Sequence[str]) -> str:
        """Server connections are kept and shared by all clients (``http-reuse always``)."""
        servers = "\n".join(
            f"    server s{n} {address} pool-max-conn -1 pool-purge-delay 60s" for n, address in enumerate(services)
        )
        return f"""global
    nbthread {self._threads}
    maxconn 8000
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout http-keep-alive 60s
    http-reuse always
    option forwardfor
listen www
    bind {VIP}:{PORT} backlog 65535
    balance roundrobin
{servers}
"""

    def arguments(self, file: Path) -> list[str]:
        """Run in the foreground."""
        return [self.program, "-db", "-f", str(file)]


class Nginx(Program):
    """Nginx as a proxy, one worker."""

    program = "nginx"
    name = "nginx"

    def configuration(self, folder: Path, services: Sequence[str]) -> str:
        """Server connections are kept in a pool."""
        servers = "\n".join(f"        server {address} max_fails=0;" for address in services)
        return nginx_configuration(
            folder,
            f"""
    upstream www {{
{servers}
        keepalive 1024;
        keepalive_requests 1000000000;
        keepalive_timeout 60s;
    }}
    server {{
        listen {VIP}:{PORT} backlog=65535;
        location / {{
            proxy_pass http://www;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }}
    }}""",
        )

    def arguments(self, file: Path) -> list[str]:
        """Run in the foreground."""
        return nginx_arguments(file)


def nginx_configuration(folder: Path, inside_http: str) -> str:
    """Return an nginx configuration that writes only below ``folder``: one worker, no logging, keep-alive for ever."""
    temporary = "\n".join(
        f"    {kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""daemon off;
master_process off;
pid {folder}/nginx-{abs(hash(inside_http))}.pid;
error_log stderr error;
events {{ worker_connections 16384; }}
http {{
{temporary}
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 60s;
    tcp_nodelay on;
{inside_http}
}}
"""


def nginx_arguments(file: Path) -> list[str]:
    """Return the command line that runs nginx with a configuration file."""
    return ["nginx", "-e", "stderr", "-c", str(file)]


class RunningAppliance(Protocol):
    """What ``benchmarks/appliance.py`` gives for a started appliance."""

    endpoint: str
    """Where the vServer answers, ``ADDRESS:PORT``."""

    def pids(self) -> list[int]:
        """Return the processes of *all* its actors."""

    def stop(self) -> None:
        """Take it down."""


ApplianceFactory = Callable[[Network, Sequence[str]], RunningAppliance]
"""Starts an appliance on ``network.appliance`` (devices nc0 and nc1, kernel without addresses) that serves the
services at the VIP, port 80; returns when it answers."""


class Appliance(Peer):
    """The appliance, with one placement or configuration of it."""

    forwarding = False

    def __init__(self, name: str, factory: ApplianceFactory) -> None:
        self.name = name
        self._factory = factory
        self._running: RunningAppliance | None = None

    def start(self, network: Network, services: Sequence[str]) -> str:
        """Start it by its factory."""
        self._running = self._factory(network, services)
        return self._running.endpoint

    def stop(self) -> None:
        """Take it down."""
        if self._running:
            self._running.stop()
            self._running = None

    def pids(self) -> list[int]:
        """Return the processes of its actors."""
        return self._running.pids() if self._running else []


def known_peers() -> dict[str, Peer]:
    """Return every peer by name.

    Appliances come from ``benchmarks/appliance.py``, which has ``FACTORIES: dict[str, ApplianceFactory]``.
    """
    peers: list[Peer] = [Direct(), HAProxy(), Nginx(), HAProxy(threads=2)]
    if importlib.util.find_spec("benchmarks.appliance"):
        factories: dict[str, ApplianceFactory] = importlib.import_module("benchmarks.appliance").FACTORIES
        peers += [Appliance(name, factory) for name, factory in factories.items()]
    return {peer.name: peer for peer in peers}
