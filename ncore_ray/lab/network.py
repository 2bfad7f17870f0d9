"""The test bed's network: one client host, the appliance's host, and servers behind a switch.

```
 client ── veth ── nc0 [ appliance ] nc1 ── veth ── [ switch: bridge ] ── veth ── web1, web2, web3
 10.1.0.2/24                                                              10.2.0.2/24, .3, .4
```

The VIP 10.1.0.100 and the SNIPs 10.1.0.10 and 10.2.0.10 belong to the appliance, never to a kernel. With
``forwarding`` the kernel of the appliance's host owns them and routes: for measuring without any proxy, and for other
proxies (HAProxy, nginx) in the appliance's place.
"""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ncore_ray.lab.guard import signals_as_exceptions, signals_held_back, sole_owner
from ncore_ray.lab.host import Host, end_processes, mac_of
from ncore_ray.lab.namespace import namespaces_of
from ncore_ray.lab.offload import KERNEL_DEFAULT, NO_LARGE_FRAMES, Offloads

VIP: Final = "10.1.0.100"
CLIENT_SNIP: Final = "10.1.0.10"
SERVER_SNIP: Final = "10.2.0.10"
CLIENT_NETWORK: Final = "10.1.0.0/24"
SERVER_NETWORK: Final = "10.2.0.0/24"
CLIENT_NIC: Final = "nc0"
SERVER_NIC: Final = "nc1"
_FIRST_CLIENT: Final = 2
_FIRST_SERVER: Final = 2
_MOST_HOSTS: Final = 8


@dataclass(frozen=True)
class Layout:
    """What a test bed consists of. Raises ValueError when it asks for what the address plan has no room for."""

    prefix: str = "ncore-demo"
    servers: int = 3
    client_addresses: int = 1
    forwarding: bool = False
    mtu: int = 1500
    host_offloads: Offloads = NO_LARGE_FRAMES
    """Switches of the client's and the servers' devices: by default no frame is larger than the MTU."""
    appliance_offloads: Offloads = KERNEL_DEFAULT
    """Switches of nc0 and nc1; TSO and GSO matter only where a kernel sends there (``forwarding``);
    GRO would show the appliance frames larger than the MTU."""

    def __post_init__(self) -> None:
        if not 1 <= self.servers <= _MOST_HOSTS or not 1 <= self.client_addresses <= _MOST_HOSTS:
            raise ValueError(f"servers and client addresses: 1 to {_MOST_HOSTS} each")
        if not self.prefix or "/" in self.prefix:
            raise ValueError(f"not a usable prefix: {self.prefix!r}")


class Network:
    """Builds the test bed on entry and removes every trace on exit, also after an exception or SIGTERM.

    Entry removes what a crashed run of the same prefix has left, and raises PrefixInUseError when the other run lives.
    """

    def __init__(self, layout: Layout | None = None) -> None:
        self.layout = layout or Layout()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Network:
        with contextlib.ExitStack() as stack:
            stack.enter_context(signals_as_exceptions())
            stack.enter_context(sole_owner(self.layout.prefix))
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=self.layout.prefix + "-")))
            self._make_hosts()
            stack.callback(remove_all, self.layout.prefix)
            stack.callback(self._stop_programs)
            remove_all(self.layout.prefix)
            self._build()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        with signals_held_back():
            self._stack.close()

    def _make_hosts(self) -> None:
        prefix = self.layout.prefix
        self.client = Host(prefix, "client", self.folder)
        self.appliance = Host(prefix, "appliance", self.folder)
        self.switch = Host(prefix, "switch", self.folder)
        self.servers = [Host(prefix, f"web{n + 1}", self.folder) for n in range(self.layout.servers)]

    @property
    def hosts(self) -> list[Host]:
        """Every host, the switch too."""
        return [self.client, self.appliance, self.switch, *self.servers]

    def _build(self) -> None:
        for host in self.hosts:
            host.create()
        self._join_client()
        self._join_servers()
        if self.layout.forwarding:
            self._let_kernel_forward()

    def _join_client(self) -> None:
        addresses = [f"10.1.0.{_FIRST_CLIENT + n}" for n in range(self.layout.client_addresses)]
        self._veth(self.appliance, CLIENT_NIC, mac_of(CLIENT_SNIP), self.client, mac_of(addresses[0]))
        for address in addresses:
            self.client.add_address("eth0", address)
        self.client_addresses = addresses

    def _join_servers(self) -> None:
        ports = []
        for n, server in enumerate(self.servers):
            address = f"10.2.0.{_FIRST_SERVER + n}"
            ports.append(f"port{n + 1}")
            self._veth(self.switch, ports[-1], mac_of(f"10.2.1.{n + 1}"), server, mac_of(address))
            server.add_address("eth0", address)
        macs = (mac_of(SERVER_SNIP), mac_of("10.2.1.100"))
        self.appliance.connect(SERVER_NIC, self.switch, "uplink", mtu=self.layout.mtu, macs=macs)
        self.appliance.set_offloads(SERVER_NIC, self.layout.appliance_offloads)
        self.switch.add_bridge("bridge", [*ports, "uplink"], mtu=self.layout.mtu)

    def _veth(self, inner: Host, device: str, mac: str, edge: Host, edge_mac: str) -> None:
        """Join an edge host's ``eth0`` to a device of the appliance or the switch."""
        inner.connect(device, edge, "eth0", mtu=self.layout.mtu, macs=(mac, edge_mac))
        edge.set_offloads("eth0", self.layout.host_offloads)
        inner.set_offloads(device, self.layout.appliance_offloads)

    def _let_kernel_forward(self) -> None:
        self.appliance.namespace.sysctl({"net/ipv4/ip_forward": 1})
        self.appliance.add_address(CLIENT_NIC, CLIENT_SNIP)
        self.appliance.add_address(CLIENT_NIC, VIP)
        self.appliance.add_address(SERVER_NIC, SERVER_SNIP)
        self.client.add_route(SERVER_NETWORK, CLIENT_SNIP)
        for server in self.servers:
            server.add_route(CLIENT_NETWORK, SERVER_SNIP)

    def _stop_programs(self) -> None:
        for host in self.hosts:
            host.stop_programs()


def remove_all(prefix: str) -> None:
    """Remove the namespaces of a prefix, with the processes in them: also those of a run that crashed."""
    for namespace in namespaces_of(prefix):
        end_processes(namespace)
    for namespace in namespaces_of(prefix):
        namespace.remove()
