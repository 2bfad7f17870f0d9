"""`python -m tests.messages.stress FILE COUNT`: the other process, which sends so many messages as fast as it can."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from ncore_ray.messages.arena import ArenaPort
from ncore_ray.messages.port import Sending
from tests.messages.message_arena import ENGINES, map_file

SENDER: Final = 1
RECEIVER: Final = 3


def message(number: int) -> list[object]:
    """Return a message that tells its number, of a length of its own."""
    return [number, "x" * (number % 61)]


def main() -> None:
    """Send."""
    port = ArenaPort(map_file(Path(sys.argv[1])), ENGINES, SENDER)
    for number in range(int(sys.argv[2])):
        value = message(number)
        while port.send(RECEIVER, value) is Sending.FULL:
            os.sched_yield()


if __name__ == "__main__":
    main()
