"""Coverage-guided fuzzing: `make fuzz MINUTES=10`, or `python -m tests.fuzz --minutes 10 --target segments --keep`.

Each target gets an equal share of the time, in a process of its own in plain Python. What breaks one is kept in the
corpus, where `test_corpus.py` finds it; with ``--keep`` so are inputs that reach places which no other one reaches.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

CORPUS: Final = Path(__file__).parent / "corpus"
NAMES: Final = (
    "packets",
    "segments",
    "streams",
    "requests",
    "responses",
    "bodies",
    "configuration",
    "commands",
    "flows",
)
"""Of `targets.TARGETS`, which takes long to import."""
_NEWS: Final = re.compile(r"#(\d+)\s+\w+\s+cov: (\d+) ft: (\d+) corp: (\d+)")
_LONGEST: Final = 2_048
_KEPT: Final = 20
"""Inputs that one run adds to a target's corpus at the most."""
_SLOW_S: Final = 20
"""An input that takes longer is a finding."""


@dataclass
class Round:
    """What one target's fuzzer has come to."""

    name: str
    runs: int = 0
    places: int = 0
    inputs: int = 0
    found: list[Path] = field(default_factory=list)
    output: list[str] = field(default_factory=list)

    def take(self, line: str) -> None:
        """Take a line of the fuzzer's."""
        news = _NEWS.match(line)
        if news:
            self.runs, self.places, self.inputs = int(news[1]), int(news[2]), int(news[4])
        else:
            self.output = [*self.output[-60:], line]

    def __str__(self) -> str:
        return f"{self.name:<14} {self.runs:>9,} runs  {self.places:>6,} places  {self.inputs:>5,} inputs"


def fuzz(name: str, seconds: int, work: Path, seed: int) -> Round:
    """Fuzz a target for so long, or until it breaks."""
    one, fresh, broken = Round(name), work / name, work / f"{name}-"
    fresh.mkdir()
    (CORPUS / name).mkdir(exist_ok=True, parents=True)
    line = [sys.executable, "-m", "tests.fuzz.child", name, str(fresh), str(CORPUS / name)]
    line += [f"-max_total_time={seconds}", f"-max_len={_LONGEST}", f"-timeout={_SLOW_S}", f"-seed={seed}"]
    line += [f"-artifact_prefix={broken}", "-rss_limit_mb=4096"]
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    assert process.stdout is not None
    for text in process.stdout:
        one.take(text.rstrip())
        if sys.stdout.isatty():
            print(f"\r{one}", end="", flush=True)
    process.wait()
    for path in sorted(work.glob(f"{name}-*")):
        kept = CORPUS / name / f"broke-{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
        kept.write_bytes(path.read_bytes())
        one.found.append(kept)
    if process.returncode and not one.found:
        raise SystemExit("\n".join([f"the fuzzer of {name} failed:", *one.output]))
    return one


def keep(name: str, work: Path) -> int:
    """Add some of the inputs that reached new places to the corpus, the short ones first; return how many."""
    known = {path.read_bytes() for path in (CORPUS / name).iterdir()}
    fresh = sorted({path.read_bytes() for path in (work / name).iterdir()} - known, key=lambda data: (len(data), data))
    chosen = fresh[:: max(len(fresh) // _KEPT, 1)][:_KEPT]
    for data in chosen:
        (CORPUS / name / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    return len(chosen)


def main() -> int:
    """Fuzz the targets that the command line names, or all; return 1 if one of them broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="for all targets together")
    parser.add_argument("--target", action="append", choices=NAMES, help="only this one (several times: these)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="add inputs that reach new places to the corpus")
    options = parser.parse_args()
    names = options.target or NAMES
    seconds = max(round(60 * options.minutes / len(names)), 1)
    broken = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            one = fuzz(name, seconds, Path(folder), options.seed)
            back = "\r" if sys.stdout.isatty() else ""
            print(f"{back}{one}  {'BROKEN' if one.found else 'ok'}", flush=True)
            broken += bool(one.found)
            if one.found:
                print("\n".join([f"  kept as {path.relative_to(CORPUS.parents[2])}" for path in one.found]))
                print("\n".join(f"  {line}" for line in one.output))
            elif options.keep:
                print(f"  {keep(name, Path(folder))} inputs added to the corpus")
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
