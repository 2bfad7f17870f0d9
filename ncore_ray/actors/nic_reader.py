"""The NicReader actor: one NIC, its reader and, where engines cannot send by themselves, its writer."""

from __future__ import annotations

from ncore_ray.actors.worker import Worker
from ncore_ray.machine.record import size_of, view
from ncore_ray.nic.direct import what_is_cut
from ncore_ray.nic.fanout import Fanout
from ncore_ray.nic.runner import NicRunner, warm_up
from ncore_ray.nic.settings import NicSettings
from ncore_ray.tables.nic import Cutting, Nic, Transmit


class NicReader(Worker):
    """Runs a `NicRunner`."""

    def __init__(self, name: str, nic: int, cpu: int | None, settings: NicSettings) -> None:
        super().__init__(name, cpu)
        self._nic = nic
        self._settings = settings
        self._runner: NicRunner | None = None

    def prepare(self) -> None:
        """Open the NIC, write its row of the NIC table, and run the kernels once."""
        warm_up()
        self._open(recover=False)

    def _open(self, *, recover: bool) -> None:
        self._runner = NicRunner(self.array, self._nic, self._settings)
        self._runner.open(recover=recover)
        row = view(Nic, self.array, self.arena.nics + self._nic * size_of(Nic))
        row.mac, row.mtu = self._runner.mac, self._runner.mtu
        row.transmit = Transmit.RING if self._runner.needs_writer else Transmit.DIRECT
        cuts = row.transmit == Transmit.DIRECT and not row.vlan
        row.offload = what_is_cut() if cuts else Cutting.NOTHING

    def start(self) -> None:
        """Let packets in."""
        assert self._runner is not None
        self._runner.start(None if self.cpu is None else [self.cpu])

    def succeed(self, fanout: Fanout | None) -> str:
        """Open the NIC anew, with the frames that the predecessor had not handed on."""
        self._open(recover=True)
        assert self._runner is not None
        self.start()
        return f"{self._runner.free_frames} frames are free"

    def alive(self) -> bool:
        """Return True while all threads of the NIC run."""
        return self._runner is not None and self._runner.is_alive()

    def failure(self) -> str | None:
        """Return the exception that ended a thread."""
        return repr(self._runner.failure) if self._runner is not None and self._runner.failure else None

    def stop(self) -> bool:
        """End the threads and close the NIC; return True when they have ended."""
        self.stopping.set()
        if self._runner is None:
            return True
        ended = self._runner.stop()
        if ended:
            self._runner.close()
            self._runner = None
        return ended
