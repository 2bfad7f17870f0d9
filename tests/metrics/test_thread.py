"""The thread that exports: goes on until it is stopped, and hurts nobody when it cannot."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from ncore_ray.metrics.thread import ExportThread


def test_it_exports_again_and_again_until_it_is_stopped() -> None:
    twice = threading.Semaphore(0)
    thread = ExportThread(lambda: twice.release)
    thread.start()
    assert twice.acquire(timeout=30)
    assert twice.acquire(timeout=30)
    thread.stop()
    assert "metrics" not in [one.name for one in threading.enumerate()]


def test_one_that_was_never_started_stops() -> None:
    ExportThread(lambda: lambda: None).stop()


def test_packets_flow_on_when_metrics_cannot_be_exported(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Callable[[], None]:
        raise OSError("no metrics here")

    thread = ExportThread(broken)
    thread.start()
    thread.stop()
    assert "metrics are exported no more" in caplog.text
    assert "no metrics here" in caplog.text
