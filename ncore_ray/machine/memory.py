"""Loads and stores at addresses: the only door through which kernels touch bytes.

An address is a 64-bit integer that is valid in this process only, so it lives in arguments and local variables and is
never written to the arena. Network byte order has the suffix ``be``; words without one have the machine's own.
"""

from __future__ import annotations

import ctypes
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from ncore_ray.machine.jit import Codegen, machine_code

_I64 = ir.IntType(64)


def _load(bits: int, *, swap: bool) -> Codegen:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(arguments[0], ir.PointerType())
        value = builder.load(pointer, align=1, typ=ir.IntType(bits))
        value = builder.bswap(value) if swap else value
        return builder.zext(value, _I64) if bits < 64 else value

    return codegen


def _store(bits: int, *, swap: bool) -> Codegen:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(arguments[0], ir.PointerType())
        value = builder.trunc(arguments[1], ir.IntType(bits)) if bits < 64 else arguments[1]
        builder.store(builder.bswap(value) if swap else value, pointer, align=1)
        return context.get_constant(signature.return_type, 0)

    return codegen


def _copy(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    target, source = (builder.inttoptr(address, ir.PointerType()) for address in arguments[:2])
    cgutils.raw_memcpy(builder, target, source, arguments[2], 1)
    return context.get_constant(signature.return_type, 0)


def _move(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    target, source = (builder.inttoptr(address, ir.PointerType()) for address in arguments[:2])
    cgutils.raw_memmove(builder, target, source, arguments[2], 1)
    return context.get_constant(signature.return_type, 0)


def _clear(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    cgutils.memset(builder, builder.inttoptr(arguments[0], ir.PointerType()), arguments[1], 0)
    return context.get_constant(signature.return_type, 0)


@machine_code(_load(8, swap=False))
def load8(address: int) -> int:
    """Return the byte at an address."""
    return ctypes.c_uint8.from_address(address).value


@machine_code(_load(16, swap=True))
def load16be(address: int) -> int:
    """Return the unsigned 16-bit word in network order at an address."""
    return int.from_bytes(ctypes.string_at(address, 2), "big")


@machine_code(_load(32, swap=True))
def load32be(address: int) -> int:
    """Return the unsigned 32-bit word in network order at an address."""
    return int.from_bytes(ctypes.string_at(address, 4), "big")


@machine_code(_load(64, swap=True))
def load64be(address: int) -> int:
    """Return the 64-bit word in network order at an address, as a signed integer."""
    return int.from_bytes(ctypes.string_at(address, 8), "big", signed=True)


@machine_code(_load(16, swap=False))
def load16(address: int) -> int:
    """Return the unsigned 16-bit word at an address."""
    return ctypes.c_uint16.from_address(address).value


@machine_code(_load(32, swap=False))
def load32(address: int) -> int:
    """Return the unsigned 32-bit word at an address."""
    return ctypes.c_uint32.from_address(address).value


@machine_code(_load(64, swap=False))
def load64(address: int) -> int:
    """Return the signed 64-bit word at an address."""
    return ctypes.c_int64.from_address(address).value


@machine_code(_store(8, swap=False))
def store8(address: int, value: int) -> int:
    """Write the low byte of a value."""
    ctypes.c_uint8.from_address(address).value = value
    return 0


@machine_code(_store(16, swap=True))
def store16be(address: int, value: int) -> int:
    """Write the low 16 bits of a value in network order."""
    ctypes.memmove(address, (value & 0xFFFF).to_bytes(2, "big"), 2)
    return 0


@machine_code(_store(32, swap=True))
def store32be(address: int, value: int) -> int:
    """Write the low 32 bits of a value in network order."""
    ctypes.memmove(address, (value & 0xFFFF_FFFF).to_bytes(4, "big"), 4)
    return 0


@machine_code(_store(64, swap=True))
def store64be(address: int, value: int) -> int:
    """Write a 64-bit value in network order."""
    ctypes.memmove(address, (value & 0xFFFF_FFFF_FFFF_FFFF).to_bytes(8, "big"), 8)
    return 0


@machine_code(_store(32, swap=False))
def store32(address: int, value: int) -> int:
    """Write the low 32 bits of a value."""
    ctypes.c_uint32.from_address(address).value = value
    return 0


@machine_code(_store(64, swap=False))
def store64(address: int, value: int) -> int:
    """Write a 64-bit value."""
    ctypes.c_int64.from_address(address).value = value
    return 0


@machine_code(_copy)
def copy(target: int, source: int, length: int) -> int:
    """Copy ``length`` bytes between places that do not overlap."""
    ctypes.memmove(target, source, length)
    return 0


@machine_code(_move)
def move(target: int, source: int, length: int) -> int:
    """Copy ``length`` bytes between places that may overlap."""
    ctypes.memmove(target, source, length)
    return 0


@machine_code(_clear)
def clear(address: int, length: int) -> int:
    """Set ``length`` bytes to zero."""
    ctypes.memset(address, 0, length)
    return 0
