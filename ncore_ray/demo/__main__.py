"""``python -m ncore_ray.demo``: see :mod:`ncore_ray.demo.command`."""

from __future__ import annotations

import sys


def begin() -> int:
    """Run the demo; Ctrl-C while it is still being loaded is not an error to tell of."""
    try:
        from ncore_ray.demo.command import main

        return main()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(begin())
