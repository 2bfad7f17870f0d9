"""Engines that die in the middle of a breath, and are taken over.

In plain Python an exception is raised at a line chosen by chance, anywhere in the kernels. In machine code the breath
is done by a child process, which shares the arena and is killed (SIGKILL) at an instant chosen by chance.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

import numpy as np

from ncore_ray.arena.core import Actor
from ncore_ray.engine.takeover.run import Takeover, take_over
from ncore_ray.lab.dry.arena import mapped_bytes
from ncore_ray.lab.dry.engine import EngineLab
from ncore_ray.machine.jit import JIT

_KERNELS: Final = ("/ncore_ray/engine/", "/ncore_ray/arena/", "/ncore_ray/flow/", "/ncore_ray/tables/")
_FEWEST_LINES: Final = 40
_MOST_LINES: Final = 3_000
_MOST_S: Final = 300e-6
_ASKED: Final = 1
_BREATHING: Final = 2
_DONE: Final = 3
_FAILED: Final = 4


class Killed(BaseException):
    """The engine dies here."""


def die_at_line(number: int, breathe: Callable[[], int], rooms: tuple[str, ...] = _KERNELS) -> bool:
    """Run a breath in plain Python that dies at its n-th line in some files; return whether it did."""
    left = number

    def in_kernel(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal left
        if event == "line":
            left -= 1
            if left == 0:
                raise Killed
        return in_kernel

    def on_call(frame: FrameType, event: str, argument: Any) -> Any:
        return in_kernel if any(room in frame.f_code.co_filename for room in rooms) else None

    before = sys.gettrace()
    sys.settrace(on_call)
    try:
        breathe()
    except Killed:
        return True
    finally:
        sys.settrace(before)
    return False


class _Child:
    """A child process that does breaths, until it is killed in one: to make one costs far more than a breath."""

    def __init__(self) -> None:
        self._words = mapped_bytes(64).view(np.int64)
        """State, engine, time."""
        self._process = 0
        self._bell = -1

    def die_after(self, span_s: float, engine: int, now: int, breathe: Callable[[int, int], int]) -> bool:
        """Let it do a breath of an engine at a time; return whether it was killed before the breath ended."""
        if not self._process:
            self._make(breathe)
        self._words[:3] = _ASKED, engine, now
        os.write(self._bell, b"!")
        while self._words[0] == _ASKED:
            time.sleep(0)
        end = time.perf_counter() + span_s
        while time.perf_counter() < end:
            pass
        if self._words[0] == _DONE:
            return False
        self.end()
        assert self._words[0] != _FAILED, "the breath raised an exception"
        return bool(self._words[0] == _BREATHING)

    def _make(self, breathe: Callable[[int, int], int]) -> None:
        hears, self._bell = os.pipe()
        self._process = os.fork()
        if self._process:
            os.close(hears)
            return
        os.close(self._bell)  # so that it ends with its parent
        try:
            while os.read(hears, 1):
                self._words[0] = _BREATHING
                breathe(int(self._words[1]), int(self._words[2]))
                self._words[0] = _DONE
        except BaseException:
            self._words[0] = _FAILED
        finally:
            os._exit(0)

    def end(self) -> None:
        """Kill it, if there is one."""
        if self._process:
            os.kill(self._process, signal.SIGKILL)
            os.waitpid(self._process, 0)
            os.close(self._bell)
            self._process = 0


class Mortal(EngineLab):
    """A lab whose engines die now and then; for `EngineLab` and what is made of it."""

    odds: float = 0.0
    """How often a breath is one that may be the last."""
    choice: random.Random
    deaths: int = 0
    """Breaths that were cut off."""
    marked: int = 0
    """Of these, those in which a connection was being changed."""
    found: list[Takeover]

    def begin_dying(self, seed: int, odds: float) -> None:
        """Let engines die from now on."""
        self.choice, self.odds, self.found = random.Random(seed), odds, []
        self._child = _Child()
        weakref.finalize(self, self._child.end)

    def run_breath(self, engine: int) -> int:
        """Do one breath, or a part of it."""
        if self.odds == 0.0 or self.choice.random() >= self.odds:
            return super().run_breath(engine)
        if self._cut_off(engine):
            self.deaths += 1
            self.marked += self.engine(engine).changing != 0
            self.replace(engine)
        return 1

    def _breathe_at(self, engine: int, now: int) -> int:
        self.now = now
        return EngineLab.run_breath(self, engine)

    def _cut_off(self, engine: int) -> bool:
        if JIT:
            return self._child.die_after(self.choice.random() * _MOST_S, engine, self.now, self._breathe_at)
        # Most breaths are short, and begin with what changes no connection.
        lines = int(_FEWEST_LINES * (_MOST_LINES / _FEWEST_LINES) ** self.choice.random())
        return die_at_line(lines, lambda: self._breathe_at(engine, self.now))

    def replace(self, engine: int) -> None:
        """Take over, and see that everything is accounted for."""
        found = take_over(self.array, engine, self.now)
        self.found.append(found)
        assert found.unmarked == 0, f"death {self.deaths}: {found}"
        self.check_whole(engine)

    def check_whole(self, engine: int) -> None:
        """Check that lists, counts and frames agree with the connections."""
        header = self.engine(engine)
        live = self.connections(engine)
        assert header.live_connections == len(live)
        stack = self.array[header.free_frames : header.free_frames + 4 * header.free_frame_count].view("<i4").tolist()
        held = self.frames_of(live)
        away = self.frames_at_nics(engine)
        mine = [*stack, *held]
        assert len(set(mine)) == len(mine), "a frame stands in two lists"
        assert not set(mine) & away
        if not header.links:
            assert len(mine) + len(away) == header.frame_count
        assert not set(mine) & {frame for frames in self._nic_frames for frame in frames}
        assert all(self._metas()["owner"][frame] == Actor.ENGINE + engine for frame in mine)

    def frames_of(self, live: list[Any]) -> list[int]:
        """Return all frames in chains of connections."""
        following, found = self._metas()["next"], []
        for tcb in live:
            for first in (tcb.send_chain, tcb.hold_chain, tcb.out_of_order):
                frame = (first & 0xFFFF_FFFF) - ((first & 0x8000_0000) << 1)
                while frame >= 0:
                    found.append(frame)
                    frame = int(following[frame])
        return found

    def frames_at_nics(self, engine: int) -> set[int]:
        """Return the frames on their way to a NIC's writer or back."""
        found = set()
        for nic in range(self.arena.nic_count):
            place = engine * self.arena.nic_count + nic
            for region in (self.arena.transmit_rings, self.arena.transmit_return_rings):
                ring = self._ring(region, place)
                found |= {word & 0xFFFF_FFFF for word in self.words(region, place, ring.taken, ring.tail)}
        return found

    def words(self, region: int, place: int, first: int, end: int) -> list[int]:
        """Return the words of a ring between two indices."""
        from ncore_ray.arena.ring import RING_HEAD_SIZE

        ring = self._ring(region, place)
        start = region + place * self.arena.ring_stride + RING_HEAD_SIZE
        memory = self.array[start : start + 8 * ring.capacity].view("<i8")
        return [int(memory[index & (ring.capacity - 1)]) for index in range(first, end)]
