"""The list of events, the watch over services' health, and waiting for processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

from ncore_ray.management.events import EventLog
from ncore_ray.management.health import HealthWatch
from ncore_ray.management.processes import (
    Held,
    command_line,
    descendants,
    is_running,
    started_at,
    wait_gone,
    wait_until,
)


def test_events_are_numbered_and_read_from_a_number_on() -> None:
    log = EventLog()
    log.add("info", "one")
    log.add("error", "two")
    assert [(event["number"], event["level"], event["text"]) for event in log.after(0)] == [
        (1, "info", "one"),
        (2, "error", "two"),
    ]
    assert [event["number"] for event in log.after(1)] == [2]
    assert log.after(2) == []


def test_only_the_latest_events_are_kept() -> None:
    log = EventLog()
    for number in range(1_500):
        log.add("info", str(number))
    kept = log.after(0)
    assert (len(kept), kept[0]["number"], kept[-1]["number"]) == (1_000, 501, 1_500)


def test_waiting_ends_with_the_next_event() -> None:
    log = EventLog()
    log.add("info", "old")
    thread = threading.Thread(target=lambda: log.add("error", "new"))
    thread.start()
    assert [event["text"] for event in log.wait(1, 30.0)] == ["new"]
    thread.join()
    assert log.wait(2, 0.0) == []


def test_health_tells_only_changes() -> None:
    words = [["unknown", "up"], ["up", "up"], ["down", "up"], ["down", "up"]]
    told: list[tuple[str, str]] = []
    watch = HealthWatch(
        lambda: dict(zip(("service a", "service b"), words.pop(0), strict=True)),
        lambda level, text: told.append((level, text)),
    )
    for _ in range(4):
        watch.look()
    assert told == [("info", "service b is up"), ("info", "service a is up"), ("warning", "service a is down")]
    watch.stop()


def test_processes() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert is_running(child.pid)
    assert child.pid in descendants(os.getpid())
    assert command_line(child.pid)[:3] == [sys.executable, "-c", "input()"]
    assert wait_gone([child.pid, 0], 0.0) == [child.pid]
    child.kill()
    assert wait_gone([child.pid], 10.0) == []  # a zombie is gone
    child.communicate()
    assert not is_running(child.pid)
    assert command_line(child.pid) == []


def test_a_process_is_told_from_a_later_one_of_its_number() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert (started_at(child.pid) or 0) >= (started_at(os.getpid()) or 0) > 0
    with Held([child.pid]) as held:
        child.kill()
        child.communicate()
        assert started_at(child.pid) is None
        held.kill()  # nobody, whoever has the number now
    with Held([child.pid]) as nothing:
        assert nothing.handles == {}


def test_held_processes_are_killed() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with Held([child.pid]) as held:
        held.send(child.pid, 0)
        held.kill()
    assert child.wait(10) == -signal.SIGKILL
    child.communicate()


def test_wait_until() -> None:
    answers = iter([False, False, True])
    assert wait_until(lambda: next(answers), 30.0)
    assert not wait_until(lambda: False, 0.0)
