"""A pool of blocks for what few connections need: lists of spans, and what BBR measures. See `spans` and `rate`.

It holds no bytes of a stream and is none of the pools of frames. A block is held by one connection, which names it by
its number plus 1; there are fewer of them than connections, so each user says what it does without one.
"""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.header import check_index
from ncore_ray.engine.partition import Engine, base_of
from ncore_ray.machine.jit import CHECKED, kernel
from ncore_ray.machine.memory import load64, store64

BLOCK_SIZE: Final = 8192
"""Bytes: room for 512 spans. A burst that overflows a queue loses every second packet of hundreds."""
CONNECTIONS_PER_BLOCK: Final = 16
FEWEST_BLOCKS: Final = 64


@kernel
def block_address(engine: Engine, number: int) -> int:
    """Return the address of a block by its number plus 1."""
    if CHECKED:
        check_index(number - 1, engine.span_block_count)
    return base_of(engine) + engine.spans + (number - 1) * BLOCK_SIZE


@kernel
def take_block(engine: Engine) -> int:
    """Return the number plus 1 of a block of undefined content, or 0 if none is free."""
    number = engine.free_span_block
    if number:
        engine.free_span_block = load64(block_address(engine, number))
    elif engine.span_blocks_used < engine.span_block_count:
        engine.span_blocks_used += 1
        number = engine.span_blocks_used
    return number


@kernel
def free_block(engine: Engine, number: int) -> int:
    """Put a block, by its number plus 1, on the list of free ones."""
    store64(block_address(engine, number), engine.free_span_block)
    engine.free_span_block = number
    return 0
