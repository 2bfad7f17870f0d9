"""Sets of tests that leave a part of the machine idle, run together: ``python -m tests.side_by_side SET -- SET …``

Each set is a pytest of its own. The first one's progress is seen as it comes, the others' output when they have ended.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from itertools import groupby
from typing import IO

_BETWEEN = "--"


def sets_of(words: list[str]) -> list[list[str]]:
    """Return the sets that a command line names."""
    return [list(group) for between, group in groupby(words, lambda word: word == _BETWEEN) if not between]


def start(paths: list[str], output: IO[bytes] | None) -> subprocess.Popen[bytes]:
    """Start a set; its output goes to a file, or to where ours goes."""
    return subprocess.Popen([sys.executable, "-m", "pytest", *paths], stdout=output, stderr=subprocess.STDOUT)


def main() -> int:
    """Run all sets to their ends; return the first status that is not 0."""
    first, *others = sets_of(sys.argv[1:])
    waiting = []
    for paths in others:
        output = tempfile.TemporaryFile()  # noqa: SIM115 (read below, gone with this process)
        waiting.append((paths, start(paths, output), output))
    statuses = [start(first, None).wait()]
    for paths, process, output in waiting:
        statuses.append(process.wait())
        output.seek(0)
        print(f"\n{' '.join(paths)}:", flush=True)
        sys.stdout.buffer.write(output.read())
        sys.stdout.flush()
    return next((status for status in statuses if status), 0)


if __name__ == "__main__":
    sys.exit(main())
