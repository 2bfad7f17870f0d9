"""What the actors of the data plane have in common: a mapping, a loop in a thread of its own, and being watched."""

from __future__ import annotations

import logging
import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final

from ncore_ray.actors.answers import Answers
from ncore_ray.actors.mapping import Mapping
from ncore_ray.arena.core import Core, CoreState
from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import ArenaError, Bytes
from ncore_ray.blueprint.records import digest
from ncore_ray.machine.record import size_of, view
from ncore_ray.machine.thread import settle
from ncore_ray.nic.fanout import Fanout

log: Final = logging.getLogger("ncore_ray")
WATCH_S: Final = 0.5


class Loop:
    """A kernel's loop in a daemon thread, pinned to a CPU."""

    def __init__(self, name: str, run: Callable[[], int], core: Core, cpu: int | None) -> None:
        self._core = core
        self._cpu = cpu
        self._run = run
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._core.stop = 0
        self._core.process = os.getpid()
        self._core.state = CoreState.RUNNING
        self._thread.start()

    def _work(self) -> None:
        try:
            settle(None if self._cpu is None else [self._cpu])
            self._core.thread = threading.get_native_id()
            self._run()
        except BaseException as error:  # told to the manager by `watch`, whatever it is
            self.failure = error
            log.exception("the loop of %s ended", self._thread.name)
        finally:
            self._core.state = CoreState.STOPPED

    def stop(self, timeout_s: float = 2.0) -> bool:
        """Ask the loop to end; return True when it has."""
        self._core.stop = 1
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        """True while the loop runs."""
        return self._thread.is_alive()


class Worker(ABC):
    """Base of the actors of the data plane: attach, prepare, start, watch, stop."""

    def __init__(self, name: str, cpu: int | None) -> None:
        self.name = name
        self.cpu = cpu
        self.mapping: Mapping | None = None
        self.stopping = threading.Event()
        self._answers: dict[int, Answers] = {}

    def __repr__(self) -> str:
        return self.name

    def attach(self, reference: list[Any], node: str, epoch: int) -> int:
        """Map the arena, prepare everything, run each kernel once; return this process's id. Raises ArenaError."""
        self.mapping = Mapping(reference, node)
        self.mapping.check(epoch, digest())
        self.prepare()
        return os.getpid()

    def hand_out(self) -> tuple[list[Any], str, int]:
        """Return the arena's reference, its node, and this process's id, as the arena's owner does.

        Raises:
            ArenaError: nothing is mapped yet.
        """
        if self.mapping is None:
            raise ArenaError(f"{self.name} has not mapped the arena yet")
        return [self.mapping.reference], self.mapping.node, os.getpid()

    @property
    def array(self) -> Bytes:
        """The arena's bytes."""
        assert self.mapping is not None
        return self.mapping.array

    @property
    def base(self) -> int:
        """The arena's address in this process."""
        return int(self.array.ctypes.data)

    @property
    def arena(self) -> Arena:
        """The arena's header."""
        return view(Arena, self.array)

    def core(self, actor: int) -> Core:
        """Return an actor's core record."""
        return view(Core, self.array, self.arena.cores + actor * size_of(Core))

    @abstractmethod
    def prepare(self) -> None:
        """Open what is needed and run the kernels once."""

    @abstractmethod
    def start(self) -> None:
        """Let the loops breathe."""

    @abstractmethod
    def stop(self) -> bool:
        """End the loops and close what is open; return True when they have ended."""

    @abstractmethod
    def succeed(self, fanout: Fanout | None) -> str:
        """Take the place of a predecessor whose process has ended, and start; return what was found, in words."""

    @abstractmethod
    def alive(self) -> bool:
        """Return True while the loops run."""

    def failure(self) -> str | None:
        """Return what ended a loop that was not asked to end."""
        return None

    def told(self, core: int, raw: bytes) -> bytes:
        """Answer a question of the management to one of this process's cores; both are msgpack."""
        if core not in self._answers:
            self._answers[core] = Answers(self.array, core)
        return self._answers[core].answer_packed(raw)

    def watch(self, timeout_s: float = WATCH_S) -> str | None:
        """Return after ``timeout_s``, or at once when a loop ended by itself; then say why."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end and not self.stopping.is_set():
            if not self.alive():
                return self.failure() or "its loop has ended"
            self.stopping.wait(min(0.05, timeout_s))
        return None
