"""One fuzzer of one target: `python -m tests.fuzz.child TARGET ARGUMENTS…`, started by `python -m tests.fuzz`."""

from __future__ import annotations

import sys


def main() -> None:
    """Look for bytes that reach new places; ends the process."""
    import atheris

    with atheris.instrument_imports(include=["ncore_ray"], enable_loader_override=False):
        from tests.fuzz.targets import TARGETS

    target = TARGETS[sys.argv[1]]
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
