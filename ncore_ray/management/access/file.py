"""The file that lines are appended to, which may be renamed at any time (logrotate)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO


class LogFile:
    """Appends lines; tells of trouble once, and of its end, and counts what was lost."""

    def __init__(self, path: Path, tell: Callable[[str, str], None]) -> None:
        """``tell`` takes a level and a sentence."""
        self._path = path
        self._tell = tell
        self._file: BinaryIO | None = None
        self._trouble = ""
        self.lost = 0
        """Lines that could not be written."""

    def write(self, lines: Sequence[bytes]) -> None:
        """Append lines, all of them or none."""
        try:
            file = self._open()
            file.write(b"".join(lines))
            file.flush()
        except OSError as error:
            self.lost += len(lines)
            self._close()
            if not self._trouble:
                self._trouble = str(error)
                self._tell("error", f"the access log {self._path} cannot be written: {error.strerror}")
            return
        if self._trouble:
            self._trouble = ""
            self._tell("info", f"the access log {self._path} is written again; {self.lost} lines are lost so far")

    def _open(self) -> BinaryIO:
        if self._file is None:
            self._file = self._path.open("ab")
        return self._file

    def follow(self) -> None:
        """Let go of the file if another one, or none, has its name now: the next line begins a new one."""
        if self._file is None:
            return
        try:
            named, own = self._path.stat(), os.fstat(self._file.fileno())
        except OSError:
            self._close()
            return
        if (named.st_dev, named.st_ino) != (own.st_dev, own.st_ino):
            self._close()

    def _close(self) -> None:
        if self._file is not None:
            try:
                self._file.close()
            except OSError as error:
                self._trouble = self._trouble or str(error)
            self._file = None

    def close(self) -> None:
        """Close the file."""
        self._close()
