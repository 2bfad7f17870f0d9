"""`ncore run`: an appliance in the foreground, from the first check to the last process."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ncore_ray.cli.building import checked_configuration, step
from ncore_ray.cli.compile_command import ensure_compiled
from ncore_ray.cli.options import ConfigPath
from ncore_ray.cli.output import print_drawn, print_line
from ncore_ray.cli.overrides import FaultOptions, TraceOptions
from ncore_ray.errors import NcoreError

if TYPE_CHECKING:
    from types import FrameType

    from ncore_ray.appliance.session import Appliance, RayNode
    from ncore_ray.config.model import Configuration

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_LOOK_S: Final = 0.2
_POLL_S: Final = 10.0
_ANSWER_S: Final = 30.0
_END_S: Final = 60.0
_INTERRUPTED: Final = 130


def register(root: typer.Typer) -> None:
    """Add this command to `ncore`."""
    root.command()(run)


def run(
    path: ConfigPath,
    fault: FaultOptions = [],  # noqa: B006 (typer reads it)
    trace: TraceOptions = [],  # noqa: B006
    drain: Annotated[
        float, typer.Option("--drain", metavar="SECONDS", min=0, help="How long the end waits for connections.")
    ] = 30.0,
    backup: Annotated[
        bool, typer.Option("--backup", help="Let a second management wait, which takes over when the first one dies.")
    ] = False,
) -> None:
    """Run an appliance in the foreground. Ctrl-C (or SIGTERM) drains and ends it; a second one ends it at once.

    It lives on the Ray that runs here (or RAY_ADDRESS), or on one of its own that ends with it.

        ncore run configs/workstation.yaml

        ncore run demo.yaml --fault nc0:loss=1%,delay=5ms,seed=7 --trace nc0=/tmp/nc0.pcap
    """
    configuration = checked_configuration(path, fault, trace)
    ensure_compiled()
    try:
        with _termination_interrupts():
            failed = _live(configuration, str(path), drain, os.getpid() if backup else 0)
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None
    if failed:
        raise typer.Exit(1)


def _live(configuration: Configuration, source: str, drain: float, tether: int) -> bool:
    """Build, tell what happens, take down; return whether an actor has failed."""
    from ncore_ray.appliance import session
    from ncore_ray.management.store import store_path

    node = None
    try:
        with step("Starting on Ray", say=True):
            node = session.connect(configuration.appliance.arena)
            signal.signal(signal.SIGTERM, _interrupt)  # Ray sets its own
            store = store_path(configuration.appliance.name)
            appliance = session.create(configuration, source, detached=False, store=store, tether=tether)
        return _Watch(appliance, node, drain).work()
    finally:
        session.disconnect(node or session.RayNode(True, ""))


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextlib.contextmanager
def _termination_interrupts() -> Iterator[None]:
    """Let SIGTERM be like Ctrl-C, and put both signals back at the end."""
    before = [signal.signal(number, _interrupt) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(number, handler)


class _Watch:
    """Follows an appliance until a signal comes, then ends it."""

    def __init__(self, appliance: Appliance, node: RayNode, drain: float) -> None:
        self._appliance = appliance
        self._node = node
        self._drain = drain
        self._signals = 0
        self._failed = False
        self._ended = False
        """Another program has taken the appliance down."""

    def work(self) -> bool:
        """Tell what happens until the end; return whether an actor has failed."""
        for number in _SIGNALS:
            signal.signal(number, self._count)
        self._greet()
        self._follow()
        if self._ended:
            self._let_it_end()
        else:
            self._end()
        return self._failed

    def _count(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1

    def _greet(self) -> None:
        from ncore_ray.cli.summary import summary

        print_drawn(summary(self._appliance.ask("status"), self._node.dashboard))
        print_line("Ctrl-C drains and ends it; `ncore top` in another terminal shows it at work.", "bright_black")

    def _call(self, method: str, *arguments: Any, until: int) -> Any:
        """Return what a method of the management answers, or None once so many signals have come.

        It is asked in another thread: when one management has died, the other one is waited for, if there is one.
        """
        from ncore_ray.appliance.session import ManagementDiedError

        answers: queue.SimpleQueue[tuple[Any, NcoreError | None]] = queue.SimpleQueue()

        def ask() -> None:
            try:
                answers.put((self._appliance.ask(method, *arguments, timeout_s=self._drain + _ANSWER_S), None))
            except NcoreError as error:
                answers.put((None, error))

        threading.Thread(target=ask, daemon=True).start()
        while self._signals < until:
            with contextlib.suppress(queue.Empty):
                found, error = answers.get(timeout=_LOOK_S)
                if isinstance(error, ManagementDiedError):
                    name = self._appliance.name
                    raise NcoreError(f"the management of {name} has died, and the appliance with it")
                if error is not None:
                    raise error
                return found
        return None

    def _follow(self) -> None:
        """Print events as they come, until the first signal or the last event."""
        from ncore_ray.cli.status_commands import print_event
        from ncore_ray.management.events import farewell

        last = 0
        while self._signals == 0 and not self._ended:
            for event in self._call("wait_events", last, _POLL_S, until=1) or []:
                print_event(event)
                last = event["number"]
                self._failed |= event["level"] == "error"
                self._ended |= event["text"] == farewell(self._appliance.name)

    def _end(self) -> None:
        """Drain (a second signal cuts that short), take down, and wait for others that live on our Ray."""
        if self._drain > 0 and self._signals < 2:
            self._say_drained()
        late = self._appliance.take_down()
        word = f", {', '.join(late)} had to be killed" if late else ""
        print_line(f"{self._appliance.name} has ended{word}.")
        self._wait_for_others()

    def _let_it_end(self) -> None:
        """Another program takes it down: the actors are ours, so we stay until that is done."""
        from ncore_ray.appliance import session
        from ncore_ray.management.processes import wait_until

        name = self._appliance.name
        wait_until(lambda: self._signals > 0 or name not in session.names(), _END_S)
        print_line(f"{name} was ended by another program.", "yellow")
        self._wait_for_others()

    def _say_drained(self) -> None:
        print_line(f"Draining for at most {self._drain:g} s; Ctrl-C ends it at once.")
        left = self._call("drain", self._drain, until=2)
        if left:
            print_line(f"{left:,} connections were not done in time.", "yellow")

    def _wait_for_others(self) -> None:
        """Other appliances on the Ray that we started would end with it."""
        import time

        from ncore_ray.appliance import session

        before = self._signals
        others = session.names() if self._node.started else []
        if others:
            print_line(f"This Ray stays for {', '.join(others)}; Ctrl-C ends it with them.", "yellow")
        while others and self._signals == before:
            time.sleep(_LOOK_S)
            others = session.names()
