"""Atomic access to words that several processes, or this one and the Linux kernel, share.

Plain loads are hoisted out of loops by the compiler and plain stores may be seen late or out of order by another core;
ring indices, doorbells and stop flags go through these functions (C11 memory model, by LLVM's atomic instructions).
"""

from __future__ import annotations

import ctypes
from typing import Any

from llvmlite import ir

from ncore_ray.machine.jit import machine_code
from ncore_ray.machine.memory import load64, store64

_I64 = ir.IntType(64)
_I32 = ir.IntType(32)


def _load_acquire(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    pointer = builder.inttoptr(arguments[0], ir.PointerType())
    return builder.load_atomic(pointer, "acquire", 8, typ=_I64)


def _insert_store(builder: Any, value: Any, pointer: Any, align: int) -> None:
    """Insert the store itself: `IRBuilder.store_atomic` of llvmlite 0.50 asks for the type that a pointer points to."""
    builder._insert(ir.instructions.StoreAtomicInstr(builder.block, value, pointer, "release", align))


def _store_release(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    pointer = builder.inttoptr(arguments[0], ir.PointerType())
    _insert_store(builder, arguments[1], pointer, 8)
    return context.get_constant(signature.return_type, 0)


def _load_acquire32(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    pointer = builder.inttoptr(arguments[0], ir.PointerType())
    return builder.zext(builder.load_atomic(pointer, "acquire", 4, typ=_I32), _I64)


def _store_release32(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    pointer = builder.inttoptr(arguments[0], ir.PointerType())
    _insert_store(builder, builder.trunc(arguments[1], _I32), pointer, 4)
    return context.get_constant(signature.return_type, 0)


def _fetch_add(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    pointer = builder.inttoptr(arguments[0], ir.PointerType())
    return builder.atomic_rmw("add", pointer, arguments[1], "acq_rel")


def _compare_exchange(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    pointer = builder.inttoptr(arguments[0], ir.PointerType())
    pair = builder.cmpxchg(pointer, arguments[1], arguments[2], "acq_rel", "acquire")
    return builder.zext(builder.extract_value(pair, 1), _I64)


def _fence(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    builder.fence("seq_cst")
    return context.get_constant(signature.return_type, 0)


def _compiler_fence(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    builder.fence("seq_cst", targetscope="singlethread")
    return context.get_constant(signature.return_type, 0)


@machine_code(_load_acquire)
def load_acquire(address: int) -> int:
    """Return the word; nothing that follows is done before it (address a multiple of 8)."""
    return ctypes.c_int64.from_address(address).value


@machine_code(_store_release)
def store_release(address: int, value: int) -> int:
    """Write the word after everything that precedes (address a multiple of 8)."""
    ctypes.c_int64.from_address(address).value = value
    return 0


@machine_code(_load_acquire32)
def load_acquire32(address: int) -> int:
    """Return the unsigned 32-bit word; nothing that follows is done before it (address a multiple of 4)."""
    return ctypes.c_uint32.from_address(address).value


@machine_code(_store_release32)
def store_release32(address: int, value: int) -> int:
    """Write the low 32 bits of a value after everything that precedes (address a multiple of 4)."""
    ctypes.c_uint32.from_address(address).value = value
    return 0


@machine_code(_fetch_add)
def fetch_add(address: int, value: int) -> int:
    """Add to the word and return what it was before."""
    before: int = load64(address)
    store64(address, before + value)
    return before


@machine_code(_compare_exchange)
def compare_exchange(address: int, expected: int, desired: int) -> int:
    """Write ``desired`` if the word is ``expected``; return 1 if it was, else 0."""
    if load64(address) != expected:
        return 0
    store64(address, desired)
    return 1


@machine_code(_fence)
def fence() -> int:
    """Order everything before against everything after, stores before loads included."""
    return 0


@machine_code(_compiler_fence)
def compiler_fence() -> int:
    """Keep the compiler from moving or merging stores across this place; costs no instruction.

    Enough for who looks after this process has died: a process that is killed leaves its stores in program order.
    """
    return 0
