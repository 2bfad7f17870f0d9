"""Who is replaced, and who is not: made-up actors, no process."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ncore_ray.arena.core import Actor
from ncore_ray.management.keeping import Place
from ncore_ray.management.repair import Repair
from ncore_ray.management.team import Member


class MadeUpRepair(Repair):
    """One that has a standby at once, and notes whom it replaces."""

    def __init__(self, members: list[Member]) -> None:
        team: Any = SimpleNamespace(members=members, engines=members, standbys=[])
        pulse: Any = None
        place = Place([], "node", 1)
        super().__init__(team, place, pulse, lambda order: None, lambda level, text: None, lambda: None, [])
        self.replaced: list[str] = []
        self.irreplaceable: set[str] = set()

    def _make_standbys(self) -> None:
        """No process is made."""

    def _next_standby(self) -> Member:
        return Member("standby-1", "Standby", -1, None, None)

    def _replace(self, member: Member, standby: Member) -> bool:
        self.replaced.append(member.name)
        if member.name in self.irreplaceable:
            return False
        member.failure = None
        return True


def engine(index: int) -> Member:
    member = Member(f"engine-{index}", "PacketEngine", Actor.ENGINE + index, None, None)
    member.failure = "its process died"
    return member


def test_one_that_has_left_meanwhile_is_not_replaced() -> None:
    """Two processes at one partition would destroy what it holds."""
    stays, left = engine(0), engine(1)
    repair = MadeUpRepair([stays])
    repair._repair(left)
    repair._repair(stays)
    assert repair.replaced == ["engine-0"]


def test_one_that_came_again_under_the_same_name_is_another() -> None:
    before, now = engine(1), engine(1)
    repair = MadeUpRepair([now])
    repair._repair(before)
    assert repair.replaced == []


def test_one_that_was_reported_twice_is_replaced_once() -> None:
    """Else its healthy successor would be killed, and reported, and so on."""
    one = engine(0)
    repair = MadeUpRepair([one])
    assert [repair._repair(one), repair._repair(one)] == [True, True]
    assert repair.replaced == ["engine-0"]


def test_one_that_cannot_be_replaced_is_tried_again_and_holds_nobody_up() -> None:
    bad, good = engine(0), engine(1)
    repair = MadeUpRepair([bad, good])
    repair.irreplaceable.add("engine-0")
    for _ in range(6):  # it is tried later and later
        repair._repair(bad)
    repair.failed(good)
    assert repair._work.take(0) is bad  # its first tries were due at once
    while (member := repair._work.take(0)) is not None and member is not good:
        assert member is bad
    assert member is good
    repair._repair(good)
    assert repair.replaced[-1] == "engine-1"
    assert repair.pauses.plain()["engine-0"][1] >= 5
