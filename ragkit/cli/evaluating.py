"""``ragkit examples evaluate``: how often the chosen examples alone tell the right output of a test split."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli.options import Json
from ragkit.cli.output import err, one_line, out, print_json, progress_bar
from ragkit.cli.pools import InputField, OutputField, PoolName, opened_pool, read_files
from ragkit.errors import ExamplePoolError

if TYPE_CHECKING:
    from ragkit.examples import ExamplePool, SelectorOptions
    from ragkit.examples.leaks import Leak
    from ragkit.indexing.reports import ProgressCallback
    from ragkit.records import Example

_BY = ("dense", "keyword", "hybrid", "jaccard", "ngram", "random")
_K = (1, 4, 8, 16)
_LEAKS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How one selector did with one number of examples."""

    by: str
    choice: str
    k: int
    right: int
    tested: int

    @property
    def share(self) -> float:
        """Of the test rows, those that were right."""
        return self.right / self.tested

    @property
    def error(self) -> float:
        """The standard error of the share."""
        return math.sqrt(self.share * (1 - self.share) / self.tested)

    def to_dict(self) -> dict[str, str | int | float]:
        """Return it as it is printed under ``--json``."""
        return {
            "by": self.by,
            "choice": self.choice,
            "k": self.k,
            "accuracy": self.share,
            "error": self.error,
        }


def register(app: typer.Typer) -> None:
    """Add the command to ``ragkit examples``."""
    app.command()(evaluate)


def evaluate(
    pool: PoolName,
    test: Annotated[
        Path, typer.Argument(metavar="TEST", help="CSV, TSV or JSON Lines, with the right outputs.", show_default=False)
    ],
    input_field: InputField = "input",
    output_field: OutputField = "output",
    by: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join(_BY)}. May be repeated.", show_default="all")
    ] = None,
    choice: Annotated[
        list[str] | None,
        typer.Option(
            help="best, mmr, dpp, coverage, keyword_coverage, balanced. May be repeated.", show_default="best"
        ),
    ] = None,
    k: Annotated[
        list[int] | None, typer.Option("-k", min=1, help="How many examples. May be repeated.", show_default="1 4 8 16")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many test rows, drawn by chance.")] = None,
    seed: Annotated[int, typer.Option(help="Of chance.")] = 0,
    skip_leaks: Annotated[
        bool, typer.Option("--skip-leaks", help="Leave out the rows that stand in the pool, or nearly.")
    ] = False,
    json: Json = False,
) -> None:
    """Measure each selector on a test split: does a vote of the chosen examples name the right output?

    Says first which test rows stand in the pool, or nearly, so that they are no test. Asks no model.

        ragkit examples evaluate intents test.csv --input-field text --output-field category --limit 500
    """
    from ragkit.examples import SelectorOptions, find_leaks
    from ragkit.settings import load_settings

    # Wrong options are told before anything is read.
    ways = [
        SelectorOptions(by=one, choice=set_choice, order="best_first", seed=seed)  # type: ignore[arg-type]
        for set_choice in choice or ("best",)
        for one in by or _BY
    ]
    counts = sorted(set(k or _K))
    rows = _some(
        [row for row in read_files([test], input_field, output_field) if row.input.strip() and row.output.strip()],
        str(test),
    )
    total = len(rows)
    if limit is not None and limit < total:
        rows = random.Random(seed).sample(rows, limit)  # noqa: S311
    with opened_pool(pool, load_settings()) as opened:
        if not len(opened):
            raise ExamplePoolError(
                f"The pool {pool} is empty.", f"Add examples: ragkit examples add FILE --pool {pool}"
            )
        leaks = find_leaks(opened, rows)
        if not json:
            out.print(f"{len(rows):,} of {total:,} test rows against {len(opened):,} examples.")
            _print_leaks(leaks)
        if skip_leaks:
            leaked = {id(leak.example) for leak in leaks}
            rows = _some([row for row in rows if id(row) not in leaked], f"{test} without its leaks")
        unknown = sorted({row.output for row in rows} - set(opened.labels()))
        with progress_bar(quiet=json or not err.is_terminal) as progress:
            found = [accuracy for way in ways for accuracy in _votes(opened, way, rows, counts, progress)]
    if json:
        print_json(
            {
                "pool": pool,
                "test": test,
                "rows": len(rows),
                "of": total,
                "seed": seed,
                "leaks": leaks,
                "unknown_outputs": unknown,
                "votes": found,
            }
        )
        return
    if unknown:
        shown = ", ".join(unknown[:_LEAKS_SHOWN]) + (" …" if len(unknown) > _LEAKS_SHOWN else "")
        out.print(f"{len(unknown)} outputs of the test rows are not in the pool: {shown}", style="yellow", markup=False)
    _print_table(found, counts)
    best = max(found, key=lambda accuracy: (accuracy.right, -accuracy.k))
    out.print(f"Best: {best.by}, {best.choice}, k={best.k}: {best.share:.3f} ± {best.error:.3f}", markup=False)


def vote(outputs: Sequence[str]) -> str:
    """Return the output that most have; of equals the one that comes first, for the nearest come first."""
    return Counter(outputs).most_common(1)[0][0]


def _votes(
    pool: ExamplePool,
    options: SelectorOptions,
    rows: Sequence[Example],
    counts: Sequence[int],
    progress: ProgressCallback | None,
) -> list[Accuracy]:
    from ragkit.examples import DynamicSelector
    from ragkit.indexing import Progress

    selector = DynamicSelector(pool, options)
    right = dict.fromkeys(counts, 0)
    for done, row in enumerate(rows, 1):
        outputs = [shot.example.output for shot in selector.select(row.input, counts[-1])]
        for k in counts:
            right[k] += bool(outputs) and vote(outputs[:k]) == row.output
        if progress is not None:
            progress(Progress(f"{options.by}, {options.choice}", done, len(rows)))
    return [Accuracy(options.by, options.choice, k, right[k], len(rows)) for k in counts]


def _some(rows: list[Example], source: str) -> list[Example]:
    if not rows:
        raise ExamplePoolError(f"{source} has no row with an input and an output.", "Give a test split with both.")
    return rows


def _print_leaks(leaks: Sequence[Leak]) -> None:
    if not leaks:
        out.print("No test row stands in the pool.")
        return
    out.print(f"[yellow]Leakage:[/] {len(leaks):,} test rows stand in the pool, or nearly; the likest, by cosine:")
    for leak in sorted(leaks, key=lambda one: -one.cosine)[:_LEAKS_SHOWN]:
        line = f"  {leak.cosine:.3f}  {one_line(leak.example.input, 80)!r} is {one_line(leak.found.input, 80)!r}"
        out.print(line, style="yellow", markup=False)
    if len(leaks) > _LEAKS_SHOWN:
        out.print(f"  … and {len(leaks) - _LEAKS_SHOWN} more; see them all with --json")


def _print_table(found: Sequence[Accuracy], counts: Sequence[int]) -> None:
    from rich.table import Table

    table = Table("by", "choice", *(f"k={k}" for k in counts), box=None, header_style="bold")
    for first in range(0, len(found), len(counts)):
        own = found[first : first + len(counts)]
        table.add_row(own[0].by, own[0].choice, *(f"{a.share:.3f} ± {a.error:.3f}" for a in own))
    out.print(table)
