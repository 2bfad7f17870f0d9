"""The compile cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from ncore_ray.machine import jit


def test_cache_folder_names_the_source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(jit, "_CHOSEN_CACHE_DIR", str(tmp_path))
    assert jit.cache_folder() == tmp_path / f"kernels-{jit.source_digest()}"


def test_cache_folder_is_the_users_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(jit, "_CHOSEN_CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert jit.cache_folder().parent == tmp_path / "ncore_ray"


def test_digest_is_stable_within_a_process() -> None:
    assert jit.source_digest() == jit.source_digest()
    assert len(jit.source_digest()) == 16
