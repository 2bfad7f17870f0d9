"""Something that fails time and again: how long to rest before the next attempt, and when it is worth a line."""

from __future__ import annotations

from typing import Final

FIRST_REST_S: Final = 0.05
LONGEST_REST_S: Final = 10.0


class Trouble:
    """Failures in a row."""

    def __init__(self) -> None:
        self.times = 0

    def again(self) -> float:
        """Note a failure; return how long to rest, in seconds: twice as long each time, and 10 s at the most."""
        self.times += 1
        return min(FIRST_REST_S * 2.0 ** min(self.times - 1, 16), LONGEST_REST_S)

    def over(self) -> None:
        """Note that it went well."""
        self.times = 0

    @property
    def is_news(self) -> bool:
        """Whether the latest failure is to be said: the first, second, fourth, eighth … of a row."""
        return self.times & (self.times - 1) == 0
