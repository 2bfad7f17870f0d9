"""When a program is killed, the Ray that it started goes with it, but for two agents that take a minute to notice.

A shell waits at the other end of a pipe: when the program is gone, the pipe ends, and the shell ends the agents.
"""

from __future__ import annotations

import os
import subprocess
from typing import Final

from ncore_ray.management.processes import command_line, descendants

_SCRIPT: Final = 'read -r _; sleep 0.5; kill -KILL "$@" 2>/dev/null'


class AgentGuard:
    """Ends the agents of this program's own Ray after the program's death."""

    def __init__(self) -> None:
        agents = [agent for raylet in _raylets() for agent in descendants(raylet)]
        line = ["/bin/sh", "-c", _SCRIPT, "ncore-guard", *map(str, agents)]
        self._shell = subprocess.Popen(line, stdin=subprocess.PIPE, start_new_session=True) if agents else None

    def dismiss(self) -> None:
        """Do nothing any more: Ray is ended in order."""
        if self._shell is not None:
            self._shell.kill()
            self._shell.communicate()
            self._shell = None


def _raylets() -> list[int]:
    return [child for child in descendants(os.getpid()) if "".join(command_line(child)[:1]).endswith("/raylet")]
