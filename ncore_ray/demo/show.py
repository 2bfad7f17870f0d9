"""The load: watched, displayed, measured before and after."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import asdict, dataclass
from typing import Any, Final

from rich.console import Console

from ncore_ray.demo.accounts import Accounts, Snapshot, take_still
from ncore_ray.demo.checks import all_checks
from ncore_ray.demo.play import Play
from ncore_ray.demo.result import engine_rows, make_result, server_rows
from ncore_ray.demo.sightings import Sightings
from ncore_ray.demo.site import Site
from ncore_ray.lab.display import LiveDisplay
from ncore_ray.lab.network import VIP
from ncore_ray.lab.process import Process, ProcessError, python_module
from ncore_ray.lab.rows import DemoResult, LiveState

_SAMPLE_S: Final = 1.0
_QUIET_S: Final = 8.0
_GRACE_S: Final = 60.0


@dataclass(frozen=True)
class Load:
    """How much traffic."""

    seconds: float = 15.0
    requests: int = 1_000_000
    """At most so many."""
    connections: int = 300
    """At the same time."""
    rate: float = 1000.0
    """Requests per second of all connections together, 0 for as fast as the client can."""


class Show:
    """One load on a site."""

    def __init__(self, site: Site, load: Load, *, with_acts: bool = False) -> None:
        """Show a load; ``with_acts``, engines come, die and go meanwhile."""
        self._site = site
        self._play = Play(site, load.seconds) if with_acts else None
        self._load = load
        self._sightings = Sightings()
        self._sampled_at = 0.0

    def run(self, console: Console | None) -> DemoResult:
        """Send the load, live on the console if there is one, and return what came of it.

        Raises ProcessError when the client breaks down.
        """
        before = take_still(self._snapshot)
        report = self._send(before, console)
        self._sample()
        after = self._quiet_snapshot(before)
        accounts = Accounts(before, after)
        events = self._site.appliance.ask("events")
        room = self._site.configuration.appliance.engine_room
        acts = self._play.acts if self._play else None
        checks = all_checks(report, accounts, self._sightings, events, room, acts)
        return make_result(self._site, report, accounts, checks)

    def _send(self, before: Snapshot, console: Console | None) -> dict[str, Any]:
        state = LiveState("ncore_ray", self._load.requests, self._load.seconds)
        with contextlib.ExitStack() as stack:
            display = stack.enter_context(LiveDisplay(console)) if console else None
            client = stack.enter_context(self._start_client())
            if self._play:
                stack.enter_context(self._play)
                state.told = self._play.acts.told
            for text in client.lines():
                line = json.loads(text)
                if line["type"] == "report":
                    return dict(line)
                state.take_progress(line)
                self._look(state, before)
                if display:
                    display.update(state)
        raise ProcessError(f"the load client ended without a report:\n{client.log_tail()}")

    def _start_client(self) -> Process:
        target = ["--http", f"{VIP}:80", "--tcp", f"{VIP}:9000"]
        amount = [f"--{name}={value}" for name, value in asdict(self._load).items()]
        line = python_module("ncore_ray.lab.client", *target, *amount)
        lifetime_s = self._load.seconds + _GRACE_S
        return self._site.network.client.start(line, name="load", lifetime_s=lifetime_s, read_output=True)

    def _look(self, state: LiveState, before: Snapshot) -> None:
        """Fill in what the appliance says of itself, and now and then look through the connection tables."""
        now = Snapshot.take(self._site)
        accounts = Accounts(before, now)
        state.engines, state.servers = engine_rows(accounts), server_rows(self._site.configuration, accounts)
        if time.monotonic() - self._sampled_at >= _SAMPLE_S:
            self._sample()

    def _sample(self) -> None:
        self._sampled_at = time.monotonic()
        self._sightings.take(self._site.appliance.ask("flows", 1_000_000))

    def _snapshot(self) -> Snapshot:
        return Snapshot.with_witnesses(self._site)

    def _quiet_snapshot(self, before: Snapshot) -> Snapshot:
        """Return counters read at a moment when no packet was on its way, or the last ones after some seconds."""
        end = time.monotonic() + _QUIET_S
        while True:
            taken = self._snapshot()
            if Accounts(before, taken).balanced or time.monotonic() > end:
                return taken
            time.sleep(0.1)
