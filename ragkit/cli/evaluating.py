"""``ragkit examples evaluate``: how often the selected examples predict the correct output of a test split."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli.options import Json
from ragkit.cli.output import one_line, out, print_json, progress_bar
from ragkit.cli.pools import InputField, OutputField, PoolName, opened_pool, print_leaks, read_test
from ragkit.cli.tasks import opened_model
from ragkit.errors import ExamplePoolError

if TYPE_CHECKING:
    from ragkit._progress import ProgressCallback
    from ragkit.examples import ExamplePool, SelectorOptions
    from ragkit.models import ChatModel
    from ragkit.records import Example

_BY = ("dense", "keyword", "hybrid", "jaccard", "ngram", "random")
_K = (1, 4, 8, 16)


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Accuracy of one selector with one number of examples."""

    by: str
    choice: str
    k: int
    right: int
    tested: int

    @property
    def share(self) -> float:
        """Fraction of the test rows with the correct output."""
        return self.right / self.tested

    @property
    def error(self) -> float:
        """Standard error of the fraction."""
        return math.sqrt(self.share * (1 - self.share) / self.tested)

    def to_dict(self) -> dict[str, str | int | float]:
        """Return the fields as printed with ``--json``."""
        return {"by": self.by, "choice": self.choice, "k": self.k, "accuracy": self.share, "error": self.error}


def register(app: typer.Typer) -> None:
    """Add the command to ``ragkit examples``."""
    app.command()(evaluate)


def evaluate(
    pool: PoolName,
    test: Annotated[
        Path,
        typer.Argument(metavar="TEST", help="CSV, TSV or JSON Lines, with the correct outputs.", show_default=False),
    ],
    input_field: InputField = "input",
    output_field: OutputField = "output",
    by: Annotated[
        list[str] | None,
        typer.Option(help=f"Similarity: {', '.join(_BY)}. Can be repeated.", show_default="all; with --model dense"),
    ] = None,
    choice: Annotated[
        list[str] | None,
        typer.Option(
            help="Subset selection: best, mmr, dpp, coverage, keyword_coverage, balanced. Can be repeated.",
            show_default="best",
        ),
    ] = None,
    k: Annotated[
        list[int] | None,
        typer.Option("-k", min=1, help="Number of examples. Can be repeated.", show_default="1 4 8 16; with --model 8"),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Also measure this model, with the examples in its prompt."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Maximum number of test rows, sampled at random.")] = None,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    skip_leaks: Annotated[
        bool,
        typer.Option("--skip-leaks", help="Skip test rows that duplicate or nearly duplicate an example of the pool."),
    ] = False,
    json: Json = False,
) -> None:
    """Measure selectors on a test split: how often a vote of the selected examples gives the correct output.

    Lists first the test rows that duplicate or nearly duplicate an example of the pool. No model is called without
    --model.

        ragkit examples evaluate intents test.csv --input-field text --output-field category --limit 500
    """
    from ragkit.examples import SelectorOptions, find_leaks
    from ragkit.settings import load_settings
    from ragkit.tasks.base import as_model

    # Invalid options are reported before any file is read.
    ways = [
        SelectorOptions(by=one, choice=set_choice, order="best_first", seed=seed)  # type: ignore[arg-type]
        for set_choice in choice or ("best",)
        for one in by or (_BY if model is None else _BY[:1])
    ]
    counts = sorted(set(k or (_K if model is None else (8,))))
    settings = load_settings()
    rows = read_test(test, input_field, output_field)
    total = len(rows)
    if limit is not None and limit < total:
        rows = random.Random(seed).sample(rows, limit)  # noqa: S311
    with opened_pool(pool, settings) as opened:
        if not len(opened):
            raise ExamplePoolError(
                f"The pool {pool} is empty.", f"Add examples: ragkit examples add FILE --pool {pool}"
            )
        leaks = find_leaks(opened, rows)
        if not json:
            out.print(f"{len(rows):,} of {total:,} test rows against {len(opened):,} examples.")
            print_leaks(leaks, len(rows))
        if skip_leaks:
            leaked = {id(leak.example) for leak in leaks}
            rows = [row for row in rows if id(row) not in leaked]
            if not rows:
                raise ExamplePoolError(f"Every row of {test} is in the pool.", "Use another test split.")
        unknown = sorted({row.output for row in rows} - set(opened.labels()))
        asked: list[Accuracy] = []
        with progress_bar(quiet=json) as progress:
            votes = [accuracy for way in ways for accuracy in _votes(opened, way, rows, counts, progress)]
            if model is not None:
                asked = _model_accuracies(opened, ways, rows, counts, as_model(opened_model(model, settings)), progress)
    if json:
        told = {"pool": pool, "test": test, "rows": len(rows), "of": total, "seed": seed, "leaks": leaks}
        print_json({**told, "unknown_outputs": unknown, "votes": votes, "model": model, "asked": asked})
        return
    if unknown:
        shown = one_line(", ".join(unknown), 200)
        out.print(f"{len(unknown)} outputs of the test rows are not in the pool: {shown}", style="yellow", markup=False)
    _print_table("Vote of the examples", votes, counts)
    if model is not None:
        _print_table(f"{model} with the examples in its prompt", asked, counts)


def vote(outputs: Sequence[str]) -> str:
    """Return the most frequent output; a tie goes to the first one, which belongs to the nearest example."""
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


def _model_accuracies(
    pool: ExamplePool,
    ways: Sequence[SelectorOptions],
    rows: Sequence[Example],
    counts: Sequence[int],
    model: ChatModel,
    progress: ProgressCallback | None,
) -> list[Accuracy]:
    """Return how often the model alone chooses the correct output among all."""
    from ragkit.tasks import Classifier, ClassifierOptions, ShotSetting
    from ragkit.tasks.votes import Weights

    found = []
    for way in ways:
        for k in counts:
            setting = ShotSetting(replace(way, order="best_last"), k)
            options = ClassifierOptions(
                setting=setting, candidates=0, llm_mode="all", weights=Weights(model=1, prior=0)
            )
            classifier = Classifier(pool.index.path, pool, options, model)
            measured = classifier.evaluate(rows, progress=_staged(f"{way.by}, {way.choice}, k={k}", progress))
            found.append(Accuracy(way.by, way.choice, k, measured.count - len(measured.wrong), measured.count))
    return found


def _staged(stage: str, progress: ProgressCallback | None) -> ProgressCallback | None:
    """Return a callback that shows a separate bar for each selector."""
    return None if progress is None else lambda told: progress(replace(told, stage=stage))


def _print_table(title: str, found: Sequence[Accuracy], counts: Sequence[int]) -> None:
    from rich.table import Table

    table = Table("by", "choice", *(f"k={k}" for k in counts), box=None, header_style="bold")
    for first in range(0, len(found), len(counts)):
        own = found[first : first + len(counts)]
        table.add_row(own[0].by, own[0].choice, *(f"{a.share:.3f} ± {a.error:.3f}" for a in own))
    out.print(f"\n{title}:", markup=False)
    out.print(table)
    best = max(found, key=lambda accuracy: (accuracy.right, -accuracy.k))
    out.print(f"Best: {best.by}, {best.choice}, k={best.k}: {best.share:.3f} ± {best.error:.3f}", markup=False)
