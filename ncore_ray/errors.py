"""The base of all errors that a person can do something about."""

from __future__ import annotations


class NcoreError(Exception):
    """Something that the caller can put right. Its text is one clear sentence (or a list of them) for a person.

    The `ncore` command prints the text without a traceback and ends with status 2.
    """


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, or its type."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
