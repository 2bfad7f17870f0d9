"""A lab whose configuration is changed while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ncore_ray.arena.core import Actor
from ncore_ray.config.apply import apply
from ncore_ray.config.language import parse_command
from ncore_ray.config.model import Configuration
from ncore_ray.management.directory import Row, service_rows, vserver_rows
from ncore_ray.management.live import Commit, LiveTables
from ncore_ray.management.replicator import Pass, Replicator
from tests.support.http_lab import Host, HttpLab, configuration
from tests.support.tcp_peer import Peer


class LiveLab(HttpLab):
    """The lab, and what changes its configuration; engines breathe while they are waited for."""

    def __init__(self, text: str, **dimensions: int) -> None:
        super().__init__(text, **dimensions)
        self.wanted = self.blueprint.configuration
        self.tables = LiveTables(
            self.array, self.wanted, self.blueprint.capacity, lambda: self.followers, pause=self._breathe_all
        )
        self.replicator = Replicator(self.tables)
        self.followers = [Actor.ENGINE + engine for engine in self.engine_indexes]

    def _breathe_all(self) -> None:
        self.now += 10
        self.step_engines()

    def change(self, *commands: str) -> Commit:
        """Make some changes, as the management does."""
        self.wanted = apply(map(parse_command, commands), self.wanted)
        return self.tables.change(self.wanted)

    def look(self) -> Pass | None:
        """Let the replicator compare what is with what is wanted."""
        return self.replicator.follow(self.wanted)

    def of_engine(self, engine: int = 0) -> Configuration:
        return self.tables.of_engines()[engine]

    def new_server(self, address: str) -> Host:
        """Put a server on the network of servers."""
        host = self.add_host(1, address)
        self.servers.append(host)
        return host

    def client_of(self, address: str, port: int, *, engine: int = 0) -> Peer:
        """Return a connection of a new client to any vServer, not opened yet."""
        self._port += 1
        return self.client_host.peer(self._port, (address, port), engine)

    def services(self) -> list[str]:
        """Return the services by row, with a star behind those that drain."""
        return shown(service_rows(self.array))

    def vservers(self) -> list[str]:
        return shown(vserver_rows(self.array))


def shown(rows: list[Row]) -> list[str]:
    return [row.name + "*" * row.draining for row in rows]


@contextmanager
def changing(**settings: Any) -> Iterator[LiveLab]:
    """Give a lab, and see afterwards that nothing was lost or kept."""
    lab = LiveLab(configuration(**settings), connections=64, frames=512)
    yield lab
    lab.end()
