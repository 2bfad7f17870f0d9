"""The control side of a NIC driver: what is opened, closed and asked; the kernels do the rest by `DriverKind`."""

from __future__ import annotations

from abc import ABC, abstractmethod

from ncore_ray.arena.frame import FRAME_SIZE
from ncore_ray.errors import NcoreError
from ncore_ray.nic.fanout import Fanout
from ncore_ray.nic.local import DriverKind, ReaderLocal, WriterLocal

DEFAULT_MTU = 1_500
MAX_MTU = FRAME_SIZE - 14
"""Largest MTU whose packets, with their Ethernet headers, fit in a frame."""


class NicError(NcoreError):
    """A NIC that cannot be opened or used; the text names it."""


class Driver(ABC):
    """One NIC. `open` before anything else; `close` may be called at any time, more than once."""

    kind: DriverKind
    mac: int = 0
    """Known after `open`: the address that the appliance uses on this NIC, 48 bits."""
    mtu: int = DEFAULT_MTU
    """Known after `open`."""
    fanout_group: int = 0
    """Known after `open`: what further receive queues of the interface join; 0: the kernel fills one queue only."""

    @property
    def sends_directly(self) -> bool:
        """True if engines can send on sockets of their own (`open_sender`)."""
        return False

    @abstractmethod
    def open(self) -> None:
        """Get hold of the NIC. Raises NicError with one clear sentence."""

    @abstractmethod
    def close(self) -> None:
        """Let the NIC go; the threads that use it have ended."""

    @abstractmethod
    def fill_reader(self, local: ReaderLocal) -> None:
        """Write what the reader's kernels need."""

    @abstractmethod
    def fill_writer(self, local: WriterLocal) -> None:
        """Write what the writer's kernels need."""

    def steer(self, fanout: Fanout) -> None:  # noqa: B027 - most drivers have nothing to do
        """Give the group of receive queues another program, where there is one."""

    def kernel_drops(self) -> int:
        """Return the packets that the operating system has dropped since the last call."""
        return 0

    def service(self) -> None:  # noqa: B027 - most drivers have nothing to do
        """Do what has to be done now and then (write files); called some 20 times a second by one thread."""


def parse_mac(text: str) -> int:
    """Return the 48 bits of ``02:00:00:00:00:01``. Raises NicError."""
    parts = text.replace("-", ":").split(":")
    try:
        octets = bytes(int(part, 16) for part in parts)
    except ValueError:
        octets = b""
    if len(octets) != 6:
        raise NicError(f"{text!r} is not a MAC address: six bytes like 02:00:00:00:00:01 were expected")
    return int.from_bytes(octets, "big")


def format_mac(mac: int) -> str:
    """Return 48 bits as ``02:00:00:00:00:01``."""
    return mac.to_bytes(6, "big").hex(":")
