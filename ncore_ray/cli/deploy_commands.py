"""`ncore deploy`, `ncore drain`, `ncore shutdown`: appliances that live on without a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ncore_ray.cli.building import checked_configuration, step
from ncore_ray.cli.compile_command import ensure_compiled
from ncore_ray.cli.options import ConfigPath, Name, appliance
from ncore_ray.cli.output import print_drawn, print_line
from ncore_ray.cli.overrides import FaultOptions, TraceOptions
from ncore_ray.errors import NcoreError

if TYPE_CHECKING:
    from rich.panel import Panel

    from ncore_ray.appliance.session import Appliance, RayNode
    from ncore_ray.config.model import Configuration


def register(root: typer.Typer) -> None:
    """Add these commands to `ncore`."""
    root.command()(deploy)
    root.command()(drain)
    root.command()(shutdown)


DrainTime = Annotated[
    float, typer.Option("--drain", metavar="SECONDS", min=0, help="How long the old one may finish its connections.")
]


def deploy(
    path: ConfigPath,
    fault: FaultOptions = [],  # noqa: B006 (typer reads it)
    trace: TraceOptions = [],  # noqa: B006
    drain: DrainTime = 10.0,
) -> None:
    """Let an appliance run detached, exactly as CONFIG says; done again, nothing happens.

    One of the same name with another configuration is drained and replaced; if the new one cannot be built, the former
    comes back. Where no Ray runs, one is started that lasts until `ncore shutdown --ray`.
    """
    from ncore_ray.appliance import session

    configuration = checked_configuration(path, fault, trace)
    name = configuration.appliance.name
    ensure_compiled()
    with step("Starting on Ray", say=True):
        node = session.connect(configuration.appliance.arena, lasting=True)
    _warn_of_keeper()
    if name in session.names():
        done = _renew(session.find(name), configuration, str(path), drain)
    else:
        done = _build_first(configuration, str(path), node)
    if done:
        print_drawn(done_summary(name, node.dashboard))


def done_summary(name: str, dashboard: str) -> Panel:
    """Return the panel of an appliance that runs now."""
    from ncore_ray.appliance import session
    from ncore_ray.cli.summary import summary

    return summary(session.find(name).ask("status"), dashboard)


def _warn_of_keeper() -> None:
    from ncore_ray.appliance.ray_node import keeper

    found = keeper()
    if found is not None and not found.lasting:
        text = f"The Ray here belongs to process {found.process} (ncore run), and ends with it."
        print_line(text, "yellow")


def _build(configuration: Configuration, source: str) -> bool:
    from ncore_ray.appliance import session
    from ncore_ray.management.store import store_path

    name = configuration.appliance.name
    with step(f"Building {name}", say=True):
        session.create(configuration, source, detached=True, store=store_path(name))
    return True


def _build_first(configuration: Configuration, source: str, node: RayNode) -> bool:
    """Build an appliance; if that fails, a Ray that was started for it ends again."""
    try:
        return _build(configuration, source)
    except BaseException:  # Ctrl-C, too
        if node.lasting:
            _stop_ray()
        raise


def _renew(old: Appliance, configuration: Configuration, source: str, drain: float) -> bool:
    """Replace an appliance if it is not what it should be; return whether that was so."""
    from ncore_ray.config.load import dump

    state = old.ask("overview")["state"]
    same = state != "starting" and old.ask("configuration") == dump(configuration)
    if same and state == "running":
        print_line(f"{old.name} runs with exactly this configuration: nothing to do.", "green")
        return False
    print_line(f"{old.name} {'is ' + state if same else 'has another configuration'}: it is replaced.", "yellow")
    before = (old.ask("configuration"), old.ask("status")["configuration"])
    _end(old, drain if state != "degraded" else 0)
    _build_or_restore(configuration, source, before)
    return True


def _build_or_restore(configuration: Configuration, source: str, before: tuple[str, str]) -> None:
    from ncore_ray.config.load import parse

    try:
        _build(configuration, source)
    except NcoreError as error:
        try:
            _build(parse(before[0], before[1]), before[1])
        except NcoreError:
            raise NcoreError(f"{error}; the former configuration could not be built again, either") from None
        raise NcoreError(f"{error}; the former configuration runs again") from None


def _end(one: Appliance, drain: float) -> None:
    from ncore_ray.management.store import author

    if drain > 0:
        with step(f"Draining {one.name} for at most {drain:g} s", say=True):
            left = one.ask("drain", drain, author(), timeout_s=drain + 30)
        if left:
            print_line(f"{left:,} connections were not done in time.", "yellow")
    late = one.take_down()
    if late:
        print_line(f"{', '.join(late)} had to be killed.", "yellow")


def drain(
    name: Name = None,
    timeout: Annotated[float, typer.Option("--timeout", "-t", metavar="SECONDS", min=0)] = 30.0,
) -> None:
    """Let an appliance accept no new connections, and wait until those that it has are done.

    Exit status 1 if some are left after the time. Idle keep-alive connections do not count.
    """
    from ncore_ray.management.store import author

    one = appliance(name)
    with step(f"Draining {one.name} for at most {timeout:g} s", say=True):
        left: int = one.ask("drain", timeout, author(), timeout_s=timeout + 30)
    if left:
        print_line(f"{left:,} connections are left.", "yellow")
        raise typer.Exit(1)
    print_line(f"{one.name} is drained: no connection is left (ncore shutdown {one.name} ends it).", "green")


def shutdown(
    name: Name = None,
    drain: Annotated[
        float, typer.Option("--drain", metavar="SECONDS", min=0, help="Let connections finish for so long first.")
    ] = 0.0,
    with_ray: Annotated[
        bool, typer.Option("--ray", help="Also end the Ray that `deploy` started; without NAME: all that lives there.")
    ] = False,
) -> None:
    """End an appliance: its actors, its NICs, its memory. What is left of a crashed one goes too."""
    from ncore_ray.appliance import session

    session.connect()
    everything = [*session.names(), *session.remains()]
    targets = everything if with_ray and name is None else [name]
    if with_ray:
        _check_ray_may_end([one for one in everything if one not in targets])
    for target in targets:
        _shut_down(target, drain)
    if with_ray:
        _stop_ray()


def _check_ray_may_end(others: list[str]) -> None:
    from ncore_ray.appliance.ray_node import keeper

    found = keeper()
    if found is None or not found.lasting:
        raise NcoreError("the Ray here was not started by `ncore deploy`, so --ray does not end it: nothing was done")
    if others:
        raise NcoreError(f"{', '.join(others)} lives on this Ray, too: nothing was done (leave out NAME to end all)")


def _shut_down(name: str | None, drain: float) -> None:
    from ncore_ray.appliance import session

    if name in session.remains():
        killed = session.remove(str(name))
        print_line(f"what was left of {name} is gone: {', '.join(killed)}.", "yellow")
        return
    one = session.find(name)
    _end(one, drain)
    print_line(f"{one.name} has ended.", "green")


def _stop_ray() -> None:
    from ncore_ray.appliance import ray_node

    with step("Ending Ray", say=True):
        ray_node.stop_lasting()
    print_line("Ray has ended.", "green")
