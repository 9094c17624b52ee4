"""When to fall back, on Banking77: dynamic examples and SmolLM2 first, a tuned head second.

Run: python benchmarks/routing.py --task FOLDER [--no-probe] [--layers N] [--rows N] [--limit N] [--work FOLDER]

Primary: ragkit's Classifier as ``benchmarks/banking77.py --part full --work WORK`` fits it (its folder is WORK/full);
with ``--no-probe`` without the linear probe that it has beside the examples, which is a small head by itself.
Fallback: ``HeadClassifier``, with ``--layers`` upper layers of the embedder tuned. The router learns from ``--rows``
training rows that neither has learned from: the head of those rows is fitted on the others, and the primary is asked
with the row itself hidden and a probe that was fitted without it. On the test split the primary and a head of all
training rows answer; the router has never seen these.
What each says is kept in the work folder as it is said, so that a broken run goes on where it was; the costs are the
seconds that were measured meanwhile.

Two ways are shown: the fallback's answer alone counts once it is asked, or both are weighed, by a weight that is found
on the router's rows. Random deferral, the margin alone, and either way without a router stand beside them.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import DATA, versions
from ragkit.examples import Shot, read_examples
from ragkit.models import open_model
from ragkit.records import Example
from ragkit.routing import Router, RouteReport, RouteRow, route_report, route_rows
from ragkit.routing.plot import plot
from ragkit.routing.report import deferred_at
from ragkit.routing.rows import Outcomes
from ragkit.tasks import Classifier, Prediction
from ragkit.tasks.probe import LinearProbe
from ragkit.tuning.comparison import gain
from ragkit.tuning.embedders.training import EmbedderOptions
from ragkit.tuning.heads.classifier import HeadClassifier
from ragkit.tuning.heads.fit import HeadOptions

FOLDS = 5
RATE = 0.3
AT_ONCE = 20


def main() -> None:
    """Print the tables."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--task", type=Path, required=True, help="the primary's folder")
    arguments.add_argument("--model", default="smollm2")
    arguments.add_argument("--threads", type=int, default=0, help="of the model; 0 for all cores")
    arguments.add_argument("--no-probe", action="store_true", help="the primary has examples and model only")
    arguments.add_argument("--layers", type=int, default=3, help="of the embedder that learn for the head")
    arguments.add_argument("--epochs", type=int, default=3, help="of the head's embedder")
    arguments.add_argument("--rows", type=int, default=1500, help="training rows for the router")
    arguments.add_argument("--limit", type=int, default=0, help="so many test queries only; 0 for all 3,080")
    arguments.add_argument("--seconds", type=int, default=0, help="end asking after so many, and use what there is")
    arguments.add_argument("--work", type=Path, help="keep heads and what was said here")
    arguments.add_argument("--plot", type=Path, help="draw the second way: .png or .html")
    given = arguments.parse_args()
    folder = DATA / "banking77"
    if not folder.is_dir():
        sys.exit(f"skipped: {folder} is missing (Banking77, PolyAI-LDN/task-specific-datasets)")
    train = read_examples(folder / "train.csv", "text", "category")
    test = read_examples(folder / "test.csv", "text", "category")
    random.Random(1).shuffle(train)
    random.Random(0).shuffle(test)
    own, test = train[: given.rows], test[: given.limit or len(test)]
    work = given.work or Path(tempfile.mkdtemp())
    work.mkdir(parents=True, exist_ok=True)
    print(f"{versions('ragkit', 'llama-cpp-python', 'torch', 'scikit-learn')}\n")
    ask(given, train, own, test, work)
    first = {name: said(work / f"primary-{name}.jsonl", rows) for name, rows in (("rows", own), ("test", test))}
    tuning = EmbedderOptions(epochs=given.epochs, layers=given.layers, seconds=3600 if given.layers > 3 else 60)
    options = HeadOptions(tuning=tuning)
    heads = {
        "rows": head(work / "head-of-others", train[given.rows :], options),
        "test": head(work / "head", train, options),
    }
    tables(first, heads, given.plot)


