"""``python -m ncore_ray.lab``: build the test bed, start its origin servers, and keep it until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys

from ncore_ray.lab.capability import enter_or_explain
from ncore_ray.lab.network import Layout, Network
from ncore_ray.lab.process import Process, python_module


def start_origins(network: Network, port: int = 80, lifetime_s: float = 3600.0) -> list[Process]:
    """Start an origin server on every server host and wait until all answer. Raises ProcessError."""
    origins = []
    for server in network.servers:
        line = python_module("ncore_ray.lab.origin", "--address", server.address, "--name", server.role)
        origins.append(server.start([*line, "--port", str(port)], name="origin", lifetime_s=lifetime_s))
    for server, origin in zip(network.servers, origins, strict=True):
        origin.wait_port(server.address, port)
    return origins


def _layout() -> Layout:
    default = Layout()
    parser = argparse.ArgumentParser(prog="python -m ncore_ray.lab", description=__doc__)
    parser.add_argument("--prefix", default=default.prefix, help="first part of the namespaces' names")
    parser.add_argument("--servers", type=int, default=default.servers)
    parser.add_argument("--mtu", type=int, default=default.mtu)
    parser.add_argument("--forwarding", action="store_true", help="the kernel routes in the appliance's place")
    return Layout(**vars(parser.parse_args()))


def main() -> None:
    """Build, print the commands to try, wait."""
    if why := enter_or_explain(python_module("ncore_ray.lab", *sys.argv[1:])):
        sys.exit(why)
    with Network(_layout()) as network:
        start_origins(network)
        for server in network.servers:
            print(server.command_text(["curl", f"http://{server.address}/health"]))
        print("Ctrl-C ends it.", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            print("removing …")


if __name__ == "__main__":
    main()
