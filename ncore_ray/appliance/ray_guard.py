"""When a program is killed, the Ray that it started goes with it, but for two agents that take a minute to notice.

A helper waits at the other end of a pipe: when the program is gone, the pipe ends, and the helper ends the agents. It
holds them by handles of the kernel, so that a number that is used again by then is not mistaken for an agent's.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Final

from ncore_ray.management.processes import Held, command_line, descendants

_SCRIPT: Final = """
import signal, sys, time
sys.stdin.read()
time.sleep(0.5)
for handle in map(int, sys.argv[1:]):
    try:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    except ProcessLookupError:
        pass
"""


class AgentGuard:
    """Ends processes after this program's death: by default, the agents of its own Ray."""

    def __init__(self, agents: list[int] | None = None) -> None:
        with Held(_agents() if agents is None else agents) as held:
            handles = list(held.handles.values())
            line = [sys.executable, "-I", "-S", "-c", _SCRIPT, *map(str, handles)]
            self.process = (
                subprocess.Popen(line, stdin=subprocess.PIPE, start_new_session=True, pass_fds=handles)
                if handles
                else None
            )

    def dismiss(self) -> None:
        """Do nothing any more: Ray is ended in order."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


def _agents() -> list[int]:
    return [agent for raylet in _raylets() for agent in descendants(raylet)]


def _raylets() -> list[int]:
    return [child for child in descendants(os.getpid()) if "".join(command_line(child)[:1]).endswith("/raylet")]
