"""Killing actors under load, and what is to be true afterwards."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ncore_ray.demo.accounts import Accounts, Snapshot
from ncore_ray.lab import pattern
from ncore_ray.lab.network import VIP
from ncore_ray.lab.process import python_module
from tests.e2e.bed import Bed

_TIMEOUT_S = 30.0
_AFTERWARDS_S = 1.0
_GOES_ON = "goes on in process"


def process_of(bed: Bed, name: str) -> int:
    """Return the process of an actor."""
    row = next(row for row in bed.appliance.ask("status")["actors"] if row["name"] == name)
    return int(row["process"])


def restarts(bed: Bed) -> int:
    """Return how many actors were replaced so far."""
    return sum(row["restarts"] for row in bed.appliance.ask("status")["actors"])


def said(bed: Bed, words: str) -> list[str]:
    """Return the events with some words."""
    return [event["text"] for event in bed.appliance.ask("events") if words in event["text"]]


def gone_on(bed: Bed) -> int:
    """Return how often a process has gone on with the work of another."""
    return len(said(bed, _GOES_ON))


def await_standby(bed: Bed) -> None:
    """Wait until somebody can take the place of the next actor that dies."""
    bed.wait(lambda: bed.appliance.ask("status")["standbys_ready"], "a standby is ready", 60.0)


def kill(bed: Bed, name: str, number: int = signal.SIGKILL) -> None:
    """Kill an actor, and wait until another process has taken its place."""
    await_standby(bed)
    process, before = process_of(bed, name), restarts(bed)
    os.kill(process, number)
    bed.wait(lambda: restarts(bed) == before + 1, f"{name} is replaced", 30.0)
    bed.wait(lambda: bed.appliance.ask("status")["state"] == "running", "all is well", 30.0)
    assert process_of(bed, name) != process
    print(said(bed, f"{name} goes on")[-1])


def scale(bed: Bed, count: int) -> None:
    """Let another number of engines work, and wait until new flows go to all of them, and to no other."""
    began_at = time.monotonic()
    bed.appliance.ask("configure", "change", [f"set appliance engines={count}"], "test", "", "/")
    bed.wait(lambda: bed.appliance.ask("scaling")["taking_flows"] == count, f"{count} engines", 60.0)
    print(f"{count} engines after {time.monotonic() - began_at:.2f} s")


def load_while(bed: Bed, act: Callable[[], None] | None, *options: str) -> dict[str, Any]:
    """Load the appliance while something happens to it, and a moment longer; without ``act``, as the options say.

    Returns the client's report. Every byte is checked.
    """
    line = python_module("ncore_ray.lab.client", "--http", f"{VIP}:80", "--tcp", f"{VIP}:9000", *options)
    client = bed.client.start(line, name="load", lifetime_s=150, read_output=True)
    lines: list[str] = []
    reading = threading.Thread(target=lambda: lines.extend(client.lines()))
    reading.start()
    if act is not None:
        try:
            act()
            time.sleep(_AFTERWARDS_S)
            assert client.returncode is None, "the load ended too early"
        finally:
            client.ask_to_end()
    reading.join(150)
    report: dict[str, Any] = [json.loads(text) for text in lines][-1]
    client.wait(10)
    print({name: report[name] for name in ("requests", "requests_per_s", "reopened", "failures", "examples")})
    return report


def lost(report: dict[str, Any]) -> int:
    """Return the requests that did not come to their end."""
    failures: dict[str, int] = report["failures"]
    return int(report["reopened"]) + sum(failures.values())


@dataclass
class Download:
    """One long response, read as fast as it comes, and its longest stall."""

    bed: Bed
    length: int
    longest_stall_s: float = 0.0
    right: bool = False
    failure: str = ""
    _thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> Download:
        """Begin."""
        self._thread.start()
        return self

    def end(self) -> Download:
        """Wait for the end."""
        self._thread.join(_TIMEOUT_S + 60)
        return self

    def _work(self) -> None:
        try:
            connection = self.bed.connect(80)
            connection.settimeout(_TIMEOUT_S)
            connection.sendall(b"GET /bytes/%d?seed=7 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % self.length)
            body = self._read(connection)
            self.right = body == pattern.patterned(7, self.length)
        except OSError as error:
            self.failure = f"{type(error).__name__}: {error}"

    def _read(self, connection: socket.socket) -> bytes:
        parts, at = [], time.monotonic()
        while part := connection.recv(1 << 18):
            now = time.monotonic()
            self.longest_stall_s, at = max(self.longest_stall_s, now - at), now
            parts.append(part)
        return b"".join(parts).partition(b"\r\n\r\n")[2]


def assert_nothing_leaked(bed: Bed, before: Snapshot, *, home: bool) -> None:
    """Check that all engines have their frames back, and that those of the NICs are home (if their readers lived)."""

    def accounts() -> Accounts:
        return Accounts(before, bed.snapshot())

    bed.wait(lambda: accounts().held_frames() == 0, "the engines' frames are free", 20.0)
    if home:
        bed.wait(lambda: (pair := accounts()._frames_home())[0] == pair[1], "the NICs' frames are home", 20.0)
    assert not [event for event in bed.appliance.ask("events") if "a defect" in event["text"]]
