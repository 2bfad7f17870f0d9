"""Watches the breath of every actor and the rings between them, by words in the arena.

An actor that has nothing to do sleeps 20 ms at the most, so one whose breath is older than some tenths of a second is
stopped, hangs, or is not let run. Time counts only while this watch itself runs: where a whole machine stands still,
nobody is late.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from ncore_ray.arena.core import Core, CoreState, Stage
from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes
from ncore_ray.machine.record import size_of, view
from ncore_ray.machine.system import monotonic_us
from ncore_ray.management.processes import ThreadState, thread_state

LATE_S: Final = 0.4
"""Without a breath for so long, an actor is said to be late: with the time between two looks that is half a second."""
HUNG_S: Final = 3.0
"""... to hang: whoever repairs ends it."""
_HUNG_CPU_S: Final = 0.5
"""One that could run and had less processor time than that without a breath is not hung, but starved by others."""
_LETTERS: Final = {
    "R": "it runs or could run",
    "S": "it sleeps",
    "D": "it waits in the kernel",
    "T": "it is stopped by a signal",
    "t": "it is stopped by a debugger",
    "Z": "its process is gone",
    "": "its thread is gone",
}
_GONE: Final = ("", "Z", "X")
_STAGES: Final = {
    Stage.NONE: "before its first breath",
    Stage.ASLEEP: "between two breaths",
    Stage.READ: "reading from a NIC",
    Stage.DISTRIBUTE: "distributing",
    Stage.RECEIVE: "processing received packets",
    Stage.EXCHANGE: "taking what other engines say",
    Stage.TIMERS: "at its timers",
    Stage.WORK: "working on connections",
    Stage.SEND: "sending",
    Stage.REBUILD: "taking over from a predecessor",
}

Tell = Callable[[str, str], None]
"""Takes a level and a sentence."""
Look = Callable[[int, int], ThreadState]


class RingPlace(NamedTuple):
    """A ring FROM>TO, and where its indices lie in the arena."""

    name: str
    tail: int
    head: int
    capacity: int


@dataclass
class _Breath:
    seen_at: int = -1
    still_s: float = 0.0
    told: bool = False
    hung: bool = False
    cpu_s: float = 0.0


@dataclass
class _Flow:
    head: int = -1
    still_s: float = 0.0
    told: bool = False


@dataclass
class Pulse:
    """Looks at all actors that have a loop; ``names`` are theirs by their numbers, ``rings`` those to be watched."""

    array: Bytes
    names: dict[int, str]
    """May change while it looks: engines come and go."""
    rings: Iterable[tuple[str, int, int, int]]
    tell: Tell
    on_hung: Callable[[str, str], None]
    """Called with the name of one that hangs, and why one thinks so."""
    state_of: Look = thread_state
    _breaths: dict[int, _Breath] = field(default_factory=dict)
    _flows: dict[str, _Flow] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._places = [RingPlace(*ring) for ring in self.rings]
        self._words = self.array[: self.array.size // 8 * 8].view(np.int64)

    def core(self, number: int) -> Core:
        """Return the live record of an actor."""
        return view(Core, self.array, view(Arena, self.array).cores + number * size_of(Core))

    def look(self, span_s: float) -> None:
        """Look at everything, ``span_s`` after the last time."""
        late = [self._look_at(number, name, span_s) for number, name in list(self.names.items())]
        for ring in self._places:
            self._look_at_ring(ring, span_s, quiet=any(late))

    def late(self) -> list[str]:
        """Return the names of those that are late now."""
        return [name for number, name in list(self.names.items()) if self._breaths.get(number, _Breath()).told]

    def _look_at(self, number: int, name: str, span_s: float) -> bool:
        core = self.core(number)
        breath = self._breaths.setdefault(number, _Breath())
        if core.state != CoreState.RUNNING or core.heartbeat_at != breath.seen_at:
            self._breathes(core, name, breath)
            return False
        breath.still_s += span_s
        if breath.still_s >= LATE_S and not breath.told:
            state = self.state_of(core.process, core.thread)
            if state.letter not in _GONE:  # else it is told of as dead, in a moment
                breath.told, breath.cpu_s = True, state.cpu_s
                self.tell("warning", self._description(core, name, breath.still_s))
        if breath.still_s >= HUNG_S and not breath.hung:
            self._judge(core, name, breath)
        return breath.told

    def _breathes(self, core: Core, name: str, breath: _Breath) -> None:
        if breath.told and core.state == CoreState.RUNNING:
            self.tell("info", f"{name} breathes again, after {breath.still_s:.1f} s")
        breath.seen_at = core.heartbeat_at
        breath.still_s, breath.told, breath.hung = 0.0, False, False

    def _judge(self, core: Core, name: str, breath: _Breath) -> None:
        """Say that an actor hangs, unless it is only not let run."""
        state = self.state_of(core.process, core.thread)
        if state.letter != "R" or state.cpu_s - breath.cpu_s >= _HUNG_CPU_S:
            breath.hung = True
            self.on_hung(name, self._description(core, name, breath.still_s))

    def _description(self, core: Core, name: str, still_s: float) -> str:
        """Return what is known of an actor that does not breathe."""
        state = self.state_of(core.process, core.thread)
        last_s = time.time() - (monotonic_us() - core.heartbeat_at) / 1e6
        last = time.strftime("%H:%M:%S", time.localtime(last_s)) + f".{int(last_s % 1 * 1000):03d}"
        words = [
            f"{name} (process {core.process}) has not breathed for {still_s:.1f} s, since {last}",
            _LETTERS.get(state.letter, f"its state is {state.letter}"),
            f"it was {_STAGES.get(Stage(core.stage), 'at work')}",
        ]
        if waiting := self.levels(name):
            words.append(f"before it wait {waiting}")
        return "; ".join(words)

    def levels(self, name: str) -> str:
        """Return how full the rings towards an actor are."""
        found = []
        for ring in self._places:
            tail, head, capacity = (int(self._words[at >> 3]) for at in ring[1:])
            if ring.name.endswith(f">{name}") and tail != head:
                found.append(f"{tail - head} of {capacity} from {ring.name.partition('>')[0]}")
        return ", ".join(found)

    def _look_at_ring(self, ring: RingPlace, span_s: float, *, quiet: bool) -> None:
        """Tell of a ring from which nothing is taken though its reader breathes."""
        tail, head, capacity = (int(self._words[at >> 3]) for at in ring[1:])
        flow = self._flows.setdefault(ring.name, _Flow())
        if head != flow.head or tail == head:
            if flow.told:
                self.tell("info", f"ring {ring.name} moves again")
            flow.head, flow.still_s, flow.told = head, 0.0, False
            return
        flow.still_s += span_s
        if flow.still_s >= LATE_S and not flow.told and not quiet:
            flow.told = True
            self.tell("warning", f"ring {ring.name} is stuck: {tail - head} of {capacity} wait, nothing is taken")
