"""Who is asked for the arena: the actor that is there for it, else whoever has it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.exceptions import RayActorError

from ncore_ray.actors.finding import find_arena
from ncore_ray.arena.layout import ArenaError

HERE = (["reference"], "node", 7)


class Actors:
    """Ray as far as it is asked: actors by name, each with what it answers (None: no method)."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers, self.asked = answers, list[str]()

    def handle(self, name: str, namespace: str) -> Any:
        """Return an actor."""
        self.asked.append(name)
        answer = self.answers[name]
        if isinstance(answer, ValueError):
            raise answer
        return SimpleNamespace() if answer is None else SimpleNamespace(hand_out=SimpleNamespace(remote=lambda: answer))


@pytest.fixture
def actors(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], Actors]:
    """Puts some actors in the place of Ray's."""

    def get(answer: Any, timeout: float) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    def put(answers: dict[str, Any]) -> Actors:
        made = Actors(answers)
        monkeypatch.setattr(ray.util, "list_named_actors", lambda all_namespaces: [{"name": name} for name in answers])
        monkeypatch.setattr(ray, "get_actor", made.handle)
        monkeypatch.setattr(ray, "get", get)
        return made

    return put


@pytest.mark.parametrize("name", ["edge/arena", "edge/arena-2"])
def test_who_is_there_for_it_is_asked_first(actors: Callable[[dict[str, Any]], Actors], name: str) -> None:
    made = actors({"edge/management": None, "other/arena": HERE, name: HERE, "edge/distributor": HERE})
    assert find_arena("edge") == (["reference"], "node")
    assert made.asked == [name]


def test_others_are_asked_when_it_is_dead(actors: Callable[[dict[str, Any]], Actors]) -> None:
    dead = {"edge/arena": RayActorError(), "edge/arena-2": ValueError("no such actor"), "edge/management": None}
    made = actors({**dead, "edge/nic-nc0": HERE})
    assert find_arena("edge") == (["reference"], "node")
    assert made.asked == ["edge/arena", "edge/arena-2", "edge/management", "edge/nic-nc0"]


@pytest.mark.parametrize("left", [{}, {"edge/arena": RayActorError(), "edge/management-2": None}])
def test_when_nobody_has_it_that_is_said(actors: Callable[[dict[str, Any]], Actors], left: dict[str, Any]) -> None:
    actors(left)
    with pytest.raises(ArenaError, match="the arena of appliance edge cannot be had: "):
        find_arena("edge")
