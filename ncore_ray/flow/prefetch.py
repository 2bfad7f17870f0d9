"""A hint to the processor: this cache line will be read soon."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from ncore_ray.machine.jit import machine_code

_I32 = ir.IntType(32)
_READ, _KEEP, _DATA = 0, 3, 1


def _prefetch(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    pointer = builder.inttoptr(arguments[0], ir.PointerType())
    kind = ir.FunctionType(ir.VoidType(), [ir.PointerType(), _I32, _I32, _I32])
    function = builder.module.declare_intrinsic("llvm.prefetch", [ir.PointerType()], kind)
    builder.call(function, [pointer, *(_I32(value) for value in (_READ, _KEEP, _DATA))])
    return context.get_constant(signature.return_type, 0)


@machine_code(_prefetch)
def prefetch(address: int) -> int:
    """Begin to load the cache line at an address; never fails, whatever the address."""
    return 0
