"""An arena with nothing but message rings, in memory or in a file that two processes map."""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Final

import numpy as np

from ncore_ray.arena.layout import Bytes, Layout, format_arena
from ncore_ray.messages.arena import init_messages, plan_messages

ENGINES: Final = 2


def _layout() -> Layout:
    layout = Layout()
    plan_messages(layout, ENGINES)
    return layout


def message_arena() -> Bytes:
    """Return an arena in memory."""
    return _write(np.frombuffer(mmap.mmap(-1, _layout().size), np.uint8))


def _write(array: Bytes) -> Bytes:
    format_arena(array, _layout(), 1, 1)
    init_messages(array, ENGINES)
    return array


def map_file(path: Path) -> Bytes:
    """Return the arena in a file."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        return np.frombuffer(mmap.mmap(descriptor, 0), np.uint8)
    finally:
        os.close(descriptor)


def make_file(path: Path) -> Bytes:
    """Make a file with an arena, and return it."""
    path.write_bytes(bytes(_layout().size))
    return _write(map_file(path))
