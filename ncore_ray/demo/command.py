"""The demo's command line: build everything, send traffic, report, check, clean up.

Exit status: 0 when every check passed, 1 when one failed, 2 when the demo cannot run here.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from dataclasses import asdict, dataclass

from rich.console import Console

from ncore_ray.demo.hints import hints
from ncore_ray.demo.kernels import compile_with_progress
from ncore_ray.demo.ray_node import choose_folder
from ncore_ray.demo.show import Load, Show
from ncore_ray.demo.stage import Stage
from ncore_ray.errors import NcoreError
from ncore_ray.lab.capability import enter_or_explain
from ncore_ray.lab.guard import signals_as_exceptions
from ncore_ray.lab.process import ProcessError, python_module
from ncore_ray.lab.report import final_view
from ncore_ray.lab.rows import DemoResult

CANNOT_RUN = 2
WIDTH = 112
"""Cells of the report where the terminal does not say."""
WIDEST = 120
LEAST_S = 10.0
"""Shorter loads end before engines have come, died and gone."""


@dataclass(frozen=True)
class Options:
    """The command line."""

    load: Load
    keep: bool = False
    json: bool = False
    engines: int = 2
    acts: bool = True
    """Whether engines come, die and go under the load."""


def read_options(arguments: list[str] | None = None) -> Options:
    """Return the options of a command line."""
    default = Load()
    parser = argparse.ArgumentParser(prog="python -m ncore_ray.demo", description="ncore_ray, demonstrated.")
    parser.add_argument("--keep", action="store_true", help="leave everything running until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="print the result as JSON, without a display")
    parser.add_argument("--engines", type=int, default=2, help="packet engines (2)")
    parser.add_argument(
        "--no-acts",
        action="store_true",
        help="only the load: no engine comes, dies or goes (they need 10 s and 2 engines)",
    )
    parser.add_argument("--seconds", type=float, default=default.seconds, help="length of the load (15)")
    parser.add_argument("--requests", type=int, default=default.requests, help="at most so many requests")
    parser.add_argument("--connections", type=int, default=default.connections, help="at the same time (300)")
    parser.add_argument("--rate", type=float, default=default.rate, help="requests/s (1000), 0: as fast as possible")
    found = parser.parse_args(arguments)
    load = Load(found.seconds, found.requests, found.connections, found.rate)
    acts = not found.no_acts and found.seconds >= LEAST_S and found.engines > 1
    return Options(load, found.keep, found.json, found.engines, acts)


def run(options: Options, console: Console) -> int:
    """Give the demo; return the exit status."""
    compile_with_progress(console)
    with Stage(console, options.engines) as stage:
        result = Show(stage.site, options.load, with_acts=options.acts).run(None if options.json else console)
        _report(result, options, console)
        if options.keep:
            console.print(hints(stage, min(console.width, WIDEST)))
            _wait_for_end(console)
    console.print("[green]✔[/] everything taken down")
    return 0 if result.passed else 1


def _report(result: DemoResult, options: Options, console: Console) -> None:
    if options.json:
        print(json.dumps({"passed": result.passed, **asdict(result)}, indent=1, ensure_ascii=False), flush=True)
    else:
        console.print(final_view(result, min(console.width, WIDEST)))


def _wait_for_end(console: Console) -> None:
    try:
        signal.pause()
    except KeyboardInterrupt:
        console.print()


def main() -> int:
    """Run where network namespaces can be made, and turn what a person can mend into one sentence."""
    options = read_options()
    if why := enter_or_explain(python_module("ncore_ray.demo", *sys.argv[1:])):
        print(why, file=sys.stderr)
        return CANNOT_RUN
    choose_folder()
    console = Console(stderr=options.json, highlight=False)
    if not console.is_terminal:
        console = Console(stderr=options.json, highlight=False, width=WIDTH)
    try:
        with signals_as_exceptions():
            return run(options, console)
    except KeyboardInterrupt:
        console.print("interrupted; everything taken down")
        return 128 + signal.SIGINT
    except (NcoreError, ProcessError, RuntimeError, OSError) as error:
        console.print(f"[bold red]✘[/] {error}")
        return CANNOT_RUN
