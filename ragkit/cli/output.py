"""Output of commands: results on stdout, progress and messages on stderr, one JSON object with ``--json``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from ragkit.errors import RagkitError

if TYPE_CHECKING:
    from ragkit.indexing import Index, Progress

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def plain(value: object) -> Any:
    """Return ``value`` as dicts, lists and scalars for ``json.dumps``.

    Raises:
        TypeError: if a value has no JSON equivalent.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return plain(value.to_dict() if hasattr(value, "to_dict") else asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} can't be written as JSON")


def print_json(value: object) -> None:
    """Print one JSON object on stdout, and nothing else."""
    sys.stdout.write(json.dumps(plain(value), ensure_ascii=False, indent=2) + "\n")


def print_error(error: RagkitError, *, as_json: bool) -> None:
    """Print an error and its hint."""
    if as_json:
        print_json(
            {
                "error": {
                    "type": type(error).__name__,
                    "message": error.message,
                    "hint": error.hint,
                    "retry": error.retry,
                }
            }
        )
        return
    err.print(f"[bold red]{type(error).__name__}[/]:", end=" ")
    err.print(error.message, markup=False)
    if error.hint:
        err.print(error.hint, markup=False, style="cyan")


@contextmanager
def progress_bar(*, quiet: bool) -> Iterator[Callable[[Progress], None] | None]:
    """Show a progress bar for each stage; none with ``quiet``."""
    if quiet:
        yield None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[current]}"),
    )
    with Bars(*columns, console=err, transient=not err.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def show(progress: Progress) -> None:
            if progress.stage not in tasks:
                tasks[progress.stage] = bars.add_task(progress.stage, total=None, current="")
            current = progress.current.rsplit("/", 1)[-1] if progress.done < (progress.total or 0) else ""
            bars.update(tasks[progress.stage], completed=progress.done, total=progress.total, current=current)

        yield show


@contextmanager
def download_bar(name: str, *, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Show the bytes, speed and time left of a download; with ``quiet``, nothing."""
    if quiet:
        yield None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=err, transient=not err.is_terminal) as bar:
        task = bar.add_task(name.rsplit("/", 1)[-1], total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield show


def one_line(text: str, limit: int) -> str:
    """Return a text on one line, cut to ``limit`` characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def size_text(count: float) -> str:
    """Format a size in bytes, such as ``1.5 MB`` (powers of 1,000)."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def seconds_text(seconds: float) -> str:
    """Format a duration, such as ``42 ms``, ``3.1 s`` or ``2 min 5 s``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"


def warn_of_missing(index: Index) -> None:
    """List the shards of an index that were left out."""
    for line in index.missing_shards:
        err.print(line, style="yellow", markup=False)
