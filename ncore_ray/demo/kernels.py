"""The kernels, compiled with progress bars."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from ncore_ray.compilation import EXPECTED, compile_all, is_compiled


def compile_with_progress(console: Console) -> None:
    """Compile whatever the cache does not hold yet. Raises NcoreError."""
    if is_compiled():
        console.print("[green]✔[/] kernels are compiled")
        return
    started_at = time.monotonic()
    console.print("  compiling the kernels of the data plane, once for this version (a minute or two)")
    columns = (TextColumn("    {task.description:<22}"), BarColumn(40), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        tasks = {part: progress.add_task(part, total=total) for part, total in EXPECTED.items()}
        compile_all(lambda part, done, total: progress.update(tasks[part], completed=done, total=total))
    console.print(f"[green]✔[/] kernels compiled in {time.monotonic() - started_at:.0f} s")
