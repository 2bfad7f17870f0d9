"""Offload switches of a network device, through the ``SIOCETHTOOL`` ioctl (no ethtool program needed)."""

from __future__ import annotations

import array
import fcntl
import socket
import struct
from dataclasses import dataclass, fields
from typing import Final

_SIOCETHTOOL: Final = 0x8946
_COMMANDS: Final = {  # feature -> (get, set) of <linux/ethtool.h>
    "tx_checksum": (0x16, 0x17),
    "tso": (0x1E, 0x1F),
    "gso": (0x23, 0x24),
    "gro": (0x2B, 0x2C),
}


@dataclass(frozen=True)
class Offloads:
    """Which work the kernel leaves to the device.

    With TSO, GSO and GRO off no frame is larger than the MTU. With transmit checksums on, a veth delivers *partial*
    checksums, as a real NIC's loop would never show them: a good test of the receiver.
    """

    tx_checksum: bool = True
    tso: bool = False
    gso: bool = False
    gro: bool = False


NO_LARGE_FRAMES: Final = Offloads()
KERNEL_DEFAULT: Final = Offloads(tx_checksum=True, tso=True, gso=True, gro=False)
"""What the kernel gives a new veth."""


def _ethtool(device: str, command: int, value: int) -> int:
    """Perform one ``ETHTOOL_G…``/``ETHTOOL_S…`` command with a ``struct ethtool_value``; return its data."""
    payload = array.array("I", [command, value])
    address, _ = payload.buffer_info()
    request = struct.pack("16sP16x", device.encode(), address)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCETHTOOL, request)
    return payload[1]


def read_offloads(device: str) -> Offloads:
    """Return the switches of a device of the *current* namespace. Raises OSError (ENODEV, EOPNOTSUPP)."""
    return Offloads(**{name: bool(_ethtool(device, get, 0)) for name, (get, _) in _COMMANDS.items()})


def set_offloads(device: str, wanted: Offloads) -> None:
    """Set the switches of a device of the *current* namespace. Raises OSError (ENODEV, EPERM)."""
    for field in fields(wanted):
        _ethtool(device, _COMMANDS[field.name][1], int(getattr(wanted, field.name)))
