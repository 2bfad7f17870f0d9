"""The whole test suite in as little time as two cores allow: ``python -m tests.suite`` (``make test``).

Two strands run beside each other. The *live* one, tests of whole appliances on Ray, waits much (processes start, die
and are replaced) and leaves a good part of the processors idle. The *unit* one (kernels with index checks, tests on all
cores) takes what is left, at so low a priority that the live one hardly feels it: what counts seconds there has the
machine nearly to itself. Each begins with the build of the kernels that it needs.
"""

from __future__ import annotations

import compileall
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, NoReturn

ROOT: Final = Path(__file__).parent.parent
LIVE: Final = ("tests/e2e", "tests/appliance", "tests/cli", "tests/demo", "tests/lab")
"""Tests of whole appliances, which run the normal build as users do, and of other programs that have to be in time."""
ON_RAY_TOO: Final = "tests/messages/test_message_ports.py"
"""Some of its tests need Ray, and others index checks."""
PYTEST: Final = (sys.executable, "-m", "pytest")
CUT_OFF_AT_LINES: Final = (
    "tests/flow/test_recover.py",
    "tests/engine/test_offer.py",
    "tests/engine/splice/test_cut_off.py",
)
"""Tests in which kernels die at a line: only plain Python can do that."""
ON_ALL_CORES: Final = ("--numprocesses=auto", "--dist=worksteal")
LOWEST: Final = 19
FAILURES: Final = "NCORE_TEST_FAILURES"
"""Variable of the environment: the file to which each pytest adds what failed."""
CLEARING_UP_S: Final = 60
"""Time that an interrupted pytest has for taking down appliances and networks."""


@dataclass(frozen=True)
class Step:
    """One command of a strand."""

    name: str
    line: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


STRANDS: Final = {
    "live": (
        Step("compile", (sys.executable, "-m", "ncore_ray.cli.main", "compile")),
        Step("live tests", (*PYTEST, *LIVE, ON_RAY_TOO), {"NUMBA_BOUNDSCHECK": "0"}),
    ),
    "unit": (
        Step("compile with checks", (sys.executable, "-m", "tests.kernels"), {"NUMBA_BOUNDSCHECK": "1"}),
        Step(
            "unit tests",
            (*PYTEST, "tests", *(f"--ignore={room}" for room in LIVE), "-m", "not ray", *ON_ALL_CORES),
        ),
        Step("tests in plain Python", (*PYTEST, *CUT_OFF_AT_LINES), {"NUMBA_DISABLE_JIT": "1"}),
    ),
}


class Terminated(BaseException):
    """Somebody has sent SIGTERM."""


def on_terminate(*_: object) -> NoReturn:
    """Leave the suite as an interruption does (a handler of SIGTERM)."""
    raise Terminated


def perform(step: Step) -> int:
    """Run a step and return its status. When this process is to end, the step first clears up and ends itself."""
    child = subprocess.Popen(step.line, cwd=ROOT, env={**os.environ, **step.environment})
    try:
        return child.wait()
    except BaseException as reason:
        if isinstance(reason, Terminated):  # an interruption reaches the whole group, the child too
            child.send_signal(signal.SIGINT)
        await_end(child)
        raise


def await_end(child: subprocess.Popen[bytes]) -> None:
    """Wait until a process that was interrupted has ended; end it by force if that takes too long."""
    try:
        child.wait(CLEARING_UP_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def run(steps: Sequence[Step]) -> bool:
    """Run steps up to the first that fails, and say how long each took; return whether all succeeded."""
    for step in steps:
        began_at = time.monotonic()
        print(f"=== {step.name}", flush=True)
        status = perform(step)
        end = "passed" if status == 0 else f"FAILED ({status})"
        print(f"=== {step.name}: {end} after {time.monotonic() - began_at:.0f} s\n", flush=True)
        if status != 0:
            return False
    return True


def yield_to_others() -> None:
    """Take only what others leave, children too: as a process, and as a session where sessions are weighed."""
    os.nice(LOWEST)
    with contextlib.suppress(OSError):  # a kernel that does not weigh sessions
        Path("/proc/self/autogroup").write_text(str(LOWEST))


@contextlib.contextmanager
def beside(strand: str, words: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a strand in the background, its output going to a file; end it when the block is left too early."""
    line = [sys.executable, "-m", "tests.suite", strand]
    child = subprocess.Popen(line, cwd=ROOT, stdout=words, stderr=words, start_new_session=True)
    try:
        yield child
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGINT)
            await_end(child)


def follow(child: subprocess.Popen[bytes], words: Path) -> int:
    """Show what a strand in the background has said and says, to its end; return its status."""
    with words.open("rb") as stream:
        while True:
            ended = child.poll() is not None
            while piece := stream.read(1 << 16):
                sys.stdout.buffer.write(piece)
            sys.stdout.flush()
            if ended:
                return child.returncode
            time.sleep(0.2)


def whole() -> bool:
    """Run everything; return whether all of it passed. What failed is said once more at the end, where people look."""
    compileall.compile_dir(ROOT / "ncore_ray", quiet=2)  # hundreds of processes start; not each is to do this anew
    with (
        tempfile.NamedTemporaryFile(prefix="ncore-failures-") as failures,
        tempfile.NamedTemporaryFile(prefix="ncore-unit-") as words,
    ):
        os.environ[FAILURES] = failures.name
        with beside("unit", words.file) as child:
            lived = run(STRANDS["live"])
            passed = (follow(child, Path(words.name)) == 0) and lived
        print(Path(failures.name).read_text(), end="")
        return passed


def main() -> int:
    """Run the whole suite, or the strand that the command line names, at the lowest priority."""
    began_at = time.monotonic()
    signal.signal(signal.SIGTERM, on_terminate)
    try:
        if len(sys.argv) > 1:
            yield_to_others()
            return 0 if run(STRANDS[sys.argv[1]]) else 1
        passed = whole()
    except (KeyboardInterrupt, Terminated) as reason:
        return 128 + (signal.SIGTERM if isinstance(reason, Terminated) else signal.SIGINT)
    print(f"=== the whole suite {'passed' if passed else 'FAILED'} after {time.monotonic() - began_at:.0f} s")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
