"""Example pools on the command line: resolving a pool's name, and shared options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli.indexes import ISSUES_SHOWN
from ragkit.cli.output import one_line, out
from ragkit.cli.targets import index_names, index_path, is_index
from ragkit.errors import ExamplePoolError, IndexNotFoundError

if TYPE_CHECKING:
    from ragkit.examples import ExamplePool, Shot
    from ragkit.examples.leaks import Leak
    from ragkit.records import Example
    from ragkit.settings import Settings

_LEAKS_SHOWN = 5

PoolName = Annotated[
    str,
    typer.Argument(metavar="POOL", help="Example pool: a name in the indexes folder, or a path.", show_default=False),
]
ShownPool = Annotated[
    str | None,
    typer.Option(
        "--pool", "-p", metavar="NAME", help="With --mode chat: pool of answered questions to show as examples."
    ),
]
Shots = Annotated[int, typer.Option(min=0, help="With --pool: examples per question.")]
InputField = Annotated[str, typer.Option("--input-field", metavar="NAME", help="Column or key of the input.")]
OutputField = Annotated[
    str, typer.Option("--output-field", metavar="NAME", help="Column or key of the expected output.")
]
ExampleFiles = Annotated[
    list[Path],
    typer.Argument(metavar="FILE...", help="CSV, TSV or JSON Lines, one example per row.", show_default=False),
]


@contextmanager
def opened_pool(name: str, settings: Settings, *, create: bool = False) -> Iterator[ExamplePool]:
    """Open a pool by name or path.

    Raises:
        IndexNotFoundError: if it does not exist and ``create`` is False.
        ExamplePoolError: if it is an index of documents.
    """
    from ragkit.examples import ExamplePool

    path = index_path(name, settings)
    if not create and not is_index(path):
        raise IndexNotFoundError(
            f"Pool not found: {name}. Indexes in {settings.indexes}/: {', '.join(index_names(settings)) or 'none'}.",
            f"Create it: ragkit examples add FILE --pool {name}",
        )
    with ExamplePool.open(path, embedder=settings.embedding_model, create=create) as pool:
        first = next(pool.index.each_document(), None)
        if first is not None and first.media_type != "text/x-example":
            raise ExamplePoolError(
                f"{name} is an index of documents, not a pool of examples.", "Specify another: --pool NAME"
            )
        yield pool


def read_files(files: list[Path], input_field: str, output_field: str) -> list[Example]:
    """Read the examples of several files.

    Raises:
        ExamplePoolError: if a file can't be read or lacks a field; the hint names the options.
    """
    from ragkit.examples import read_examples

    found: list[Example] = []
    for file in files:
        try:
            found += read_examples(file, input_field, output_field)
        except ExamplePoolError as error:
            if "has no field" not in error.message:
                raise
            raise ExamplePoolError(
                f"{file}: {error.message}", "Specify the fields: --input-field NAME --output-field NAME"
            ) from error
    return found


def print_issues(refused: Sequence[str], contradictions: Mapping[str, Sequence[str]] | None = None) -> None:
    """Print why examples were refused, and which inputs have several outputs."""
    lines = [f"refused: {reason}" for reason in refused]
    lines += [
        f"contradiction: {one_line(text, 100)!r} has the outputs {', '.join(map(repr, outputs))}"
        for text, outputs in (contradictions or {}).items()
    ]
    for line in lines[:ISSUES_SHOWN]:
        out.print(f"  {line}", style="yellow", markup=False)
    if len(lines) > ISSUES_SHOWN:
        out.print(f"  … and {len(lines) - ISSUES_SHOWN} more; use --json to list all")


def read_test(file: Path, input_field: str, output_field: str) -> list[Example]:
    """Read the rows of a test split that have an input and an output.

    Raises:
        ExamplePoolError: if there are none, or as ``read_files``.
    """
    rows = read_files([file], input_field, output_field)
    whole = [row for row in rows if row.input.strip() and row.output.strip()]
    if not whole:
        raise ExamplePoolError(f"{file} has no row with an input and an output.", "Use a test split with both.")
    return whole


def read_questions(file: Path, field: str) -> list[str]:
    """Read questions of a text file, one per line, or of a column of a CSV, TSV or JSON Lines file.

    Raises:
        ExamplePoolError: if there are none, or the file can't be read.
    """
    if file.suffix.lower() in (".csv", ".tsv", ".jsonl", ".ndjson"):
        found = [row.input for row in read_files([file], field, field)]
    else:
        try:
            found = file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ExamplePoolError(f"{file} can't be read: {error}.", "Specify a text file in UTF-8.") from error
    questions = [question for question in found if question.strip()]
    if not questions:
        raise ExamplePoolError(f"{file} has no question.", "Name the column of the questions: --input-field NAME")
    return questions


def print_leaks(leaks: Sequence[Leak], rows: int) -> None:
    """Print which rows of a test split duplicate or nearly duplicate an example of a pool."""
    if not leaks:
        out.print("No test row is in the pool.")
        return
    out.print(f"[yellow]Leakage:[/] {len(leaks):,} of {rows:,} test rows duplicate or nearly duplicate an example:")
    for leak in sorted(leaks, key=lambda one: -one.cosine)[:_LEAKS_SHOWN]:
        line = f"  {leak.cosine:.3f}  {one_line(leak.example.input, 80)!r} is {one_line(leak.found.input, 80)!r}"
        out.print(line, style="yellow", markup=False)
    if len(leaks) > _LEAKS_SHOWN:
        out.print(f"  … and {len(leaks) - _LEAKS_SHOWN} more; use --json to list all")


def print_shots(shots: Sequence[Shot]) -> None:
    """Print examples in order, with output, input and reason."""
    for number, shot in enumerate(shots, 1):
        out.print(f"[bold]{number}[/] [cyan]{shot.score:.3f}[/]", end=" ")
        out.print(one_line(shot.example.output, 100), style="bold", markup=False, end="  ")
        out.print(one_line(shot.example.input, 200), markup=False)
        out.print(f"  {shot.reason}", style="dim", markup=False)
