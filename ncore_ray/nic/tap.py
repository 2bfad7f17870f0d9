"""A TAP device: the appliance plugged into the kernel of its own host."""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
from typing import Final

from ncore_ray.nic.driver import DEFAULT_MTU, MAX_MTU, Driver, NicError
from ncore_ray.nic.local import DriverKind, ReaderLocal, WriterLocal
from ncore_ray.nic.netns import add_address, in_namespace, set_link

_TUNSETIFF: Final = 0x4004_54CA
_IFF_TAP: Final = 0x0002
_IFF_NO_PI: Final = 0x1000


class TapDriver(Driver):
    """A TAP device made by `open` and gone after `close`."""

    kind = DriverKind.TAP

    def __init__(
        self,
        interface: str,
        *,
        netns: str | None = None,
        mtu: int | None = None,
        mac: int | None = None,
        host: str | None = None,
    ) -> None:
        """Name the device; ``host`` is an address like ``10.1.0.1/24`` of the kernel's end."""
        self.interface = interface
        self._netns = netns
        self._host = host
        self.mtu = mtu or DEFAULT_MTU
        self.mac = stable_mac(interface) if mac is None else mac
        self._fd = -1

    def open(self) -> None:
        """Make the device, give the kernel's end its address, and bring it up."""
        if self.mtu > MAX_MTU:
            raise NicError(f"the MTU of {self.interface} is at most {MAX_MTU}, not {self.mtu}")
        try:
            in_namespace(self._netns, self._open)
        except OSError as error:
            self.close()
            raise NicError(f"TAP device {self.interface} cannot be made: {error.strerror or error}") from error
        except NicError:
            self.close()
            raise

    def _open(self) -> None:
        self._fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        request = struct.pack("16sH22x", self.interface.encode(), _IFF_TAP | _IFF_NO_PI)
        fcntl.ioctl(self._fd, _TUNSETIFF, request)
        set_link(self.interface, mtu=self.mtu)
        if self._host is not None:
            add_address(self.interface, self._host)

    def close(self) -> None:
        """Close the device; the kernel removes it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def fill_reader(self, local: ReaderLocal) -> None:
        """Name the device."""
        local.kind = self.kind
        local.fd = self._fd

    def fill_writer(self, local: WriterLocal) -> None:
        """Name the device."""
        local.kind = self.kind
        local.fd = self._fd


def stable_mac(name: str) -> int:
    """Return a locally administered unicast address that is always the same for a name."""
    digest = int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big")
    return (digest & 0xFCFF_FFFF_FFFF) | 0x0200_0000_0000
