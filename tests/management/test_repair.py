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

    def _make_standbys(self) -> None:
        """No process is made."""

    def _next_standby(self) -> Member:
        return Member("standby-1", "Standby", -1, None, None)

    def _replace(self, member: Member, standby: Member) -> bool:
        self.replaced.append(member.name)
        return True


def engine(index: int) -> Member:
    return Member(f"engine-{index}", "PacketEngine", Actor.ENGINE + index, None, None)


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
