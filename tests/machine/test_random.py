"""The generator of random numbers and what its sequences begin with."""

from __future__ import annotations

from ncore_ray.machine.jit import entry_kernel
from ncore_ray.machine.random import random_after, seed_of


@entry_kernel
def after_many(x: int, count: int) -> int:
    for _ in range(count):
        x = random_after(x)
    return x


def test_it_is_the_published_generator() -> None:
    assert [after_many(1, count) for count in (1, 2, 3)] == [270_369, 67_634_689, 2_647_435_461]


def test_sequences_of_a_seed_differ_and_are_never_zero() -> None:
    seeds = {seed_of(seed, sequence) for seed in range(10) for sequence in range(10)}
    assert len(seeds) == 100
    assert all(0 < seed < 1 << 32 for seed in seeds)
