"""Which Ray is attached to, and what is checked before one is started."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest

from ncore_ray.appliance import ray_node, ray_start
from ncore_ray.errors import NcoreError
from ncore_ray.management.processes import started_at


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    (tmp_path / "ray").mkdir()
    return tmp_path / "ray"


def test_no_ray_runs(folder: Path) -> None:
    assert ray_node.running_address() is None
    assert not ray_node.running_ray()
    assert ray_node.keeper() is None


def test_ray_address_goes_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "192.0.2.1:6379")
    assert ray_node.running_address() == "192.0.2.1:6379"


def test_an_address_counts_only_if_it_answers(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        (folder / "ray_current_cluster").write_text(address)
        assert ray_node.running_address() == address
        keeper = ray_node.Keeper(address, os.getpid(), True, started_at(os.getpid()) or 0)
        (folder / "ncore_keeper.json").write_text(json.dumps(asdict(keeper)))
        assert ray_node.keeper() == keeper
        (folder / "ncore_keeper.json").write_text(json.dumps({**asdict(keeper), "started_at": 1}))
        assert ray_node.keeper() is None  # another process has the number now
    assert ray_node.running_address() is None
    assert ray_node.keeper() is None


@pytest.mark.parametrize("text", ["", "nonsense", "127.0.0.1:port"])
def test_a_damaged_address_file_is_no_ray(folder: Path, text: str) -> None:
    (folder / "ray_current_cluster").write_text(text)
    assert ray_node.running_address() is None


def test_shared_memory_too_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=64 << 8, f_frsize=4096))
    with pytest.raises(NcoreError, match=r"/dev/shm has 64 MiB free, but the arena and Ray need 416 MiB: enlarge it"):
        ray_start.check_shared_memory(256 << 20)


def test_stopping_touches_only_a_lasting_ray_of_ours(folder: Path) -> None:
    assert ray_node.stop_lasting() is False
