"""Banking77 by transfer learning: a head on the frozen embedder, and with the embedder fine-tuned, without a model.

Run: python benchmarks/head.py [--seconds N] [--epochs N] [--layers N] [--rate R] [--limit N] [--work FOLDER]

The head is fitted on the training rows alone, of which a part is held out to choose and to compare; the test split is
looked at once, in the end. Beside it what is known without a model: logistic regression on the vectors with the usual
settings. Seconds are of everything from the examples in memory to the head on disk, on all cores that the process may
use; the first run of all also exports the frozen embedder. Rows are not kept out of the training because a test query
is like them (``evaluation=`` would do that), as the data set was published with them and other figures have them too.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import DATA, versions
from ragkit._progress import Progress
from ragkit.embedding import open_embedder
from ragkit.examples import read_examples
from ragkit.records import Example
from ragkit.tuning.embedders.training import EmbedderOptions
from ragkit.tuning.heads.classifier import HeadClassifier
from ragkit.tuning.heads.fit import HeadOptions


def main() -> None:
    """Print the table."""
    usual = EmbedderOptions()
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=float, default=usual.seconds, help="of training, at most")
    arguments.add_argument("--epochs", type=int, default=usual.epochs)
    arguments.add_argument("--layers", type=int, default=usual.layers)
    arguments.add_argument("--rate", type=float, default=usual.learning_rate)
    arguments.add_argument("--limit", type=int, default=0, help="so many training rows only; 0 for all 10,003")
    arguments.add_argument("--work", type=Path, help="keep the heads here")
    given = arguments.parse_args()
    folder = DATA / "banking77"
    if not folder.is_dir():
        sys.exit(f"skipped: {folder} is missing (Banking77, PolyAI-LDN/task-specific-datasets)")
    train = read_examples(folder / "train.csv", "text", "category")
    test = read_examples(folder / "test.csv", "text", "category")
    random.Random(0).shuffle(train)
    train = train[: given.limit] if given.limit else train
    work = given.work or Path(tempfile.mkdtemp())
    tuning = replace(usual, seconds=given.seconds, epochs=given.epochs, layers=given.layers, learning_rate=given.rate)
    print(f"{len(train):,} training rows, {len(test):,} test queries; {tuning}")
    print(f"{versions('ragkit', 'torch', 'transformers', 'scikit-learn', 'onnxruntime')}\n")
    rows = [("logistic regression, C=10", *regression(train, test), "")]
    for name, options in (
        ("head, frozen embedder", HeadOptions(tune=False)),
        ("head, tuned where that gains", HeadOptions(tuning=tuning)),
    ):
        begun = time.perf_counter()
        made = HeadClassifier.fit(work / name.replace(" ", "-"), train, options=options, progress=show)
        seconds = time.perf_counter() - begun
        print(file=sys.stderr)
        rows.append((name, made.accuracy(test), seconds, told(made)))
    print("| way | accuracy | 95 % interval | seconds to fit | |\n|---|---|---|---|---|")
    for name, accuracy, seconds, words in rows:
        low, high = interval(accuracy, len(test))
        print(f"| {name} | {accuracy:.4f} | {low:.4f}–{high:.4f} | {seconds:.1f} | {words} |")


def regression(train: list[Example], test: list[Example]) -> tuple[float, float]:
    """Return the accuracy of logistic regression on the frozen vectors, and the seconds to fit it."""
    begun = time.perf_counter()
    embedder = open_embedder()
    vectors = embedder.embed([example.input for example in train], "query")
    fitted = LogisticRegression(C=10, max_iter=500).fit(vectors, [example.output for example in train])
    seconds = time.perf_counter() - begun
    found = fitted.predict(embedder.embed([example.input for example in test], "query"))
    return float(np.mean(found == np.array([example.output for example in test]))), seconds


def interval(accuracy: float, count: int) -> tuple[float, float]:
    """Return the Wilson interval of a share."""
    z = 1.96
    middle = (accuracy + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * (accuracy * (1 - accuracy) / count + z * z / (4 * count**2)) ** 0.5
    return middle - half, middle + half


def told(made: HeadClassifier) -> str:
    report = made.report
    assert report is not None
    took = ", ".join(f"{stage} {seconds:.0f} s" for stage, seconds in report.seconds.items())
    training = report.training
    steps = "" if training is None else f"; {training.done} of {training.steps} steps"
    tuned = "" if report.tuned is None else f", tuned {report.tuned:.4f}: {report.tuning_gain.summary()}"
    return f"kept: {report.kept}; held out ({report.held_out}): frozen {report.frozen:.4f}{tuned}; {took}{steps}"


def show(progress: Progress) -> None:
    if progress.done % 10 == 0 or progress.done == progress.total:
        print(f"\r{progress.stage}: {progress.done}/{progress.total}  ", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
