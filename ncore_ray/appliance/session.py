"""Appliances on a Ray cluster, seen from a program: connect, build, find, take down."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import ray
from ray.exceptions import RayError

from ncore_ray.actors.management import Management
from ncore_ray.config.load import dump, load
from ncore_ray.config.model import Configuration
from ncore_ray.errors import NcoreError
from ncore_ray.management.team import NAMESPACE

_STORE_SLACK: Final = 160 << 20
"""Bytes that Ray's object store is larger than the arena, so that Ray's own objects never push at it."""
_QUIET: Final = {
    "RAY_worker_niceness": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_usage_stats_enabled": "0",
}
"""What a Ray that we start ourselves is told: full priority for workers, no idle workers, no killing by memory."""
_SUFFIX: Final = "/management"


@dataclass(frozen=True)
class RayNode:
    """The Ray that this program is connected to."""

    started: bool
    """True if this program started it, and it ends with this program."""
    dashboard: str
    """URL, or ""."""


def running_ray() -> bool:
    """Return whether a Ray is running that this user can attach to."""
    return bool(os.environ.get("RAY_ADDRESS")) or Path("/tmp/ray/ray_current_cluster").exists()


def connect(arena_bytes: int | None = None) -> RayNode:
    """Attach to the running Ray (`RAY_ADDRESS`, or the one on this machine); else start one, if a size is given.

    Raises:
        NcoreError: no Ray runs and none may be started, or the one that runs does not answer.
    """
    if ray.is_initialized():
        return RayNode(False, _dashboard())
    if running_ray():
        try:
            ray.init(address="auto", namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR)
            return RayNode(False, _dashboard())
        except (ConnectionError, RayError, ValueError) as error:
            if os.environ.get("RAY_ADDRESS"):
                raise NcoreError(f"the Ray at RAY_ADDRESS does not answer: {error}") from None
    if arena_bytes is None:
        raise NcoreError("no Ray is running here, so there is no appliance (start one with: ncore run CONFIG)")
    return _start(arena_bytes)


def _start(arena_bytes: int) -> RayNode:
    os.environ.update({name: value for name, value in _QUIET.items() if name not in os.environ})
    try:
        ray.init(
            namespace=NAMESPACE,
            object_store_memory=arena_bytes + _STORE_SLACK,
            include_dashboard=True,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (RayError, ValueError, OSError) as error:
        raise NcoreError(f"Ray cannot be started: {error}") from None
    return RayNode(True, _dashboard())


def _dashboard() -> str:
    url = ray._private.worker.get_dashboard_url()
    return f"http://{url}" if url else ""


@dataclass(frozen=True)
class Appliance:
    """A running appliance, by its management actor."""

    name: str
    management: Any

    def ask(self, method: str, *arguments: Any, timeout_s: float = 30.0) -> Any:
        """Call a method of the management actor. Raises NcoreError when it fails or does not answer."""
        try:
            return ray.get(getattr(self.management, method).remote(*arguments), timeout=timeout_s)
        except RayError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, NcoreError):
                raise cause from None
            raise NcoreError(f"appliance {self.name} does not answer: {error}") from None

    def take_down(self) -> list[str]:
        """Stop all actors and the management; return those that had to be killed."""
        late: list[str] = self.ask("stop", timeout_s=60)
        ray.kill(self.management, no_restart=True)
        return late


def create(configuration: Configuration, source: str, *, detached: bool) -> Appliance:
    """Build an appliance; returns when packets flow.

    Raises:
        NcoreError: one of that name runs already, or something that it needs cannot be had.
    """
    name = configuration.appliance.name
    if name in names():
        raise NcoreError(f"an appliance named {name} runs already (ncore shutdown {name} ends it)")
    options: dict[str, Any] = {"lifetime": "detached"} if detached else {}
    management = (
        ray.remote(Management)
        .options(name=name + _SUFFIX, namespace=NAMESPACE, num_cpus=0, max_concurrency=32, **options)
        .remote(name, detached=detached)
    )
    appliance = Appliance(name, management)
    try:
        appliance.ask("build", dump(configuration), source, str(Path.cwd()), timeout_s=600)
    except BaseException:
        ray.kill(management, no_restart=True)
        raise
    return appliance


def names() -> list[str]:
    """Return the names of the appliances on this Ray."""
    actors = ray.util.list_named_actors(all_namespaces=True)
    return sorted(
        a["name"][: -len(_SUFFIX)] for a in actors if a["namespace"] == NAMESPACE and a["name"].endswith(_SUFFIX)
    )


def find(name: str | None = None) -> Appliance:
    """Return the appliance of a name, or the only one there is. Raises NcoreError."""
    known = names()
    if name is None:
        if len(known) != 1:
            what = f"there are {', '.join(known)}: name one" if known else "there is none (ncore run CONFIG starts one)"
            raise NcoreError(f"which appliance? {what}")
        name = known[0]
    if name not in known:
        raise NcoreError(f"there is no appliance named {name}" + (f", only {', '.join(known)}" if known else ""))
    return Appliance(name, ray.get_actor(name + _SUFFIX, namespace=NAMESPACE))


def start(path: Path, *, detached: bool) -> tuple[Appliance, RayNode]:
    """Load a configuration, connect, and build. Raises NcoreError."""
    configuration = load(path)
    node = connect(configuration.appliance.arena)
    return create(configuration, str(path), detached=detached), node
