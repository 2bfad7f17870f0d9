"""NICs of the Linux kernel through AF_PACKET: a receive ring (TPACKET_V2) mapped into this process."""

from __future__ import annotations

import mmap
import socket
import struct
from typing import Final

import numpy as np
import numpy.typing as npt

from ncore_ray.nic.direct import enlarge, open_sender
from ncore_ray.nic.driver import MAX_MTU, Driver, NicError
from ncore_ray.nic.fanout import Fanout, Joining, Spread, set_program
from ncore_ray.nic.local import DriverKind, ReaderLocal, WriterLocal
from ncore_ray.nic.netns import in_namespace, set_link
from ncore_ray.nic.receive import BLOCK_SIZE, SLOT_SIZE, SLOTS_PER_BLOCK

_SOL_PACKET: Final = 263
_PACKET_ADD_MEMBERSHIP: Final = 1
_PACKET_RX_RING: Final = 5
_PACKET_STATISTICS: Final = 6
_PACKET_COPY_THRESH: Final = 7
_PACKET_VERSION: Final = 10
_PACKET_IGNORE_OUTGOING: Final = 23
_PACKET_MR_PROMISC: Final = 1
_TPACKET_V2: Final = 1
_ETH_P_ALL: Final = 3
_LARGE_QUEUE: Final = 16 << 20
"""Bytes of large packets that wait to be taken."""


class AfPacketDriver(Driver):
    """A network interface, in another namespace if wanted.

    The interface keeps its own address; with another ``mac`` the appliance answers under that one (the interface is
    promiscuous while it is open).
    """

    kind = DriverKind.AF_PACKET

    def __init__(
        self,
        interface: str,
        *,
        netns: str | None = None,
        mtu: int | None = None,
        mac: int | None = None,
        ring_slots: int = 4_096,
        fanout: Fanout | None = None,
    ) -> None:
        """Name the interface; ``mtu`` None takes the interface's own. ``ring_slots`` packets wait in the kernel.

        With ``fanout`` this is one of several receive queues.
        """
        self.interface = interface
        self._netns = netns
        self._wanted_mtu = mtu
        self._wanted_mac = mac
        self._blocks = max(1, -(-ring_slots // SLOTS_PER_BLOCK))
        self._socket: socket.socket | None = None
        self._map: mmap.mmap | None = None
        self._ring: npt.NDArray[np.uint8] | None = None
        self._sender: socket.socket | None = None
        self._fanout = fanout

    @property
    def sends_directly(self) -> bool:
        """Engines send on sockets of their own."""
        return True

    def open(self) -> None:
        """Bring the interface up and begin to receive."""
        try:
            in_namespace(self._netns, self._open)
        except OSError as error:
            self.close()
            raise NicError(f"network interface {self.interface} cannot be opened: {error.strerror or error}") from error
        except NicError:
            self.close()
            raise

    def _open(self) -> None:
        settings = {} if self._wanted_mtu is None else {"mtu": self._wanted_mtu}
        mac, self.mtu = set_link(self.interface, **settings)
        self.mac = mac if self._wanted_mac is None else self._wanted_mac
        if self.mtu > MAX_MTU:
            raise NicError(f"{self.interface} has an MTU of {self.mtu}, but frames hold {MAX_MTU}: set `mtu`")
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        self._prepare(self._socket)

    def _prepare(self, packets: socket.socket) -> None:
        """Set up the ring before the socket is bound: every packet it ever gets lies in the ring."""
        packets.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V2)
        packets.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        self._take_large(packets)
        request = struct.pack("IIII", BLOCK_SIZE, self._blocks, SLOT_SIZE, self._blocks * SLOTS_PER_BLOCK)
        packets.setsockopt(_SOL_PACKET, _PACKET_RX_RING, request)
        self._map = mmap.mmap(packets.fileno(), BLOCK_SIZE * self._blocks, mmap.MAP_SHARED)
        self._ring = np.frombuffer(self._map, np.uint8)
        member = struct.pack("iHH8s", socket.if_nametoindex(self.interface), _PACKET_MR_PROMISC, 0, b"")
        packets.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, member)
        with Joining(packets, self._fanout) as joining:
            packets.bind((self.interface, _ETH_P_ALL))
        self.fanout_group = joining.group

    def _take_large(self, packets: socket.socket) -> None:
        """Have packets that are too long for a slot wait in the socket's queue; without room there they are cut off."""
        packets.setsockopt(_SOL_PACKET, _PACKET_COPY_THRESH, 1)
        enlarge(packets, receive=_LARGE_QUEUE)

    def close(self) -> None:
        """Stop receiving and free the ring."""
        self._ring = None
        if self._map is not None:
            self._map.close()
            self._map = None
        for each in (self._socket, self._sender):
            if each is not None:
                each.close()
        self._socket = self._sender = None

    def fill_reader(self, local: ReaderLocal) -> None:
        """Name the socket and the mapped ring."""
        if self._socket is None or self._ring is None:
            raise NicError(f"network interface {self.interface} is not open")
        local.kind = self.kind
        local.fd = self._socket.fileno()
        local.ring = self._ring.ctypes.data
        local.ring_slots = self._blocks * SLOTS_PER_BLOCK
        local.slot = 0

    def fill_writer(self, local: WriterLocal) -> None:
        """Open a socket to send on and name it."""
        if self._sender is None:
            self._sender = socket.socket(fileno=open_sender(self.interface, self._netns))
        local.kind = self.kind
        local.fd = self._sender.fileno()

    def steer(self, fanout: Fanout) -> None:
        """Give the group of this socket another program; every socket of the group may."""
        if self._socket is not None and fanout.spread is Spread.PROGRAM:
            set_program(self._socket, fanout.program)

    def kernel_drops(self) -> int:
        """Return the packets for which the ring had no room since the last call."""
        if self._socket is None:
            return 0
        raw = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
        return int(struct.unpack("II", raw)[1])
