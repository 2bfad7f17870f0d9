"""How kernels should be handed their state: one pointer to a record, or a tuple of arrays.

``python -m benchmarks.state_passing`` compiles the same call tree both ways and prints what it costs: docs/decisions.md
quotes it.
"""

from __future__ import annotations

import time
from collections import namedtuple
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numba import njit
from rich.console import Console
from rich.table import Table

from ncore_ray.machine.record import I64, Record, address_of, dtype_of, pointer_to, size_of

TABLES: Final = 30
DEPTH: Final = 6
CALLS: Final = 300_000
_ROWS: Final = 1024


class _Row(Record):
    hits: I64
    sum: I64
    limit: I64
    pad_a: I64


class _State(Record):
    rows: I64
    """Offset from this record."""
    count: I64


_row_at = pointer_to(_Row)
_state_at = pointer_to(_State)
_ROW: Final = size_of(_Row)


def _pointer_leaf() -> Any:
    @njit  # type: ignore[untyped-decorator]
    def leaf(state: Any, index: int, value: int) -> int:
        row = _row_at(address_of(state) + state.rows + index * _ROW)
        row.hits += 1
        row.sum += value
        state.count += 1
        return int(row.limit)

    return leaf


def _pointer_node(below: Any) -> Any:
    @njit  # type: ignore[untyped-decorator]
    def node(state: Any, index: int, value: int) -> int:
        row = _row_at(address_of(state) + state.rows + index * _ROW)
        if value > 3 and row.limit == 12345:
            return int(below(state, index + 1, value) + below(state, index + 2, value) + below(state, 0, value + 1))
        row.sum += value
        return int(below(state, index, value) + below(state, index, value + 1))

    return node


def _tuple_leaf() -> Any:
    @njit  # type: ignore[untyped-decorator]
    def leaf(state: Any, index: int, value: int) -> int:
        row = state.rows[index]
        row.hits += 1
        row.sum += value
        state.header[0].count += 1
        return int(row.limit)

    return leaf


def _tuple_node(below: Any) -> Any:
    @njit  # type: ignore[untyped-decorator]
    def node(state: Any, index: int, value: int) -> int:
        row = state.rows[index]
        if value > 3 and row.limit == 12345:
            return int(below(state, index + 1, value) + below(state, index + 2, value) + below(state, 0, value + 1))
        row.sum += value
        return int(below(state, index, value) + below(state, index, value + 1))

    return node


def _tree(leaf: Any, node: Callable[[Any], Any]) -> Any:
    top = leaf
    for _ in range(DEPTH - 1):
        top = node(top)
    return top


def _time(run: Callable[[int], Any]) -> tuple[float, float]:
    """Return the seconds to compile, and the nanoseconds of one call of the tree's top."""
    start = time.perf_counter()
    run(1)
    compiled = time.perf_counter()
    run(CALLS)
    return compiled - start, (time.perf_counter() - compiled) / CALLS * 1e9


def measure_pointer() -> tuple[float, float]:
    """One pointer to a record; everything else is found by offsets from it."""
    top = _tree(_pointer_leaf(), _pointer_node)
    memory = np.zeros(size_of(_State) + _ROWS * _ROW, np.uint8)
    memory.view(np.int64)[0] = size_of(_State)

    @njit  # type: ignore[untyped-decorator]
    def run(base: int, count: int) -> int:
        state = _state_at(base)
        total = 0
        for index in range(count):
            total += top(state, index & 1000, index)
        return total

    return _time(lambda count: run(memory.ctypes.data, count))


def measure_tuple() -> tuple[float, float]:
    """A named tuple of arrays, one per table."""
    top = _tree(_tuple_leaf(), _tuple_node)
    others = [f"table_{index}" for index in range(TABLES)]
    make: Any = namedtuple
    kind = make("State", ["rows", "header", *others])
    tables = [np.zeros(16, np.int64) for _ in others]
    state = kind(np.zeros(_ROWS, dtype_of(_Row)), np.zeros(1, dtype_of(_State)), *tables)

    @njit  # type: ignore[untyped-decorator]
    def run(state: Any, count: int) -> int:
        total = 0
        for index in range(count):
            total += top(state, index & 1000, index)
        return total

    return _time(lambda count: run(state, count))


def main() -> None:
    """Measure both ways and print a table."""
    table = Table(title=f"A call tree of depth {DEPTH} over {TABLES + 2} tables")
    for heading in ("state is passed as", "compile, s", "ns per call"):
        table.add_column(heading, justify="left" if heading.startswith("state") else "right")
    for name, measure in (("pointer to a record", measure_pointer), ("named tuple of arrays", measure_tuple)):
        compiled, call = measure()
        table.add_row(name, f"{compiled:.1f}", f"{call:,.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
