"""Who does not breathe is told of once, with what it was doing; who hangs is not mixed up with who is starved."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from ncore_ray.arena.core import Actor, CoreState, Stage
from ncore_ray.arena.ring import Ring
from ncore_ray.lab.dry.arena import SmallArena, make_arena, put
from ncore_ray.machine.record import offset_of
from ncore_ray.management.deaths import Deaths
from ncore_ray.management.processes import ThreadState, thread_state
from ncore_ray.management.pulse import HUNG_S, LATE_S, Pulse
from ncore_ray.management.repair import Pauses, after_rejoining

LOOK = 0.1


class Ward:
    """An engine and the distributor of a small arena, under watch."""

    def __init__(self) -> None:
        self.arena: SmallArena = make_arena(engines=1, nics=1, guard=False)
        self.told: list[tuple[str, str]] = []
        self.hung: list[str] = []
        self.state = ThreadState("S", 1.0)
        ring = self.arena.header.engine_rings
        tail, head, capacity = (ring + offset_of(Ring, name) for name in ("tail", "head", "capacity"))
        self.pulse = Pulse(
            self.arena.array,
            {Actor.DISTRIBUTOR: "distributor", Actor.ENGINE: "engine-0"},
            [("distributor>engine-0", tail, head, capacity)],
            lambda level, text: self.told.append((level, text)),
            lambda name, why: self.hung.append(name),
            lambda process, thread: self.state,
        )
        for actor in (Actor.DISTRIBUTOR, Actor.ENGINE):
            self.arena.core(actor).state = CoreState.RUNNING

    def live(self, span_s: float, *actors: int) -> None:
        """Let time go by, in which some actors breathe."""
        for _ in range(round(span_s / LOOK)):
            for actor in actors:
                self.arena.core(actor).heartbeat_at += 20_000
            self.pulse.look(LOOK)


def test_those_who_breathe_are_not_mentioned() -> None:
    ward = Ward()
    ward.live(10, Actor.DISTRIBUTOR, Actor.ENGINE)
    assert (ward.told, ward.hung, ward.pulse.late()) == ([], [], [])


def test_one_that_stops_is_told_of_once_within_a_second_with_what_it_was_doing() -> None:
    ward = Ward()
    ward.live(1, Actor.DISTRIBUTOR, Actor.ENGINE)
    ward.arena.core(Actor.ENGINE).stage = Stage.WORK
    put(ward.arena.engine_ring(0), 7)
    ward.state = ThreadState("T", 1.0)
    ward.live(LATE_S + 2 * LOOK, Actor.DISTRIBUTOR)
    assert [level for level, _ in ward.told] == ["warning"]
    for words in ("engine-0", "stopped by a signal", "working on connections", "1 of 64 from distributor"):
        assert words in ward.told[0][1]
    assert ward.pulse.late() == ["engine-0"]
    ward.arena.take_engine(0)
    ward.live(1, Actor.DISTRIBUTOR, Actor.ENGINE)
    assert [text for _, text in ward.told[1:]] == ["engine-0 breathes again, after 0.6 s"]


@pytest.mark.parametrize("letter", ["S", "D", "T", ""])
def test_one_that_does_not_come_back_hangs(letter: str) -> None:
    ward = Ward()
    ward.state = ThreadState(letter, 1.0)
    ward.live(HUNG_S + 1, Actor.DISTRIBUTOR)
    assert ward.hung == ["engine-0"]


def test_one_that_spins_hangs_and_one_that_is_not_let_run_does_not() -> None:
    ward = Ward()
    ward.state = ThreadState("R", 1.0)
    ward.live(4 * HUNG_S, Actor.DISTRIBUTOR)
    assert ward.hung == []
    ward.state = ThreadState("R", 2.0)
    ward.live(1, Actor.DISTRIBUTOR)
    assert ward.hung == ["engine-0"]


def test_a_ring_from_which_nothing_is_taken() -> None:
    ward = Ward()
    ward.live(1, Actor.DISTRIBUTOR, Actor.ENGINE)
    put(ward.arena.engine_ring(0), 7)
    ward.live(1, Actor.DISTRIBUTOR, Actor.ENGINE)
    assert ward.told == [("warning", "ring distributor>engine-0 is stuck: 1 of 64 wait, nothing is taken")]
    ward.arena.take_engine(0)
    ward.live(1, Actor.DISTRIBUTOR, Actor.ENGINE)
    assert ward.told[1:] == [("info", "ring distributor>engine-0 moves again")]


def test_an_actor_that_was_stopped_in_order_is_not_late() -> None:
    ward = Ward()
    ward.arena.core(Actor.ENGINE).state = CoreState.STOPPED
    ward.live(10, Actor.DISTRIBUTOR)
    assert ward.told == []


def test_the_state_of_a_thread() -> None:
    assert thread_state(os.getpid(), threading.get_native_id()).letter == "R"
    assert thread_state(os.getpid(), 1).letter == ""


def test_a_death_is_noticed() -> None:
    deaths = Deaths()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert deaths.add(child.pid)
    assert deaths.wait(0.0) == []
    child.kill()
    assert deaths.wait(30.0) == [child.pid]
    child.communicate()
    assert not deaths.add(child.pid)
    assert deaths.wait(0.0) == []
    deaths.close()


def test_pauses_grow_for_one_that_dies_again_and_again() -> None:
    pauses, now, waited = Pauses(), 100.0, []
    for _ in range(9):
        waited.append(pauses.before("engine-0", now))
        now += waited[-1]
        pauses.replaced("engine-0", now)
        now += 1.0
    assert waited == [0.0, 0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 16.0]
    assert pauses.before("engine-1", now) == 0.0
    assert pauses.before("engine-0", now + 60.0) == 0.0


def test_a_kill_every_five_seconds_is_no_crash_loop() -> None:
    pauses, now = Pauses(), 100.0
    for _ in range(20):
        assert pauses.before("engine-0", now) == 0.0
        pauses.replaced("engine-0", now + 0.1)
        now += 5.0


def test_a_successor_of_the_management_goes_on_counting() -> None:
    pauses, successor = Pauses(), Pauses()
    for now in (100.0, 101.0, 102.0):
        pauses.before("engine-0", now)
        pauses.replaced("engine-0", now)
    successor.restore(pauses.plain())
    assert successor.before("engine-0", 103.0) == 1.0
    assert successor.before("engine-1", 103.0) == 0.0


def test_the_order_of_sockets_after_one_died() -> None:
    assert after_rejoining([0, 1, 2, 3], 1) == [0, 3, 2, 1]
    assert after_rejoining([0, 3, 2, 1], 1) == [0, 3, 2, 1]
    assert after_rejoining([0], 0) == [0]
    assert after_rejoining([0, 1], 0) == [1, 0]
