"""`ncore compile`: kernels compiled ahead, with a progress bar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ncore_ray.cli.output import console, print_line

if TYPE_CHECKING:
    from rich.progress import Progress


def register(root: typer.Typer) -> None:
    """Add this command to `ncore`."""
    root.command(name="compile")(compile_kernels)


def compile_kernels(
    check: Annotated[bool, typer.Option("--check", help="Compile nothing; exit 1 if that would be needed.")] = False,
) -> None:
    """Compile the packet kernels ahead, once for this version (images, CI).

    `run` and `deploy` do it by themselves. The machine code lies in ~/.cache/ncore_ray, or in NUMBA_CACHE_DIR.
    """
    from ncore_ray.compilation import is_compiled
    from ncore_ray.machine.jit import cache_folder

    ready = is_compiled()
    if check and not ready:
        print_line(f"the kernels are not compiled: {cache_folder()} does not hold them", "yellow")
        raise typer.Exit(1)
    ensure_compiled()
    print_line(f"all kernels are {'there' if ready else 'compiled'}: {cache_folder()}", "green")


def ensure_compiled() -> None:
    """Compile what the cache does not hold yet, with a progress bar. Raises NcoreError."""
    from ncore_ray.compilation import EXPECTED, PARTS, compile_all, is_compiled

    if is_compiled():
        return
    with _progress() as progress:
        progress.console.print("Compiling the packet kernels, once for this version:")
        tasks = {part: progress.add_task(part, total=EXPECTED[part]) for part in PARTS}
        compile_all(lambda part, done, total: progress.update(tasks[part], completed=done, total=total))


def _progress() -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("  {task.description:<22}"),
        BarColumn(bar_width=40),
        MofNCompleteColumn(),
        TextColumn("kernels"),
        TimeElapsedColumn(),
        console=console(stderr=True),
    )
