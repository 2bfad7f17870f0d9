"""Compilation of kernels.

A *kernel* is a function that numba compiles to machine code: it takes integers and records
(:mod:`ncore_ray.machine.record`), holds no Python object and runs without the GIL. Everything that runs per packet or
per request is a kernel. With ``NUMBA_DISABLE_JIT=1`` the same functions run as plain Python.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

import numba
from numba import config as numba_config
from numba.extending import intrinsic

from ncore_ray.machine.compiler import compile_entry, compile_inner

P = ParamSpec("P")
R = TypeVar("R")

JIT: Final = not numba_config.DISABLE_JIT
"""False where ``NUMBA_DISABLE_JIT=1`` makes kernels run as plain Python."""

CHECKED: Final = bool(numba_config.BOUNDSCHECK) or not JIT
"""True where every index into a table is checked (``NUMBA_BOUNDSCHECK=1``, or plain Python)."""

_KERNEL_ROOMS: Final = ("machine", "arena", "wire", "tables", "nic", "flow", "engine")


@cache
def source_digest() -> str:
    """Return a hex digest of everything that compiled kernels depend on.

    numba notices that the file of a kernel changed, but not that a file changed which the kernel calls into. So the
    cache folder carries the digest of all rooms that hold kernels, and of the versions that compiled them.
    """
    package = Path(__file__).parent.parent  # numba keeps the kernels of each place of the source apart
    digest = hashlib.sha256(f"{numba.__version__} {sys.version} {CHECKED} {package}".encode())
    for room in _KERNEL_ROOMS:
        for path in sorted((package / room).rglob("*.py")):
            digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def cache_folder() -> Path:
    """Return the folder that holds the compiled kernels of exactly this source.

    ``NUMBA_CACHE_DIR`` names its parent; by default that is ``ncore_ray`` in the user's cache folder.
    """
    user_cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    parent = Path(_CHOSEN_CACHE_DIR) if _CHOSEN_CACHE_DIR else user_cache / "ncore_ray"
    return parent / f"kernels-{source_digest()}"


_CHOSEN_CACHE_DIR: Final[str] = os.environ.get("NUMBA_CACHE_DIR", "")
numba_config.CACHE_DIR = str(cache_folder())


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function that other kernels call."""
    compiled: Callable[P, R] = compile_inner(function) if JIT else function
    return compiled


def entry_kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function that Python calls: without the GIL, and kept in the cache on disk."""
    compiled: Callable[P, R] = compile_entry(function) if JIT else function
    return compiled


Codegen = Callable[[Any, Any, Any, Any], Any]


def machine_code(codegen: Codegen, *, returns: Any = None) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Give a Python function (its meaning in plain Python) the machine code that kernels use instead.

    Args:
        codegen: numba's ``codegen(context, builder, signature, arguments)`` over 64-bit integer arguments.
        returns: numba type of the result; ``int64`` when left out.
    """
    result = numba.types.int64 if returns is None else returns

    def choose(function: Callable[P, R]) -> Callable[P, R]:
        if not JIT:
            return function
        typed: Callable[P, R] = _TYPERS[function.__code__.co_argcount](result, codegen)
        return typed

    return choose


def _typer_0(result: Any, codegen: Codegen) -> Any:
    @intrinsic  # type: ignore[untyped-decorator]
    def typed(typing_context: Any) -> Any:
        return result(), codegen

    return typed


def _typer_1(result: Any, codegen: Codegen) -> Any:
    @intrinsic  # type: ignore[untyped-decorator]
    def typed(typing_context: Any, a: Any) -> Any:
        return result(numba.types.int64), codegen

    return typed


def _typer_2(result: Any, codegen: Codegen) -> Any:
    @intrinsic  # type: ignore[untyped-decorator]
    def typed(typing_context: Any, a: Any, b: Any) -> Any:
        return result(numba.types.int64, numba.types.int64), codegen

    return typed


def _typer_3(result: Any, codegen: Codegen) -> Any:
    @intrinsic  # type: ignore[untyped-decorator]
    def typed(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
        return result(numba.types.int64, numba.types.int64, numba.types.int64), codegen

    return typed


_TYPERS: Final = (_typer_0, _typer_1, _typer_2, _typer_3)
