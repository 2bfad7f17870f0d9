"""A plain interpreter of classic BPF over an Ethernet frame, as the kernel's packet fanout runs a program."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Final

Instruction = tuple[int, int, int, int]
_MASK = 0xFFFF_FFFF


class Machine:
    """Runs one program; offsets count from the IP header, as the kernel's do with SKF_NET_OFF."""

    def __init__(self, program: Sequence[Instruction]) -> None:
        self.program = program
        self.steps = 0

    def run(self, frame: bytes) -> int:
        """Return what the program returns for a frame; −1 if it reads outside of it (the kernel then returns 0)."""
        accumulator = index = place = 0
        memory = [0] * 16
        while True:
            code, yes, no, constant = self.program[place]
            place += 1
            self.steps += 1
            if code & 7 == 6:
                return constant
            if code & 7 == 5:
                taken = _jumps(code, accumulator, constant)
                place += constant if code == 0x05 else yes if taken else no
            elif code == 0x00:
                accumulator = constant
            elif code == 0x60:
                accumulator = memory[constant]
            elif code == 0x61:
                index = memory[constant]
            elif code == 0x02:
                memory[constant] = accumulator
            elif code == 0x07:
                index = accumulator
            elif code & 7 == 4:
                accumulator = _compute(code, accumulator, index if code & 8 else constant)
            else:
                base = index if code & 0xE0 == 0x40 else 0
                value = _load(frame, (constant + base) & _MASK, code)
                if value is None:
                    return -1
                if code == 0xB1:
                    index = 4 * (value & 15)
                else:
                    accumulator = value


def _jumps(code: int, accumulator: int, constant: int) -> bool:
    return {0x05: True, 0x15: accumulator == constant, 0x35: accumulator >= constant}.get(
        code, bool(accumulator & constant)
    )


_OPERATIONS: Final[dict[int, Callable[[int, int], int]]] = {
    0x40: operator.or_,
    0x50: operator.and_,
    0x60: operator.lshift,
    0x70: operator.rshift,
    0xA0: operator.xor,
}


def _compute(code: int, left: int, right: int) -> int:
    return _OPERATIONS[code & 0xF0](left, right) & _MASK


def _load(frame: bytes, offset: int, code: int) -> int | None:
    size = {0x00: 4, 0x08: 2, 0x10: 1}[code & 0x18]
    if offset == 0xFFFF_F000:
        return int.from_bytes(frame[12:14], "big")
    start = 14 + offset - 0xFFF0_0000
    return int.from_bytes(frame[start : start + size], "big") if start + size <= len(frame) else None
