"""``ragkit data quality``: a classifier that separates good text from navigation, boilerplate and garbled text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragkit.cli.options import Json
from ragkit.cli.output import err, one_line, out, print_json
from ragkit.cli.tasks import Seed

if TYPE_CHECKING:
    from ragkit.records import Document

HELP = """Fit and apply a classifier for good text.

    ragkit data quality fit ./good -o quality.json

    ragkit data quality apply ./docs --filter quality.json
"""
SHOWN = 10
Paths = Annotated[
    list[Path],
    typer.Argument(
        metavar="PATH...",
        help="Documents or folders, or files of rows (.jsonl), whose answers are read.",
        show_default=False,
    ),
]


def register(data: typer.Typer) -> None:
    """Add the commands to the group ``data``."""
    quality = typer.Typer(help=HELP, no_args_is_help=True)
    quality.command()(fit)
    quality.command()(apply)
    data.add_typer(quality, name="quality")


def fit(
    good: Paths,
    output: Annotated[Path, typer.Option("-o", "--output", help="File for the filter (JSON).")] = Path("quality.json"),
    bad: Annotated[
        list[Path] | None,
        typer.Option(help="Examples of bad text; can be repeated. By default bad text is made from the good one."),
    ] = None,
    precision: Annotated[
        float, typer.Option(min=0.01, max=0.99, help="Target share of good texts among the kept ones.")
    ] = 0.95,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Fit a filter on good text, and on bad text if there is any.

    Without examples of bad text, five kinds are made from the good text: navigation, OCR noise, shuffled words, tables
    of numbers, and boilerplate. Documents are read in parts of about 600 characters.
    """
    from ragkit.datagen.quality import fit_quality
    from ragkit.embedding import open_embedder

    texts = [text for _, text in _parts(good)]
    worse = None if not bad else [text for _, text in _parts(bad)]
    found = fit_quality(texts, open_embedder(), worse, precision, seed)
    found.save(output)
    card = found.card
    if json:
        print_json({"file": output, "threshold": found.threshold, **asdict(card)})
        return
    made = "made from it" if card.taught_by == "planted" else "given"
    out.print(f"Fitted on {card.good:,} good texts and {card.bad:,} bad ones, {made}.")
    rates = f"{card.kept:.1%} of the good ones are kept, and {card.precision:.1%} of the kept ones are good"
    out.print(f"On held-out texts: AUROC {card.auroc:.3f}; {rates}.")
    out.print(f"Written to {output}.", markup=False)


def apply(
    paths: Paths,
    filter_: Annotated[Path, typer.Option("--filter", help="File of the filter.")] = Path("quality.json"),
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="File for the kept rows or texts (JSON Lines). Nothing is written without it."
        ),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Minimum score; by default that of the filter.")
    ] = None,
    json: Json = False,
) -> None:
    """Score documents or rows, and keep the good ones; usable before documents are indexed.

    A document's score is the mean of its parts, weighted by their length. Rejected ones are written to
    OUTPUT.removed.jsonl with their scores.
    """
    from ragkit.datagen.inputs import write_json_lines
    from ragkit.datagen.quality import QualityFilter
    from ragkit.embedding import open_embedder

    found = QualityFilter.load(filter_)
    least = found.threshold if threshold is None else threshold
    entries = list(_entries(paths))
    embedder = open_embedder()
    rows: list[dict[str, Any]] = []
    for name, data, parts in entries:
        scores = found.scores(parts, embedder)
        weights = [len(part) for part in parts]
        score = sum(s * w for s, w in zip(scores, weights, strict=True)) / max(sum(weights), 1)
        rows.append({"name": name, "score": round(float(score), 4), "kept": bool(score >= least), "data": data})
    if output is not None:
        write_json_lines(output, [row["data"] for row in rows if row["kept"]])
        rejected = output.with_name(f"{output.name.removesuffix('.jsonl')}.removed.jsonl")
        write_json_lines(rejected, [row for row in rows if not row["kept"]])
    kept = sum(row["kept"] for row in rows)
    if json:
        print_json(
            {"threshold": least, "kept": kept, "rows": [{k: row[k] for k in ("name", "score", "kept")} for row in rows]}
        )
        return
    for row in sorted(rows, key=lambda row: row["score"])[:SHOWN]:
        out.print(
            f"{row['score']:.3f} {'kept' if row['kept'] else 'rejected'}: {one_line(str(row['name']), 120)}",
            markup=False,
        )
    if len(rows) > SHOWN:
        out.print(f"The {SHOWN} lowest of {len(rows):,}; use --json to list all", style="dim")
    out.print(f"{kept:,} of {len(rows):,} kept at a threshold of {least:.3f}.")
    if output is None:
        out.print("Nothing was written; for the kept ones: -o FILE", style="dim")


def _entries(paths: Sequence[Path]) -> Iterator[tuple[str, dict[str, object], list[str]]]:
    """Yield a name, the data to write, and the parts to score, for each row or document."""
    from ragkit.datagen.inputs import read_pairs
    from ragkit.datagen.quality import text_parts

    for path in paths:
        if path.suffix.lower() in (".jsonl", ".ndjson"):
            for number, one in enumerate(read_pairs(path), 1):
                yield f"{path.name}, row {number}: {one.question}", dict(one.data), [one.answer or one.question]
        else:
            for document in _documents(path):
                yield document.source, {"source": document.source, "text": document.text}, text_parts(document.text)


def _parts(paths: Sequence[Path]) -> Iterator[tuple[str, str]]:
    for name, _, parts in _entries(paths):
        yield from ((name, part) for part in parts)


def _documents(path: Path) -> Iterator[Document]:
    from ragkit.documents import discover, load
    from ragkit.records import Document

    for file in discover([path]):
        for one in load(file.path):
            if isinstance(one, Document):
                yield one
            else:
                err.print(f"{file.path} was not read: {one.detail}", style="yellow", markup=False)
