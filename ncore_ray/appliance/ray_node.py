"""The Ray of this machine: found, started for one program or to last, and stopped again.

A Ray that we start writes its address where `ray start` does, so that other programs (`ncore`, `ray status`) find it.
`RAY_ADDRESS` names a Ray elsewhere; `RAY_TMPDIR` is the folder of one of several Rays beside each other.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import ray
from ray._common.utils import get_default_ray_temp_dir
from ray.exceptions import RayError

from ncore_ray.appliance.ray_door import check_door
from ncore_ray.appliance.ray_guard import AgentGuard
from ncore_ray.appliance.ray_start import SETTINGS, STORE_SLACK, be_quiet, check_shared_memory, start_ray
from ncore_ray.errors import NcoreError, first_line
from ncore_ray.management.processes import Held, command_line, descendants, started_at, wait_gone
from ncore_ray.management.team import NAMESPACE

_PASSED_ON: Final = ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "NUMBA_BOUNDSCHECK", "NUMBA_DISABLE_JIT")
"""Variables that decide which compiled kernels an actor uses: a Ray that runs already has not got ours."""
_START_COMMAND: Final = "ray.scripts.scripts"
_START_S: Final = 60.0
_STOP_S: Final = 20.0
_REST_S: Final = 5.0
_guards: Final[list[AgentGuard]] = []


@dataclass(frozen=True)
class RayNode:
    """The Ray that this program is connected to."""

    started: bool
    """True if this program started it, and it ends with this program."""
    dashboard: str
    """URL, or ""."""
    lasting: bool = False
    """True if this program started it, and it goes on."""


@dataclass(frozen=True)
class Keeper:
    """The process whose end is the end of a Ray that `ncore` started."""

    address: str
    process: int
    lasting: bool
    """False: it is a program such as `ncore run`."""
    started_at: int
    """When the process began, in the kernel's ticks since the boot: its number may be used again later."""


def _folder() -> Path:
    return Path(get_default_ray_temp_dir())


def _address_file() -> Path:
    return _folder() / "ray_current_cluster"


def _keeper_file() -> Path:
    return _folder() / "ncore_keeper.json"


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except (OSError, ValueError):
        return False
    return True


def running_address() -> str | None:
    """Return the address of the Ray to attach to: `RAY_ADDRESS`, else the one here that answers."""
    named = os.environ.get("RAY_ADDRESS", "")
    if named not in ("", "auto"):
        return named
    try:
        address = _address_file().read_text().strip()
    except OSError:
        return None
    return address if _answers(address) else None


def running_ray() -> bool:
    """Return whether a Ray is running that this user can attach to."""
    return running_address() is not None


def keeper() -> Keeper | None:
    """Return who keeps the Ray that runs here, if `ncore` started it."""
    try:
        found = Keeper(**json.loads(_keeper_file().read_text()))
    except (OSError, ValueError, TypeError):
        return None
    alive = found.started_at == started_at(found.process) and found.address == running_address()
    return found if alive else None


def connect(arena_bytes: int | None = None, *, lasting: bool = False) -> RayNode:
    """Attach to the running Ray; else start one, if a size is given: for this program, or ``lasting``.

    Raises:
        NcoreError: no Ray runs and none may be started, or the one that runs does not answer.
    """
    if ray.is_initialized():
        return RayNode(False, _dashboard())
    be_quiet()
    if (address := running_address()) is not None:
        return _attach(address)
    if arena_bytes is None:
        raise NcoreError("no Ray is running here, so there is no appliance (start one with: ncore run CONFIG)")
    if lasting:
        check_shared_memory(arena_bytes)
        node = _attach(_start_lasting(arena_bytes))
        return RayNode(False, node.dashboard, lasting=True)
    return _start(arena_bytes)


def _attach(address: str) -> RayNode:
    """Attach by the address that Ray finds itself, as it then finds the token too."""
    variables = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    options: dict[str, Any] = {"runtime_env": {"env_vars": variables}} if variables else {}
    check_door(address)
    try:
        ray.init(namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR, **options)
    except (RayError, ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise NcoreError(f"the Ray at {address} does not let us in: {first_line(error)}") from None
    return RayNode(False, _dashboard())


def _start(arena_bytes: int) -> RayNode:
    context = start_ray(arena_bytes)
    _announce(context.address_info["gcs_address"], os.getpid(), lasting=False)
    _guards.append(AgentGuard())
    return RayNode(True, _dashboard())


def _announce(address: str, process: int, *, lasting: bool) -> None:
    keeper = Keeper(address, process, lasting, started_at(process) or 0)
    with suppress(OSError):  # another user's folder: then only RAY_ADDRESS finds this Ray
        _address_file().write_text(keeper.address)
        _keeper_file().write_text(json.dumps(asdict(keeper)))


def _withdraw(address: str) -> None:
    with suppress(OSError):
        if _address_file().read_text().strip() == address:
            _address_file().unlink()
            _keeper_file().unlink()


def disconnect(node: RayNode) -> None:
    """Leave Ray; one that this program started for itself ends."""
    address = ray.get_runtime_context().gcs_address if node.started and ray.is_initialized() else ""
    while _guards:
        _guards.pop().dismiss()
    ray.shutdown()
    if address:
        _withdraw(address)


def _start_lasting(arena_bytes: int) -> str:
    """Start a Ray in a process of its own and return its address when it answers. Raises NcoreError."""
    port = 0 if _answers("127.0.0.1:6379") else 6379
    line = [sys.executable, "-m", _START_COMMAND, "start", "--head", "--block", f"--port={port}"]
    line += [f"--object-store-memory={arena_bytes + STORE_SLACK}", "--dashboard-agent-listen-port=0"]
    line += ["--disable-usage-stats", f"--ray-client-server-port={_free_port()}"]
    _folder().mkdir(parents=True, exist_ok=True)
    _address_file().unlink(missing_ok=True)
    with (_folder() / "ncore_ray.log").open("w+") as log:
        process = subprocess.Popen(
            line,
            env={**SETTINGS, **os.environ},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
        )
        try:
            address = _wait_for(process, Path(log.name))
        except BaseException:  # Ctrl-C, too
            process.terminate()  # it ends its children
            raise
    _announce(address, process.pid, lasting=True)
    return address


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def _wait_for(process: subprocess.Popen[bytes], log: Path) -> str:
    end = time.monotonic() + _START_S
    while time.monotonic() < end and process.poll() is None:
        if address := running_address():
            return address
        time.sleep(0.1)
    words = [line for line in log.read_text(errors="replace").splitlines() if "Error" in line] or [f"see {log}"]
    raise NcoreError(f"Ray cannot be started: {words[-1].strip()}")


def stop_lasting() -> bool:
    """End the Ray that `deploy` started; return False if there is none such. Only that Ray's processes are touched."""
    found = keeper()
    if found is None or not found.lasting:
        return False
    ray.shutdown()
    with Held([found.process, *descendants(found.process)]) as family:
        if _START_COMMAND in command_line(found.process):
            family.send(found.process, signal.SIGTERM)  # it ends its children
            wait_gone([found.process], _STOP_S)
        wait_gone(family.handles, _REST_S)
        family.kill()
    _withdraw(found.address)
    return True


def _dashboard() -> str:
    url = ray._private.worker.get_dashboard_url()
    return f"http://{url}" if url else ""
