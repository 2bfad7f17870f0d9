"""Records: plain data with named fields at fixed offsets in memory, declared once as a class.

A record class is read in four ways, all over the same bytes:

* in a kernel, ``pointer_to(Connection)(address)`` gives a reference whose fields are read and written by name;
* in plain Python (``NUMBA_DISABLE_JIT=1``) the same call gives a ``ctypes`` structure over that address;
* control code uses ``view(Connection, array, offset)``, the same structure over a part of a NumPy array;
* whole tables are read as NumPy arrays of ``dtype_of(Connection)``.

All fields are signed integers: numba turns ``int64 + uint64`` into ``float64``, and a signed 64-bit field holds every
32-bit value without surprises.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Hashable
from functools import cache
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin, get_type_hints

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.extending import intrinsic

from ncore_ray.machine.jit import JIT

T = TypeVar("T")

I64 = Annotated[int, np.dtype("<i8")]
I32 = Annotated[int, np.dtype("<i4")]
I16 = Annotated[int, np.dtype("<i2")]

CACHE_LINE: Final = 64
"""Bytes; words that different cores write stand in different lines."""

Pad6 = Annotated[int, np.dtype(("<i8", (6,)))]
Pad7 = Annotated[int, np.dtype(("<i8", (7,)))]

_C_TYPES: Final = {"<i8": ctypes.c_int64, "<i4": ctypes.c_int32, "<i2": ctypes.c_int16}


class Record:
    """Base of all record classes; its subclasses only declare fields."""


def _fields(record: Any) -> list[tuple[str, np.dtype[Any]]]:
    fields = []
    for name, hint in get_type_hints(record, include_extras=True).items():
        if get_origin(hint) is not Annotated:
            raise TypeError(f"{record.__name__}.{name}: a record field is one of I64, I32, I16 or a pad, not {hint}")
        fields.append((name, get_args(hint)[1]))
    return fields


def dtype_of(record: Any) -> np.dtype[Any]:
    """Return the structured dtype of a record class: naturally aligned, size a multiple of 8 bytes."""
    return _dtype_of(record)


@cache
def _dtype_of(record: Hashable) -> np.dtype[Any]:
    dtype = np.dtype(_fields(record), align=True)
    size = -(-dtype.itemsize // 8) * 8
    assert dtype.fields is not None
    return np.dtype(
        {
            "names": list(dtype.names or ()),
            "formats": [dtype.fields[name][0] for name in dtype.names or ()],
            "offsets": [dtype.fields[name][1] for name in dtype.names or ()],
            "itemsize": size,
        }
    )


def size_of(record: Any) -> int:
    """Return the bytes that one record takes."""
    return dtype_of(record).itemsize


def offset_of(record: Any, name: str) -> int:
    """Return the offset of a field in its record, in bytes."""
    fields = dtype_of(record).fields
    assert fields is not None
    return int(fields[name][1])


def _structure_of(record: Any) -> type[ctypes.Structure]:
    return _cached_structure_of(record)


@cache
def _cached_structure_of(record: Hashable) -> type[ctypes.Structure]:
    fields: list[tuple[str, Any]] = []
    for name, dtype in _fields(record):
        base, shape = dtype.subdtype or (dtype, ())
        c_type: Any = _C_TYPES[base.str]
        fields.append((name, c_type * shape[0] if shape else c_type))
    structure = type(str(getattr(record, "__name__", record)), (ctypes.Structure,), {"_fields_": fields})
    layout = dtype_of(record).fields
    assert layout is not None
    assert all(getattr(structure, name).offset == layout[name][1] for name, _ in fields)
    return structure


def view(record: type[T], array: npt.NDArray[np.uint8], offset: int = 0) -> T:
    """Return a live structure over ``array[offset:]`` (uint8, one dimension, writable).

    Raises:
        ValueError: the record does not fit in the array at that offset.
    """
    size = size_of(record)
    if offset < 0 or offset + size > array.size:
        raise ValueError(f"a {record.__name__} of {size} bytes does not fit at offset {offset} of {array.size} bytes")
    structure: Any = _structure_of(record).from_buffer(array[offset : offset + max(size, 1)].data)
    return structure  # type: ignore[no-any-return]


def table(record: Any, array: npt.NDArray[np.uint8], offset: int, count: int) -> npt.NDArray[Any]:
    """Return ``count`` records at ``offset`` of a uint8 array as a structured array over the same memory."""
    size = size_of(record)
    return array[offset : offset + size * count].view(dtype_of(record))


def new(record: type[T]) -> tuple[npt.NDArray[np.uint8], T, int]:
    """Make one zeroed record in memory private to this process: its bytes (keep them), its view, its address."""
    memory = np.zeros(size_of(record), np.uint8)
    return memory, view(record, memory), memory.ctypes.data


def pointer_to(record: type[T]) -> Callable[[int], T]:
    """Return the function that kernels use to see a record at an address (64-bit integer)."""
    if not JIT:
        structure = _structure_of(record)

        def python_view(address: int) -> T:
            seen: Any = structure.from_address(address)
            return seen  # type: ignore[no-any-return]

        return python_view
    numba_type = numba.from_dtype(dtype_of(record))

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(numba_type))

    @intrinsic  # type: ignore[untyped-decorator]
    def compiled_view(typing_context: Any, address: Any) -> Any:
        return numba_type(numba.types.int64), codegen

    return compiled_view  # type: ignore[no-any-return]


def _python_address_of(record: Any) -> int:
    return ctypes.addressof(record)


def _compiled_address_of() -> Any:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ptrtoint(arguments[0], ir.IntType(64))

    @intrinsic  # type: ignore[untyped-decorator]
    def address(typing_context: Any, record: Any) -> Any:
        return numba.types.int64(record), codegen

    return address


address_of: Callable[[Any], int] = _compiled_address_of() if JIT else _python_address_of
"""In a kernel: the address of a record."""
