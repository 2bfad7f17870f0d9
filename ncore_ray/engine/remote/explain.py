"""Which engine would serve a client, asked of the kernels that decide it."""

from __future__ import annotations

from ncore_ray.engine.connection import make_ports
from ncore_ray.engine.remote.choice import engine_of_hash, hash_client
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.wire.ipv4 import PROTOCOL_TCP


@entry_kernel
def engine_of_client(
    base: int, engines: int, high: int, low: int, local_high: int, local_low: int, remote_port: int, local_port: int
) -> int:
    """Return which of a set of engines serves a client, by its addresses and ports."""
    ports = make_ports(remote_port, local_port, PROTOCOL_TCP)
    return engine_of_hash(base, engines, hash_client(base, high, low, local_high, local_low, ports))
