"""What a core answers the management, whichever way it is asked: by a message, or by a call of its actor."""

from __future__ import annotations

from typing import Any

import msgpack

from ncore_ray.arena.core import Actor
from ncore_ray.arena.layout import Bytes
from ncore_ray.config.load import to_data
from ncore_ray.errors import NcoreError
from ncore_ray.management.own import OwnConfiguration
from ncore_ray.management.reports import read_report, words_of_report


class Answers:
    """Of one core."""

    def __init__(self, array: Bytes, core: int) -> None:
        self._array, self._core = array, core
        self._own = OwnConfiguration(array, core - Actor.ENGINE)

    def answer(self, question: Any) -> dict[str, Any]:
        """Return the answer to a question; ``{"error": …}`` for what cannot be answered."""
        ask = question.get("ask") if isinstance(question, dict) else None
        try:
            if ask == "counters":
                return {"words": words_of_report(read_report(self._array, self._core))}
            if ask == "configuration":
                return {"configuration": to_data(self._own.in_force(question["assumed"]))}
            if ask == "prepare":
                return {"refused": self._own.judge(question["commands"], question["assumed"])}
        except (NcoreError, KeyError) as error:
            return {"error": str(error)}
        return {"error": f"nobody knows the question {ask}"}

    def answer_packed(self, raw: bytes) -> bytes:
        """Answer a question in msgpack, in msgpack."""
        answer: bytes = msgpack.packb(self.answer(msgpack.unpackb(raw, strict_map_key=False)))
        return answer
