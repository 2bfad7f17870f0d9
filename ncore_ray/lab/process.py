"""Programs inside namespaces: started, watched until ready, bounded in time, and surely ended.

Each program leads a process group of its own, so that Ctrl-C on the terminal reaches only us and we end the others in
order. (Not a session: the kernel's scheduler gives sessions equal shares of the processor, which would change what the
benchmarks compare.) It dies with the *thread* that started it (``PR_SET_PDEATHSIG``): start programs from a thread that
lives as long as they should.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from ncore_ray.lab import cpu
from ncore_ray.lab.namespace import Namespace

_LAUNCHER = Path(__file__).with_name("launch.py")
_POLL_S = 0.02
_CALL = "import json, sys, importlib; m, _, q = sys.argv[1].partition(':'); f = importlib.import_module(m)\n" + (
    "for n in q.split('.'): f = getattr(f, n)\nf(*json.loads(sys.argv[2]))"
)


class ProcessError(RuntimeError):
    """A program could not be started, was not ready in time, or failed; the text ends with its last words."""


def find_program(name: str) -> str | None:
    """Return where a program lies; the administrator's folders are searched also when PATH lacks them."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin")


def python_function(function: Callable[..., object], *arguments: Any) -> list[str]:
    """Return the command line that runs a module-level function in a new Python; arguments must be JSON values."""
    target = f"{function.__module__}:{function.__qualname__}"
    return [sys.executable, "-c", _CALL, target, json.dumps(arguments)]


def python_module(name: str, *arguments: str) -> list[str]:
    """Return the command line that runs a module (``python -m``) with this Python."""
    return [sys.executable, "-m", name, *arguments]


class Process:
    """One running program. As a context manager it is stopped at the end of the block."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        namespace: Namespace | None = None,
        log: Path,
        name: str = "",
        lifetime_s: float = 3600.0,
        environment: Mapping[str, str] | None = None,
        read_output: bool = False,
    ) -> None:
        """Start the program inside ``namespace`` (None: the current one).

        Its standard error, and its standard output too unless ``read_output`` is set (see :meth:`lines`), go to the
        file ``log``. After ``lifetime_s`` seconds it is killed. Raises ProcessError when the program is not installed.
        """
        program = find_program(arguments[0])
        if program is None:
            raise ProcessError(f"{arguments[0]} is not installed")
        self.name = name or Path(program).name
        self.log = log
        with log.open("ab") as stream:
            self._child = subprocess.Popen(
                self._launch_line(namespace, [program, *arguments[1:]]),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if read_output else stream,
                stderr=stream,
                env=dict(environment) if environment is not None else None,
                process_group=0,
            )
        self._namespace = namespace
        self._limit = threading.Timer(lifetime_s, self.kill)
        self._limit.daemon = True
        self._limit.start()

    @staticmethod
    def _launch_line(namespace: Namespace | None, command: list[str]) -> list[str]:
        where = str(namespace.path) if namespace else "-"
        return [sys.executable, "-I", "-S", str(_LAUNCHER), where, str(os.getpid()), *command]

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id; also the id of its process group."""
        return self._child.pid

    @property
    def returncode(self) -> int | None:
        """Exit status, minus the signal's number when a signal ended it, None while it runs."""
        return self._child.poll()

    def lines(self) -> Iterator[str]:
        """Yield the lines of its standard output as they come (only with ``read_output``)."""
        stream: IO[bytes] | None = self._child.stdout
        if stream is None:
            raise ValueError(f"{self.name} was started without read_output")
        for line in stream:
            yield line.decode("utf-8", "replace").rstrip("\n")

    def log_tail(self, lines: int = 12) -> str:
        """Return the last lines of its log."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def cpu_seconds(self) -> float:
        """User + system time in s of the program and its descendants, all threads."""
        return cpu.cpu_seconds(self.pid)

    def wait(self, timeout_s: float) -> int:
        """Wait for its end and return the exit status. Raises ProcessError when it takes longer."""
        try:
            status = self._child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise ProcessError(f"{self.name} still runs after {timeout_s:g} s") from None
        self._limit.cancel()
        return status

    def wait_until(self, ready: Callable[[], bool], what: str, timeout_s: float = 10.0) -> None:
        """Poll until ``ready()``. Raises ProcessError when the program ends before or the time is over."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            if self.returncode is not None:
                raise ProcessError(f"{self.name} ended with {self.returncode}:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise ProcessError(f"{self.name}: {what} after {timeout_s:g} s:\n{self.log_tail()}")
            time.sleep(_POLL_S)

    def wait_port(self, address: str, port: int, timeout_s: float = 10.0) -> None:
        """Wait until a TCP port accepts connections, tried from within the program's own namespace."""
        self.wait_until(
            lambda: port_answers(self._namespace, address, port), f"{address}:{port} does not answer", timeout_s
        )

    def kill(self) -> None:
        """End it and its group at once, if it runs."""
        self._signal(signal.SIGKILL)

    def ask_to_end(self) -> None:
        """Send SIGTERM; what it still says can be read."""
        self._signal(signal.SIGTERM)

    def stop(self, grace_s: float = 3.0) -> int:
        """Ask it to end, kill it after ``grace_s`` seconds, and return its exit status. May be called again."""
        self._limit.cancel()
        self._signal(signal.SIGTERM)
        try:
            self._child.wait(grace_s)
        except subprocess.TimeoutExpired:
            self.kill()
            self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()
        return self._child.returncode

    def _signal(self, number: signal.Signals) -> None:
        if self._child.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, number)


def port_answers(namespace: Namespace | None, address: str, port: int) -> bool:
    """Tell whether a TCP connection to a port is accepted, tried from within a namespace."""

    def attempt() -> bool:
        try:
            with socket.create_connection((address, port), timeout=1.0):
                return True
        except OSError:
            return False

    return namespace.call(attempt) if namespace else attempt()
