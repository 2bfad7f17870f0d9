"""An appliance without processes: an arena, engines that read and distribute by themselves, clients and servers."""

from __future__ import annotations

from typing import Final

import numpy as np

from benchmarks.rig_kernels import Rig, rig_run, rigs_run
from ncore_ray.arena.frame import Checksum
from ncore_ray.blueprint.build import build, draw
from ncore_ray.blueprint.dimensions import Dimensions
from ncore_ray.config.load import parse
from ncore_ray.flow.explain import explain
from ncore_ray.lab.dry.arena import mapped_bytes
from ncore_ray.lab.dry.packets import ethernet, ipv4, tcp
from ncore_ray.machine.record import new, size_of, view
from ncore_ray.nic.burst import SendCounters
from ncore_ray.nic.direct import SenderMemory
from ncore_ray.nic.local import DriverKind
from ncore_ray.nic.queue import PrivateQueue
from ncore_ray.nic.thread_memory import ReaderMemory
from ncore_ray.tables.nic import Nic, Transmit
from ncore_ray.wire.packet import Packet

VIP: Final = "10.1.0.100"
PORT: Final = 80
REQUEST: Final = b"GET / HTTP/1.1\r\nHost: 10.1.0.100\r\n\r\n"
RESPONSE: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 46\r\n\r\n" + b"x" * 46
_SYN: Final = 2
_SACK_PERMITTED: Final = b"\4\2\1\1"
"""As all true clients say."""
_CLIENTS: Final = 4
_FIRST_PORT: Final = 1024
_TEXT: Final = """
appliance: {{name: rig, engines: {engines}}}
distribution: {{placement: per-core}}
nics:
  - {{name: nc0, driver: memory, addresses: [10.1.0.10/24]}}
  - {{name: nc1, driver: memory, addresses: [10.2.0.10/24]}}
services: [{{name: web, address: "10.2.0.2:80", monitor: none}}]
vservers: [{{name: www, address: "{vip}:{port}", protocol: {protocol}, services: [web], unit: {unit}}}]
limits: {{idle_server_connections: 16384}}
access_log: {access_log}
"""
LOGGED: Final = "{file: access.log, buffer: 256MiB}"
"""An access log whose ring holds the notes of a whole measurement."""


class StalledError(RuntimeError):
    """Nothing moved any more before all requests were answered."""


class EngineThread:
    """One engine of an arena with all that its thread needs."""

    def __init__(self, arena: RigArena, index: int) -> None:
        header, self._arena = arena.header, arena
        self._memory, self.rig, self.address = new(Rig)
        self._packet_memory, _, packet = new(Packet)
        self._counters_memory, _, counters = new(SendCounters)
        self._sender = SenderMemory([-1, -1], counters)
        self._room = np.zeros(2048, np.uint8)
        self._scratch = np.zeros(8, np.int64)
        self._messages = [np.frombuffer(text, np.uint8).copy() for text in (REQUEST, RESPONSE)]
        self._queues = [PrivateQueue() for _ in range(2)]
        self._readers = [self._reader(queue) for queue in self._queues]
        rig = self.rig
        rig.base, rig.engine = arena.base, arena.base + header.engines + index * header.engine_stride
        rig.packet, rig.sender = packet, self._sender.address
        rig.reader_0, rig.reader_1 = (
            arena.base + header.readers + (2 * index + nic) * header.reader_stride for nic in range(2)
        )
        rig.local_0, rig.local_1 = (reader.address for reader in self._readers)
        rig.queue_0, rig.queue_1 = (queue.address for queue in self._queues)
        rig.room, rig.scratch = self._room.ctypes.data, self._scratch.ctypes.data
        rig.request, rig.response = (int(message.ctypes.data) for message in self._messages)
        rig.request_length, rig.response_length = len(REQUEST), len(RESPONSE)
        self.flows = 0

    @staticmethod
    def _reader(queue: PrivateQueue) -> ReaderMemory:
        memory = ReaderMemory()
        memory.local.kind, memory.local.queue = DriverKind.QUEUE, queue.address
        return memory

    def add_client(self, source: str, port: int) -> None:
        """Let a client ask for a connection."""
        frame = ethernet(ipv4(source, VIP, 6, tcp(source, port, VIP, PORT, _SYN, options=_SACK_PERMITTED)))
        if not self._queues[0].put(frame, mark=Checksum.VALID):
            raise ValueError("too many clients for the NIC's queue")
        self.flows += 1

    def drop_clients(self) -> None:
        """Take away what waits on the NICs."""
        for queue in self._queues:
            list(queue.drain())

    def run(self, answers: int, *, on_cpu: bool = False) -> None:
        """Go on until so many more requests have been answered. Raises StalledError."""
        came = rig_run(self.address, answers, int(on_cpu))
        if came < answers or self.rig.resets:
            raise StalledError(f"{came} of {answers} requests were answered, {self.rig.resets} connections reset")

    def clear(self) -> None:
        """Forget what was counted and timed."""
        for name in ("answered", "received", "sent"):
            setattr(self.rig, name, 0)
        for name in ("peers_ns", "reader_ns", "distributor_ns", "input_ns", "output_ns", "send_ns"):
            setattr(self.rig, name, 0)


class RigArena:
    """An arena with engines, each with the flows that the distributor gives it."""

    def __init__(
        self, engines: int, flows: int, protocol: str = "HTTP", *, access_log: str = "none", unit: str = "flow"
    ) -> None:
        choices = {"protocol": protocol, "access_log": access_log, "unit": unit}
        configuration = parse(_TEXT.format(engines=engines, vip=VIP, port=PORT, **choices))
        share = max(flows // engines, 64)
        dimensions = Dimensions(
            nic_frames=1024, engine_frames=8 * share, connections=(8 if unit == "transaction" else 4) * share
        )
        blueprint = draw(configuration, dimensions=dimensions)
        self.array = mapped_bytes(blueprint.size)
        self.header = build(self.array, blueprint, transmit=[Transmit.RING] * 2)
        self.base = int(self.array.ctypes.data)
        for index in range(2):
            nic = view(Nic, self.array, self.header.nics + index * size_of(Nic))
            nic.mac, nic.mtu = 0x0200_0000_0001 + index, 1500
        self.threads = [EngineThread(self, index) for index in range(engines)]
        self._share_out(flows)

    def _share_out(self, flows: int) -> None:
        for number in range(flows):
            source, port = f"10.1.0.{2 + number % _CLIENTS}", _FIRST_PORT + number // _CLIENTS
            engine = explain(self.array, source, port, VIP, PORT).engine
            if engine is None:
                raise ValueError(f"no engine for {source}:{port}")
            self.threads[engine].add_client(source, port)

    def run_together(self, answers: int) -> None:
        """Let all engines go on, by turns in one thread, until so many more requests have been answered."""
        addresses = np.array([thread.address for thread in self.threads], np.int64)
        came = rigs_run(int(addresses.ctypes.data), len(addresses), answers)
        resets = sum(thread.rig.resets for thread in self.threads)
        if came < answers or resets:
            raise StalledError(f"{came} of {answers} requests were answered, {resets} connections reset")

    def request_frame(self) -> bytes:
        """Return a client's packet, of the size that requests have."""
        segment = tcp("10.1.0.2", _FIRST_PORT, VIP, PORT, 0x18, REQUEST)
        return ethernet(ipv4("10.1.0.2", VIP, 6, segment))
