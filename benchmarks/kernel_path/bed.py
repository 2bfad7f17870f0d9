"""Client, server and appliance, with the same path from the client to the server's kernel and to the appliance.

```
          ┌─ kernel0 ── shim ── kernel1 ─┐
 client ──┤                              ├── server (nginx, iperf3)
          └─ wan0 ── shim ── nc0 [ appliance ] nc1 ── veth ─┘
```

The shims are threads of this process. Who sends over the path is the server's kernel in one case and the appliance in
the other; the programs at both ends are the same, and so are the losses.
"""

from __future__ import annotations

import contextlib
import random
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.kernel_path.shim import Shim, open_tap
from benchmarks.nginx import nginx_arguments, nginx_http
from benchmarks.simulation.path import Path as Way
from ncore_ray.appliance import session
from ncore_ray.demo.ray_node import own_ray
from ncore_ray.lab.guard import signals_as_exceptions, signals_held_back, sole_owner
from ncore_ray.lab.host import Host
from ncore_ray.lab.network import remove_all

PREFIX: Final = "ncore-path"
WEB_PORT: Final = 80
IPERF_PORT: Final = 5201
FILE: Final = "data.bin"
FILE_BYTES: Final = 64 << 20
_KERNEL: Final = "10.3.0.100"
_VIP: Final = "10.1.0.100"
_SERVER: Final = "10.2.0.2"
ENDS: Final = {"kernel": _KERNEL, "appliance": _VIP}
"""What the client connects to, by who answers there."""
_ARENA_MIB: Final = 256
_TEXT: Final = """
appliance: {{name: path, engines: 1, arena: {arena}MiB}}
nics:
  - {{name: nc0, driver: af_packet, netns: {netns}, addresses: [10.1.0.10/24]}}
  - {{name: nc1, driver: af_packet, netns: {netns}, addresses: [10.2.0.10/24]}}
services:
  - {{name: web, address: "{server}:{web}", monitor: none}}
  - {{name: iperf, address: "{server}:{iperf}", monitor: none}}
vservers:
  - {{name: www, address: "{vip}:{web}", protocol: HTTP, services: [web]}}
  - {{name: stream, address: "{vip}:{iperf}", protocol: TCP, services: [iperf]}}
tcp: {{{tcp}}}
"""


class Bed:
    """Everything that stands during the benchmark; built on entry, removed on exit."""

    def __init__(self, control: str = "cubic", tcp: str = "") -> None:
        """``control``: the congestion control of both; ``tcp``: further keys of the configuration's `tcp`."""
        self._control = control
        self._tcp = f"congestion: {control}" + (tcp and f", {tcp}")
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Bed:
        with contextlib.ExitStack() as stack:
            stack.enter_context(signals_as_exceptions())
            stack.enter_context(sole_owner(PREFIX))
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=PREFIX + "-")))
            self.client, self.server, self.appliance = (
                Host(PREFIX, role, self.folder) for role in ("client", "server", "appliance")
            )
            stack.callback(remove_all, PREFIX)
            stack.callback(self._stop_programs)
            remove_all(PREFIX)
            self._build(stack)
            self._serve()
            self._start_appliance(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        with signals_held_back():
            self._stack.close()

    def _stop_programs(self) -> None:
        for host in (self.client, self.server, self.appliance):
            host.stop_programs()

    def _build(self, stack: contextlib.ExitStack) -> None:
        for host in (self.client, self.server, self.appliance):
            host.create()
            host.namespace.sysctl({"net/ipv4/tcp_no_metrics_save": 1})  # nothing learned for the next transfer
        macs = ("02:00:0a:02:00:0a", "02:00:0a:02:00:02")
        self.appliance.connect("nc1", self.server, "eth0", mtu=1500, macs=macs)
        self.server.add_address("eth0", _SERVER)
        self.shims = {
            "kernel": Shim(open_tap(self.server, "kernel1"), open_tap(self.client, "kernel0")),
            "appliance": Shim(open_tap(self.appliance, "nc0"), open_tap(self.client, "wan0")),
        }
        self.client.add_address("kernel0", "10.3.0.2")
        self.server.add_address("kernel1", _KERNEL)
        self.client.add_address("wan0", "10.1.0.2")
        for host, device, network in (
            (self.server, "kernel1", "10.3.0.0/24"),
            (self.client, "kernel0", "10.3.0.0/24"),
            (self.client, "wan0", "10.1.0.0/24"),
        ):
            self._use_control(host, device, network)
        for shim in self.shims.values():
            shim.start()
            stack.callback(shim.stop)

    def _use_control(self, host: Host, device: str, network: str) -> None:
        """Set the kernel's congestion control by route: a namespace may not choose any as its default."""
        control = self._control.replace("newreno", "reno")
        command = ["ip", "route", "replace", network, "dev", device, "scope", "link", "congctl", control]
        host.start(command, name="ip").wait(10)

    def _serve(self) -> None:
        """Start nginx with a file of bytes that no compression or repetition makes any smaller, and iperf3."""
        self.content = random.Random(1).randbytes(FILE_BYTES)
        (self.folder / FILE).write_bytes(self.content)
        self.folder.chmod(0o755)
        file = self.folder / "nginx.conf"
        server = f"    server {{ listen {WEB_PORT}; location / {{ root {self.folder}; }} }}"
        file.write_text("user root;\n" + nginx_http(self.folder, "nginx", server), encoding="utf-8")
        self.server.start(nginx_arguments(file), name="nginx").wait_port(_SERVER, WEB_PORT)
        iperf = self.server.start(["iperf3", "--server", "--port", str(IPERF_PORT)], name="iperf3")
        iperf.wait_port(_SERVER, IPERF_PORT)

    def _start_appliance(self, stack: contextlib.ExitStack) -> None:
        text = _TEXT.format(
            arena=_ARENA_MIB,
            netns=self.appliance.namespace.name,
            server=_SERVER,
            vip=_VIP,
            web=WEB_PORT,
            iperf=IPERF_PORT,
            tcp=self._tcp,
        )
        file = self.folder / "appliance.yaml"
        file.write_text(text, encoding="utf-8")
        stack.enter_context(own_ray(_ARENA_MIB << 20))
        appliance, _ = session.start(file, detached=False)
        stack.callback(appliance.take_down)

    def be(self, way: Way, seed: int) -> None:
        """Let both paths be alike from now on, from their first packet."""
        for shim in self.shims.values():
            shim.change(way, seed)
