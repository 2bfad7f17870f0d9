"""How kernels are compiled: typed and lowered one by one, optimised once, as part of the entry that needs them.

numba makes every function executable by itself: each is linked with all that it calls and optimised, then again as a
part of its caller, and so on: a call tree of depth n is compiled up to n times. An *inner* kernel is never called
from Python, so it is enough to keep its LLVM code and to link all of them, once, into the entry kernel. For the packet
engine that is the difference between 200 s and 50 s (`docs/decisions.md`).

Only hooks that numba offers are used (a pipeline class, a lowering pass, a code library); the numba version is pinned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from numba.core import types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, _LowerResult
from numba.core.compiler_machinery import register_pass
from numba.core.registry import CPUDispatcher
from numba.core.typed_passes import NativeLowering
from numba.core.types.misc import unliteral

on_compiled: Callable[[int], None] | None = None
"""Called with the number of kernels lowered so far, for whoever shows the progress."""
_lowered = 0

_NEEDLESS: Final = frozenset(
    {
        "AnnotateTypes",
        "DumpParforDiagnostics",
        "FindLiterallyCalls",
        "InlineClosureLikes",
        "InlineInlinables",
        "InlineOverloads",
        "LiteralPropagationSubPipelinePass",
        "LiteralUnroll",
        "MakeFunctionToJitFunction",
        "NoPythonSupportedFeatureValidation",
        "NopythonRewrites",
        "RewriteDynamicRaises",
        "WithLifting",
    }
)
"""Passes for what no kernel has (closures, ``with``, arrays, literals as types, exceptions made at run time).

Without them the packet engine compiles in a sixth less time (57 s to 47 s), to the same machine code.
"""
_OPTIONS: Final = {"nopython": True, "nogil": True, "error_model": "numpy"}


class _InnerLibrary(JITCodeLibrary):  # type: ignore[misc]
    """LLVM code of one inner kernel: neither optimised nor made executable."""

    def finalize(self) -> None:
        self._raise_if_finalized()
        self._finalize_dynamic_globals()
        self._finalized = True


class _EntryLibrary(JITCodeLibrary):  # type: ignore[misc]
    """Code of an entry kernel, with that of all inner kernels that it reaches."""

    def finalize(self) -> None:
        self._linking_libraries: list[Any] = list(_closure(self._linking_libraries))
        super().finalize()


def _closure(libraries: list[Any]) -> dict[Any, None]:
    found: dict[Any, None] = {}
    waiting = list(libraries)
    while waiting:
        library = waiting.pop()
        if library not in found:
            found[library] = None
            if isinstance(library, _InnerLibrary):
                waiting.extend(library._linking_libraries)
    return found


class _Lowering(NativeLowering):  # type: ignore[misc]
    """Lowering into a library of one of the two kinds."""

    library_class: type[JITCodeLibrary] = _EntryLibrary

    def run_pass(self, state: Any) -> bool:
        if state.library is None:
            state.library = self.library_class(state.targetctx.codegen(), state.func_id.func_qualname)
            state.library.enable_object_caching()
        super().run_pass(state)
        _tell()
        return True


def _tell() -> None:
    global _lowered
    _lowered += 1
    if on_compiled is not None:
        on_compiled(_lowered)


@register_pass(mutates_CFG=True, analysis_only=False)
class _EntryLowering(_Lowering):
    _name = "ncore_entry_lowering"


@register_pass(mutates_CFG=True, analysis_only=False)
class _InnerLowering(_Lowering):
    _name = "ncore_inner_lowering"
    library_class = _InnerLibrary

    def run_pass(self, state: Any) -> bool:
        flags = state.flags
        flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
        super().run_pass(state)
        lowered = state["cr"]
        # numba finds the code of a callee by its entry point, so each needs one of its own, though none is ever called.
        key = [lowered.fndesc].append
        state.targetctx.insert_user_function(key, lowered.fndesc, [state.library])
        state["cr"] = _LowerResult(lowered.fndesc, lowered.call_helper, cfunc=key, env=lowered.env)
        return True


class _KernelCompiler(Compiler):  # type: ignore[misc]
    lowering: type[_Lowering] = _EntryLowering

    def define_pipelines(self) -> list[Any]:
        (pipeline,) = super().define_pipelines()
        needed = [p for p in pipeline.passes if p[0].__name__ not in _NEEDLESS]
        pipeline.passes[:] = [(self.lowering if p[0] is NativeLowering else p[0], p[1]) for p in needed]
        pipeline._finalized = False
        pipeline.finalize()
        return [pipeline]


class _InnerCompiler(_KernelCompiler):
    lowering = _InnerLowering


def _widened(argument: Any) -> Any:
    """Return ``int64`` for every kind of integer, so that a kernel is compiled once and not per width and literal."""
    plain = unliteral(argument)
    return types.int64 if isinstance(plain, types.Integer | types.Boolean | types.IntEnumMember) else plain


class _InnerDispatcher(CPUDispatcher):  # type: ignore[misc]
    """An inner kernel: kernels call it, Python cannot."""

    def get_call_template(self, args: Any, kws: Any) -> Any:
        return super().get_call_template([_widened(arg) for arg in args], {k: _widened(v) for k, v in kws.items()})

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"{self.py_func.__qualname__} is an inner kernel: call it through an entry kernel")


def compile_inner(function: Callable[..., Any]) -> Any:
    """Return the dispatcher of an inner kernel."""
    return _InnerDispatcher(function, targetoptions=dict(_OPTIONS), pipeline_class=_InnerCompiler)


def compile_entry(function: Callable[..., Any]) -> Any:
    """Return the dispatcher of an entry kernel, kept in the cache on disk."""
    dispatcher = CPUDispatcher(function, targetoptions=dict(_OPTIONS), pipeline_class=_KernelCompiler)
    dispatcher.enable_caching()
    return dispatcher
