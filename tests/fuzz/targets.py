"""What the fuzzers run: each target takes any bytes, and raises when something is wrong.

Used twice: by `python -m tests.fuzz`, which looks for bytes that reach new places, and by `test_corpus.py`, which runs
all that were kept. Everything runs in plain Python, where each index of a table is checked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.fuzz import http, lines, packets, streams

TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "packets": packets.any_packets,
    "segments": packets.any_segments,
    "streams": streams.mutated_wires,
    "requests": http.any_request,
    "responses": http.any_response,
    "bodies": http.any_chunks,
    "configuration": lines.any_configuration,
    "commands": lines.any_commands,
    "flows": lines.any_frozen_flow,
}
