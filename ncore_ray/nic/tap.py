"""A TAP device: the appliance plugged into the kernel of its own host."""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
import struct
from typing import Final

from ncore_ray.nic.driver import DEFAULT_MTU, MAX_MTU, Driver, NicError
from ncore_ray.nic.fanout import Fanout
from ncore_ray.nic.local import DriverKind, ReaderLocal, WriterLocal
from ncore_ray.nic.netns import add_address, in_namespace, set_link

_TUNSETIFF: Final = 0x4004_54CA
_TUNSETQUEUE: Final = 0x4004_54D9
_IFF_TAP: Final = 0x0002
_IFF_NO_PI: Final = 0x1000
_IFF_MULTI_QUEUE: Final = 0x0100
_IFF_DETACH_QUEUE: Final = 0x0400


class TapDriver(Driver):
    """A TAP device made by `open` and gone after `close`; with a fanout, one of several queues of a device.

    The first queue makes the device; it is gone when all queues are closed. The kernel puts a packet into the queue
    that it last got one of the same flow from, or chooses by the flow's hash. What is sent goes out by a queue that
    receives nothing, or all flows would come to the engine that sends for the others.
    """

    kind = DriverKind.TAP

    def __init__(
        self,
        interface: str,
        *,
        netns: str | None = None,
        mtu: int | None = None,
        mac: int | None = None,
        host: str | None = None,
        fanout: Fanout | None = None,
    ) -> None:
        """Name the device; ``host`` is an address like ``10.1.0.1/24`` of the kernel's end."""
        self.interface = interface
        self._fanout = fanout
        self._netns = netns
        self._host = host
        self.mtu = mtu or DEFAULT_MTU
        self.mac = stable_mac(interface) if mac is None else mac
        self._fd = self._sender = -1

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
        self._fd = self._open_queue()
        if self._fanout is not None:
            self.fanout_group = socket.if_nametoindex(self.interface)
            if self._fanout.group:
                return
            self._sender = self._open_queue()
            fcntl.ioctl(self._sender, _TUNSETQUEUE, _request("", _IFF_DETACH_QUEUE))
        set_link(self.interface, mtu=self.mtu)
        if self._host is not None:
            add_address(self.interface, self._host)

    def _open_queue(self) -> int:
        """Return a queue of the device, which is made if there is none of the name."""
        several = 0 if self._fanout is None else _IFF_MULTI_QUEUE
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.ioctl(fd, _TUNSETIFF, _request(self.interface, _IFF_TAP | _IFF_NO_PI | several))
        except OSError:
            os.close(fd)
            raise
        return fd

    def close(self) -> None:
        """Close the device; the kernel removes it."""
        for fd in (self._fd, self._sender):
            if fd >= 0:
                os.close(fd)
        self._fd = self._sender = -1

    def fill_reader(self, local: ReaderLocal) -> None:
        """Name the device."""
        local.kind = self.kind
        local.fd = self._fd

    def fill_writer(self, local: WriterLocal) -> None:
        """Name the device, or the queue that sends."""
        local.kind = self.kind
        local.fd = self._fd if self._sender < 0 else self._sender


def _request(interface: str, flags: int) -> bytes:
    """Return a ``struct ifreq`` with flags."""
    return struct.pack("16sH22x", interface.encode(), flags)


def stable_mac(name: str) -> int:
    """Return a locally administered unicast address that is always the same for a name."""
    digest = int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big")
    return (digest & 0xFCFF_FFFF_FFFF) | 0x0200_0000_0000
