"""What the demo plays on: network, origin servers, Ray, appliance. Built on entry, taken down whatever happens."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rich.console import Console

from ncore_ray.appliance import session
from ncore_ray.config.load import load
from ncore_ray.config.model import Configuration
from ncore_ray.demo.ray_node import DemoRay, demo_ray
from ncore_ray.demo.site import Site
from ncore_ray.errors import NcoreError
from ncore_ray.lab.__main__ import start_origins
from ncore_ray.lab.guard import PrefixInUseError, signals_held_back
from ncore_ray.lab.network import Layout, Network

CONFIGURATION: Final = Path(__file__).parents[2] / "configs" / "demo.yaml"
_PREFIXES: Final = ("ncore-demo", *(f"ncore-demo{number}" for number in range(2, 10)))


class Stage:
    """The running parts, by name."""

    site: Site
    network: Network
    ray: DemoRay

    def __init__(self, console: Console, engines: int) -> None:
        self._console = console
        self._engines = engines
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Stage:
        self._stack.callback(self._console.print, "  taking everything down …", style="bright_black")
        try:
            self._build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _build(self) -> None:
        self.network = self._stack.enter_context(free_network())
        hosts = ", ".join(server.role for server in self.network.servers)
        self._tell(f"network of {self.network.layout.prefix}-…: client ─ nc0 appliance nc1 ─ switch ─ {hosts}")
        start_origins(self.network)
        self._tell("origin servers answer on every server host")
        self._start_appliance(demo_configuration(self.network, self._engines))

    def _start_appliance(self, configuration: Configuration) -> None:
        started_at = time.monotonic()
        arena = configuration.appliance.arena
        self.ray = self._stack.enter_context(demo_ray(arena))
        self._tell(f"Ray runs ({time.monotonic() - started_at:.1f} s)")
        started_at = time.monotonic()
        appliance = session.create(configuration, str(CONFIGURATION), detached=False)
        self._stack.callback(_take_down, appliance)
        self.site = Site(self.network, appliance, configuration, self.ray.dashboard)
        self.site.wait_until_up()
        actors = len(appliance.ask("status")["actors"]) + 1
        self._tell(
            f"appliance of {self._engines} packet engines, {actors} actors, {arena >> 20} MiB arena; every service "
            f"is up ({time.monotonic() - started_at:.1f} s)"
        )

    def __exit__(self, *_: object) -> None:
        with signals_held_back():
            self._stack.close()

    def _tell(self, text: str) -> None:
        self._console.print(f"[green]✔[/] {text}")


def _take_down(appliance: session.Appliance) -> None:
    with signals_held_back(), contextlib.suppress(NcoreError):
        appliance.take_down()


@contextlib.contextmanager
def free_network() -> Iterator[Network]:
    """Build a network under the first name that no living program uses; what a killed demo left is removed."""
    for prefix in _PREFIXES:
        try:
            network = Network(Layout(prefix=prefix)).__enter__()
        except PrefixInUseError:
            continue
        try:
            yield network
        finally:
            network.__exit__()
        return
    raise NcoreError(f"{len(_PREFIXES)} demos run here already")


def demo_configuration(network: Network, engines: int) -> Configuration:
    """Return ``configs/demo.yaml`` for a network that was built just now."""
    configuration = load(CONFIGURATION)
    netns = network.appliance.namespace.name
    nics = tuple(nic.model_copy(update={"netns": netns}) for nic in configuration.nics)
    room = max(engines, configuration.appliance.engine_room)
    appliance = configuration.appliance.model_copy(update={"engines": engines, "max_engines": room})
    return configuration.model_copy(update={"nics": nics, "appliance": appliance})