def ask(given: argparse.Namespace, train: list[Example], own: list[Example], test: list[Example], work: Path) -> None:
    """Ask the primary about what is not in the files yet: a part of the rows, a part of the tests, and so on."""
    files = work / "primary-rows.jsonl", work / "primary-test.jsonl"
    left = [without(rows, file) for rows, file in zip((own, test), files, strict=True)]
    if not any(left):
        return
    end = time.monotonic() + (given.seconds or float("inf"))
    with Classifier.open(given.task, model=open_model(given.model, threads=given.threads)) as primary:
        if given.no_probe:
            weights = replace(primary.options.weights, neighbours=1.0, probe=0.0)
            primary.options, primary.probe = replace(primary.options, weights=weights), None
        vectors = primary.pool.index.embedder.embed([example.input for example in train], "document")
        labels = [primary.options.labels.index(example.output) for example in train]
        known = {example.input: number for number, example in enumerate(own)}
        for fold in range(FOLDS):
            kept = [n for n in range(len(train)) if n >= len(own) or n * FOLDS // len(own) != fold]
            some = [example for example in left[0] if known[example.input] * FOLDS // len(own) == fold]
            if some:
                classes = len(primary.options.labels)
                probe = None if given.no_probe else LinearProbe.fit(vectors[kept], [labels[n] for n in kept], classes)
                apart = Classifier(primary.path, primary.pool, primary.options, primary.reader.model, probe=probe)
                log(apart, some, files[0], end)
            log(primary, left[1][fold::FOLDS], files[1], end)


def log(primary: Classifier, rows: Sequence[Example], file: Path, end: float) -> None:
    with file.open("a", encoding="utf-8") as out:
        for start in range(0, len(rows), AT_ONCE):
            if time.monotonic() > end:
                return
            batch = rows[start : start + AT_ONCE]
            begun = time.perf_counter()
            found = primary.predict([example.input for example in batch], exclude_self=True)
            seconds = (time.perf_counter() - begun) / len(batch)
            for example, one in zip(batch, found, strict=True):
                shots = [[shot.example.output, round(shot.score, 5)] for shot in one.shots]
                shares = {label: round(share, 7) for label, share in one.probabilities.items()}
                line = {"input": example.input, "used_llm": one.used_llm, "probabilities": shares, "shots": shots}
                out.write(json.dumps({**line, "seconds": seconds}) + "\n")
            out.flush()
            print(f"\r{file.stem}: {start + len(batch)}/{len(rows)}  ", end="", file=sys.stderr, flush=True)


def without(rows: Sequence[Example], file: Path) -> list[Example]:
    done = {json.loads(line)["input"] for line in file.read_text().splitlines()} if file.exists() else set()
    return [row for row in rows if row.input not in done]


def said(file: Path, rows: Sequence[Example]) -> list[tuple[Example, Prediction, float]]:
    """Return what the primary said of rows, and the seconds it took, where it was asked."""
    lines = map(json.loads, file.read_text().splitlines()) if file.exists() else ()
    found = {line["input"]: line for line in lines}
    some = []
    for row in rows:
        if row.input in found:
            line = found[row.input]
            shares = line["probabilities"]
            label = max(shares, key=shares.__getitem__)
            shots = tuple(Shot(Example("", output), score, "") for output, score in line["shots"])
            some.append(
                (row, Prediction(label, shares[label], shares, line["used_llm"], shots), line.get("seconds", 0.0))
            )
    return some


def head(folder: Path, examples: list[Example], options: HeadOptions) -> HeadClassifier:
    if (folder / "task.json").exists():
        return HeadClassifier.open(folder)
    made = HeadClassifier.fit(folder, examples, options=options)
    assert made.report is not None
    print(f"{folder.name}: {made.report.why} Seconds: { {k: round(v) for k, v in made.report.seconds.items()} }")
    return made


def tables(first: dict, heads: dict[str, HeadClassifier], file: Path | None) -> None:
    answers, costs = {}, {}
    for name, found in first.items():
        begun = time.perf_counter()
        answers[name] = heads[name].predict([row.input for row, _, _ in found])
        costs[name] = (time.perf_counter() - begun) / len(found), float(np.mean([seconds for _, _, seconds in found]))
    print(f"{len(first['rows']):,} rows for the router, {len(first['test']):,} test queries.\n")
    for name, blend in (("the fallback alone answers once it is asked", 0.0), ("both are weighed", None)):
        rows, weight = rows_of(first["rows"], answers["rows"], costs["rows"], blend)
        tests, _ = rows_of(first["test"], answers["test"], costs["test"], weight)
        router = Router.fit(rows, rate=RATE, blend=weight)
        print(f"**{name}** (weight of the primary {weight:g})\n")
        report = route_report(router, tests)
        table(report)
        compare(router, tests, rows_of(first["test"], answers["test"], costs["test"], 0.0)[0])
        if file is not None and blend is None:
            plot(report, file)


def rows_of(
    found: list[tuple[Example, Prediction, float]],
    answers: list[Prediction],
    costs: tuple[float, float],
    blend: float | None,
) -> tuple[list[RouteRow], float]:
    first = [one for _, one, _ in found]
    examples = [row for row, _, _ in found]
    return route_rows(first, answers, examples, blend=blend, fallback_cost=costs[0], primary_cost=costs[1])


def table(report: RouteReport) -> None:
    rates = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0)
    print("| accuracy at a deferral of | " + " | ".join(f"{rate:.0%}" for rate in rates) + " |")
    print("|" + "---|" * (len(rates) + 1))
    for curve in report.curves:
        print(f"| {curve.name} | " + " | ".join(f"{report.at(curve.name, rate):.4f}" for rate in rates) + " |")
    primary, fallback = report.primary, report.fallback
    print(
        f"\nAlways the primary {primary.accuracy:.4f} ({primary.cost:.3f} s), always the fallback "
        f"{fallback.accuracy:.4f} ({fallback.cost:.3f} s); by the threshold that was chosen beforehand "
        f"{report.accuracy:.4f} at {report.rate:.1%} ({report.cost:.3f} s), at least {report.lower:.4f} (95 %).\n"
    )


def compare(router: Router, rows: Sequence[RouteRow], alone: Sequence[RouteRow]) -> None:
    """Print what the router gains at the rate, with intervals of a paired bootstrap; ``alone`` are unweighed rows."""
    outcomes = Outcomes.of(rows)
    right = outcomes.right(deferred_at(router.scores([row.signals for row in rows]), RATE)).astype(float)
    primary, fallback = outcomes.primary.astype(float), outcomes.fallback.astype(float)
    chance = (1 - RATE) * primary + RATE * fallback
    head_alone = Outcomes.of(alone).fallback.astype(float)
    for name, other in (
        ("the primary alone", primary),
        ("the head alone", head_alone),
        ("always asking both", fallback),
        ("random deferral", chance),
    ):
        print(f"- at {RATE:.0%}, over {name}: {gain(list(other), list(right))}")
    print()


if __name__ == "__main__":
    main()
