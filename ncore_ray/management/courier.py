"""How the replicator talks with the engines: by core-to-core messages or by calls of their actors, in msgpack.

It asks each engine by which configuration it works, and, when a change is written beside what is in force, sends each
the commands that lead there: every engine has to agree before the change comes into force. Without a courier the
replicator reads both in shared memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

import msgpack
import ray
from ray.exceptions import RayError

from ncore_ray.arena.core import Actor
from ncore_ray.config.load import from_data
from ncore_ray.config.model import Configuration
from ncore_ray.errors import NcoreError
from ncore_ray.management.desk import Desk
from ncore_ray.management.own import assumed_of

ANSWER_S: Final = 2.0
Ask = Callable[[Mapping[int, Any]], Mapping[int, Any]]
"""Asks each of some engines its question, and returns the answers that came."""


class DisagreementError(NcoreError):
    """An engine that does not answer, or does not agree: nothing is changed."""


class Member(Protocol):
    """An engine's actor, as `Team` knows it."""

    number: int
    handle: Any


class Courier:
    """Carries questions to engines, and answers back."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def configurations(self, engines: Iterable[int], wanted: Configuration) -> dict[int, Configuration]:
        """Return by which configuration each engine works, as it says itself. Raises DisagreementError."""
        assumed, asked = assumed_of(wanted), list(engines)
        answers = self._answers({one: {"ask": "configuration", "assumed": assumed} for one in asked}, "configuration")
        return {engine: from_data(data, apart=True) for engine, data in answers.items()}

    def agree(self, commands: Mapping[int, Sequence[str]], wanted: Configuration) -> None:
        """See that each engine agrees to a change that is prepared. Raises DisagreementError."""
        assumed = assumed_of(wanted)
        questions = {
            engine: {"ask": "prepare", "commands": list(lines), "assumed": assumed}
            for engine, lines in commands.items()
        }
        for engine, why in self._answers(questions, "refused").items():
            if why:
                raise DisagreementError(f"engine-{engine} does not agree: {why}; nothing was changed")

    def _answers(self, questions: Mapping[int, Any], key: str) -> dict[int, Any]:
        found = self._ask(questions)
        for engine in questions:
            answer = found.get(engine)
            if answer is None or key not in answer:
                why = "it does not answer" if answer is None else answer.get("error", "it answers something else")
                raise DisagreementError(f"engine-{engine}: {why}; nothing was changed")
        return {engine: found[engine][key] for engine in questions}


def by_messages(desk: Desk) -> Courier:
    """Return one that asks by core-to-core messages."""

    def ask(questions: Mapping[int, Any]) -> dict[int, Any]:
        answers = desk.ask({Actor.ENGINE + engine: one for engine, one in questions.items()}, ANSWER_S)
        return {core - Actor.ENGINE: answer for core, answer in answers.items()}

    return Courier(ask)


def by_calls(members: Callable[[], Iterable[Member]]) -> Courier:
    """Return one that calls the engines' actors."""

    def ask(questions: Mapping[int, Any]) -> dict[int, Any]:
        handles = {member.number - Actor.ENGINE: member.handle for member in members()}
        calls = {
            engine: handles[engine].told.remote(Actor.ENGINE + engine, msgpack.packb(question))
            for engine, question in questions.items()
            if handles.get(engine) is not None
        }
        return {engine: answer for engine, call in calls.items() if (answer := _answer(call)) is not None}

    return Courier(ask)


def _answer(call: Any) -> Any:
    try:
        return msgpack.unpackb(ray.get(call, timeout=ANSWER_S), strict_map_key=False)
    except RayError:
        return None
