"""Pools of examples on the command line: which one a name means, and what several commands take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli.targets import index_names, index_path, is_index
from ragkit.errors import ExamplePoolError, IndexNotFoundError

if TYPE_CHECKING:
    from ragkit.examples import ExamplePool
    from ragkit.records import Example
    from ragkit.settings import Settings

PoolName = Annotated[
    str,
    typer.Argument(
        metavar="POOL", help="A pool of examples: a name under the indexes folder, or a path.", show_default=False
    ),
]
InputField = Annotated[
    str, typer.Option("--input-field", metavar="NAME", help="The column or key that holds the input.")
]
OutputField = Annotated[
    str, typer.Option("--output-field", metavar="NAME", help="The column or key that holds the wanted output.")
]
ExampleFiles = Annotated[
    list[Path],
    typer.Argument(metavar="FILE...", help="CSV, TSV or JSON Lines, one example a row.", show_default=False),
]


@contextmanager
def opened_pool(name: str, settings: Settings, *, create: bool = False) -> Iterator[ExamplePool]:
    """Open the pool that a name or path means.

    Raises:
        IndexNotFoundError: if there is none and it is not to be made.
        ExamplePoolError: if it is an index of documents.
    """
    from ragkit.examples import ExamplePool

    path = index_path(name, settings)
    if not create and not is_index(path):
        raise IndexNotFoundError(
            f"There is no pool {name}; {settings.indexes}/ holds: {', '.join(index_names(settings)) or 'none'}.",
            f"Make it: ragkit examples add FILE --pool {name}",
        )
    with ExamplePool.open(path, embedder=settings.embedding_model, create=create) as pool:
        first = next(pool.index.each_document(), None)
        if first is not None and first.media_type != "text/x-example":
            raise ExamplePoolError(
                f"{name} is an index of documents, not a pool of examples.", "Name another: --pool NAME"
            )
        yield pool


def read_files(files: list[Path], input_field: str, output_field: str) -> list[Example]:
    """Return the examples of several files.

    Raises:
        ExamplePoolError: if one can't be read or lacks a field; the hint names the options.
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
                f"{file}: {error.message}", "Name the fields that hold them: --input-field NAME --output-field NAME"
            ) from error
    return found
