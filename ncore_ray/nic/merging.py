"""Receive offloads that join packets into larger ones (GRO, LRO), which no frame holds: off while the appliance reads.

AF_PACKET sees packets after the kernel has merged them. On a veth it is the *sender's* GSO and TSO that make large
packets; those are switched off at the other end (`ncore_ray.lab.offload` does it for the test bed).
"""

from __future__ import annotations

import array
import fcntl
import socket
import struct
from typing import Final

_SIOCETHTOOL: Final = 0x8946
_GRO: Final = (0x2B, 0x2C)
"""ETHTOOL_GGRO and ETHTOOL_SGRO."""
_FLAGS: Final = (0x25, 0x26)
"""ETHTOOL_GFLAGS and ETHTOOL_SFLAGS."""
_FLAG_LRO: Final = 1 << 15


def _ethtool(interface: str, command: int, value: int = 0) -> int:
    """Perform one command with a ``struct ethtool_value`` on an interface of this thread's namespace."""
    payload = array.array("I", [command, value])
    request = struct.pack("16sP16x", interface.encode(), payload.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCETHTOOL, request)
    return payload[1]


def stop_merging(interface: str) -> list[tuple[int, int]]:
    """Switch GRO and LRO off where they are on; return what `resume_merging` needs to switch them on again."""
    changed = []
    for (get, put), mask in ((_GRO, 1), (_FLAGS, _FLAG_LRO)):
        try:
            before = _ethtool(interface, get)
            if before & mask:
                _ethtool(interface, put, before & ~mask)
                changed.append((put, before))
        except OSError:  # a device without this switch
            continue
    return changed


def resume_merging(interface: str, changed: list[tuple[int, int]]) -> None:
    """Undo `stop_merging`; an interface that has gone meanwhile is left alone."""
    for put, before in changed:
        try:
            _ethtool(interface, put, before)
        except OSError:
            return
