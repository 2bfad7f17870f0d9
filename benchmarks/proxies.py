"""HAProxy and nginx in the appliance's place, set up as their manuals advise for speed.

Connections to the server kept and shared (HTTP), no logging, no limits in the way, one thread (or worker), free to run
on any core. For HTTP they add X-Forwarded-For, as the appliance does.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Final

from benchmarks.nginx import has_stream, nginx_arguments, nginx_http, nginx_stream
from benchmarks.peers import PORT, Peer, Protocol, Service
from ncore_ray.lab.network import VIP, Network
from ncore_ray.lab.process import Process, find_program

_LIFETIME_S: Final = 900.0


class Program(Peer):
    """A proxy that is one program with a configuration file."""

    program: str

    def __init__(self) -> None:
        self._process: Process | None = None

    @abstractmethod
    def configuration(self, folder: Path, service: Service) -> str:
        """Return the text of the configuration file."""

    @abstractmethod
    def arguments(self, file: Path) -> list[str]:
        """Return the command line that runs it in the foreground with a configuration file."""

    def missing(self, protocol: Protocol = Protocol.HTTP) -> str | None:
        """Tell whether the program is installed."""
        return None if find_program(self.program) else f"{self.program} is not installed"

    def start(self, network: Network, service: Service) -> str:
        """Write the configuration and start the program on the appliance's host."""
        file = network.folder / f"{self.name}.conf"
        file.write_text(self.configuration(network.folder, service), encoding="utf-8")
        self._process = network.appliance.start(self.arguments(file), name=self.name, lifetime_s=_LIFETIME_S)
        self._process.wait_port(VIP, PORT)
        return f"{VIP}:{PORT}"

    def stop(self) -> None:
        """End the program."""
        if self._process:
            self._process.stop()
            self._process = None

    def pids(self) -> list[int]:
        """Return its one root process."""
        return [self._process.pid] if self._process else []


class HAProxy(Program):
    """HAProxy in mode http or tcp."""

    program = "haproxy"

    def __init__(self, threads: int = 1) -> None:
        super().__init__()
        self.name = "haproxy" if threads == 1 else f"haproxy-{threads}"
        self._threads = threads

    def missing(self, protocol: Protocol = Protocol.HTTP) -> str | None:
        """HAProxy (without its enterprise edition) does not balance UDP."""
        return "HAProxy does not balance UDP" if protocol is Protocol.UDP else super().missing(protocol)

    def configuration(self, folder: Path, service: Service) -> str:
        """HTTP: server connections are kept and shared by all clients (``http-reuse always``)."""
        is_http = service.protocol is Protocol.HTTP
        keep = "pool-max-conn -1 pool-purge-delay 60s" if is_http else ""
        servers = "\n".join(f"    server s{n} {address} {keep}" for n, address in enumerate(service.addresses))
        mode = _HAPROXY_HTTP if is_http else _HAPROXY_TCP
        return f"""global
    nbthread {self._threads}
    maxconn 12000
    no strict-limits
defaults
    timeout connect 5s
    timeout client 60s
    timeout server 60s
{mode}
listen www
    bind {VIP}:{PORT} backlog 65535
    balance roundrobin
{servers}
"""

    def arguments(self, file: Path) -> list[str]:
        """Run in the foreground."""
        return [self.program, "-db", "-f", str(file)]


_HAPROXY_HTTP: Final = """    mode http
    timeout http-keep-alive 60s
    http-reuse always
    option forwardfor"""
_HAPROXY_TCP: Final = """    mode tcp
    option splice-auto"""


class Nginx(Program):
    """Nginx as a proxy, one worker: ``proxy_pass`` of the modules http and stream."""

    program = "nginx"
    name = "nginx"

    def missing(self, protocol: Protocol = Protocol.HTTP) -> str | None:
        """TCP and UDP need the module stream, which is a package of its own in Debian."""
        why = super().missing(protocol)
        if why is None and protocol is not Protocol.HTTP and not has_stream():
            return "this nginx has no module stream (package libnginx-mod-stream)"
        return why

    def configuration(self, folder: Path, service: Service) -> str:
        """HTTP: server connections are kept in a pool, and bodies are passed on as they come, not by way of a file."""
        if service.protocol is not Protocol.HTTP:
            return nginx_stream(folder, self.name, _stream(service))
        servers = "\n".join(f"        server {address} max_fails=0;" for address in service.addresses)
        return nginx_http(
            folder,
            self.name,
            f"""
    upstream www {{
{servers}
        keepalive 1024;
        keepalive_requests 1000000000;
        keepalive_timeout 60s;
    }}
    server {{
        listen {VIP}:{PORT} backlog=65535;
        client_max_body_size 0;
        location / {{
            proxy_pass http://www;
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_max_temp_file_size 0;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }}
    }}""",
        )

    def arguments(self, file: Path) -> list[str]:
        """Run in the foreground."""
        return nginx_arguments(file)


def _stream(service: Service) -> str:
    """Return the inside of ``stream``. With UDP, a TCP port beside it tells the harness that nginx is up."""
    servers = "\n".join(f"        server {address} max_fails=0;" for address in service.addresses)
    listeners = [f"{VIP}:{PORT} backlog=65535"]
    if service.protocol is Protocol.UDP:
        listeners.append(f"{VIP}:{PORT} udp")
    blocks = "\n".join(
        f"""    server {{
        listen {listener};
        proxy_pass www;
        proxy_timeout 60s;
        proxy_buffer_size 64k;
    }}"""
        for listener in listeners
    )
    return f"    upstream www {{\n{servers}\n    }}\n{blocks}"


def all_proxies() -> list[Peer]:
    """Return every proxy that is a program."""
    return [HAProxy(), Nginx(), HAProxy(threads=2)]
