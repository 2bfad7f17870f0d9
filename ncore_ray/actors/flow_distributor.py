"""The FlowDistributor actor."""

from __future__ import annotations

from typing import Final

from ncore_ray.actors.teller import Teller, begin_to_tell
from ncore_ray.actors.worker import Loop, Worker
from ncore_ray.arena.core import Actor
from ncore_ray.flow.distributor import LocalMemory, distributor_run, make_local
from ncore_ray.flow.repair import recover_decider, repair_table
from ncore_ray.nic.fanout import Fanout

SPIN_US: Final = 5


class FlowDistributor(Worker):
    """Runs `distributor_run` over the arena's rings and flow table."""

    def __init__(self, name: str, cpu: int | None, spin_us: int = SPIN_US) -> None:
        super().__init__(name, cpu)
        self._memory: LocalMemory = make_local(spin_us)
        self._loop: Loop | None = None
        self._teller: Teller | None = None

    def prepare(self) -> None:
        """Run the kernel once."""
        self.core(Actor.DISTRIBUTOR).stop = 1
        self._run()

    def _run(self) -> int:
        return distributor_run(self.base, self._memory.address)

    def start(self) -> None:
        """Let the distributor breathe."""
        self._loop = Loop(self.name, self._run, self.core(Actor.DISTRIBUTOR), self.cpu)
        self._loop.start()
        self._teller = begin_to_tell(self.array, Actor.DISTRIBUTOR)

    def succeed(self, fanout: Fanout | None) -> str:
        """Mend the flow table and the rings, and distribute what the predecessor had taken and not handed on."""
        mended = repair_table(self.array, 0)
        waiting = recover_decider(self.base, 0)
        self.prepare()
        self.start()
        return f"{waiting} packets wait once more" + (f", {mended} entries were mended" if mended else "")

    def alive(self) -> bool:
        """Return True while the distributor breathes."""
        return self._loop is not None and self._loop.alive

    def failure(self) -> str | None:
        """Return the exception that ended the loop."""
        return repr(self._loop.failure) if self._loop is not None and self._loop.failure else None

    def stop(self) -> bool:
        """End the loop; return True when it has ended."""
        self.stopping.set()
        if self._teller is not None:
            self._teller.stop()
        return self._loop is None or self._loop.stop()
