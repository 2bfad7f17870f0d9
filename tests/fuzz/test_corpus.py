"""All inputs that fuzzers kept, and the targets' own seeds: none of them breaks anything."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ncore_ray.machine.jit import JIT
from tests.fuzz.__main__ import CORPUS, NAMES
from tests.fuzz.targets import TARGETS


def test_each_target_has_a_corpus() -> None:
    assert set(NAMES) == set(TARGETS)
    assert {folder.name for folder in CORPUS.iterdir()} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_what_was_kept_breaks_nothing(name: str) -> None:
    paths = sorted((CORPUS / name).iterdir())
    assert paths
    for path in paths:
        try:
            TARGETS[name](path.read_bytes())
        except BaseException as error:
            raise AssertionError(f"{path.relative_to(Path.cwd())} breaks {name}") from error


@pytest.mark.parametrize("name", NAMES)
def test_some_random_bytes_break_nothing(name: str) -> None:
    choice = random.Random(name)
    for _ in range(10 if JIT or name != "streams" else 2):
        TARGETS[name](choice.randbytes(choice.randrange(600)))
