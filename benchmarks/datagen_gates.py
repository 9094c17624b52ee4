"""Gates for generated rows on planted corruptions of human question-answer pairs, beside a model as a judge.

    python benchmarks/datagen_gates.py [--model smollm2] [--limit 500] [--train 100] [--judged 100] [--save FILE]

XQuAD-en's pairs of the even articles, and one corruption of each, fit the weights of the gates. Pairs of the odd
articles, each with one corruption of every kind, test them. The judge is the same model, asked for a rating from 1 to
10 of question and answer, with and without the passage; it rates the first ``--judged`` pairs of the test. Its rating
is the expected value over the log-probabilities of the ten numbers, which is finer than the number that it writes.
The figure is the AUROC: how often a human pair scores higher than a corruption, ties counting half.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.common import Question, half, versions, xquad
from ragkit import Document, Index
from ragkit.datagen import DataRow, TextSpan
from ragkit.datagen.gates import Corruption, calibrate, measure, passage_of, plant, standard_gates
from ragkit.datagen.gates.corruptions import KINDS
from ragkit.models import open_model
from ragkit.models.base import ScoringModel
from ragkit.records import Message

_RATE = (
    "Rate the question and answer pair from 1 to 10 for accuracy, relevance, clarity and usefulness as training data.\n"
    "{source}Question: {question}\nAnswer: {answer}\n\nReply with the rating only."
)
RATINGS = [str(number) for number in range(1, 11)]


def row_of(question: Question, document: Document) -> DataRow | None:
    """Return a human pair as a row; None if the answer is not in the paragraph."""
    answer = question.answers[0]
    start = document.text.find(answer)
    if start < 0:
        return None
    span = TextSpan.of(document, start, start + len(answer))
    passage = TextSpan.of(document, 0, len(document.text))
    return DataRow("qa", (Message("user", question.text),), answer, span, (passage,))


def rating(model: ScoringModel, row: DataRow, *, source: bool) -> float:
    """Return the rating that the model gives on average."""
    shown = f"Source: {passage_of(row)}\n" if source else ""
    prompt = _RATE.format(source=shown, question=row.question, answer=row.answer)
    logprobs = np.array([sum(tokens) for tokens in model.score([Message("user", prompt)], RATINGS, whole=True)])
    shares = np.exp(logprobs - logprobs.max())
    return float((shares * np.arange(1, 11)).sum() / shares.sum())


def report(name: str, good: Sequence[float], bad: Sequence[float], planted: Sequence[Corruption]) -> str:
    """Return a line of the table: AUROC by kind, and their mean with its 95 % interval over pairs."""
    ids = [one.original.id for one in planted]
    kinds = [one.kind for one in planted]
    by_id: dict[str, list[int]] = {}
    for number, identity in enumerate(ids):
        by_id.setdefault(identity, []).append(number)
    order = list(dict.fromkeys(ids))

    def by_kind(chosen: Sequence[int]) -> list[float]:
        right = [good[at] for at in chosen]
        wrong = {kind: [bad[n] for at in chosen for n in by_id[order[at]] if kinds[n] == kind] for kind in KINDS}
        return [
            float(roc_auc_score([1] * len(right) + [0] * len(values), [*right, *values]))
            for values in wrong.values()
            if values
        ]

    everything = by_kind(range(len(order)))
    rng = np.random.default_rng(0)
    means = [np.mean(by_kind(rng.integers(0, len(order), len(order)).tolist())) for _ in range(500)]
    low, high = np.percentile(means, [2.5, 97.5])
    cells = " | ".join(f"{value:.3f}" for value in everything)
    return f"| {name} | {cells} | {np.mean(everything):.3f} ({low:.3f} to {high:.3f}) |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--limit", type=int, default=500, help="pairs of the test")
    parser.add_argument("--train", type=int, default=100, help="pairs that fit the weights")
    parser.add_argument("--judged", type=int, default=100, help="pairs of the test that the judge rates")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--save", type=Path, help="file for the measured scores")
    given = parser.parse_args()
    documents, questions = xquad()
    by_id = {document.id: document for document in documents}
    rows: dict[str, list[DataRow]] = {}
    for name in ("dev", "test"):
        made = [row_of(question, by_id[question.document]) for question in half(questions, name)]
        rows[name] = [row for row in made if row is not None]
        random.Random(0).shuffle(rows[name])
    model = open_model(given.model, threads=given.threads)
    assert isinstance(model, ScoringModel), "the judge needs log-probabilities"
    test = rows["test"][: given.limit]
    # Questions are paired with passages of all articles of the test.
    planted = [one for one in plant(rows["test"]) if one.original in test] if given.limit < 50 else plant(test)
    test = [row for row in test if any(one.original == row for one in planted)]
    bad = [one.row for one in planted]
    print(f"{versions('ragkit', 'llama-cpp-python')}\n{given.model}: {len(test)} pairs, {len(bad)} corruptions\n")
    print(f"| | {' | '.join(KINDS)} | mean |\n|---|{'---|' * len(KINDS)}---|")
    with tempfile.TemporaryDirectory() as folder, Index.create(Path(folder) / "xquad") as index:
        index.add(*documents)
        measured: dict[str, object] = {}
        for name, used in (("gates without a model", None), (f"gates with {given.model}", model)):
            gates = standard_gates(index, used)
            started = time.perf_counter()
            calibration = calibrate(gates, rows["dev"], max_rows=given.train)
            table = measure(gates[:-1], [*test, *bad])  # the last gate looks for duplicates
            scores = [calibration.probability(one) for one in table]
            print(report(name, scores[: len(test)], scores[len(test) :], planted))
            measured[name] = {"calibration": calibration.to_dict(), "scores": table}
            kept = np.array(scores) >= calibration.threshold
            print(
                f"  threshold for precision .95: keeps {kept[: len(test)].mean():.2f} of the pairs, "
                f"{kept[len(test) :].mean():.2f} of the corruptions; {time.perf_counter() - started:.0f} s",
                file=sys.stderr,
            )
        judged = test[: given.judged]
        ids = {row.id for row in judged}
        some = [one for one in planted if one.original.id in ids]
        for name, source in (("judge without the passage", False), ("judge with the passage", True)):
            values = [rating(model, row, source=source) for row in (*judged, *(one.row for one in some))]
            print(report(f"{name} ({len(judged)} pairs)", values[: len(judged)], values[len(judged) :], some))
        if given.save:
            measured["kinds"] = [one.kind for one in planted]
            given.save.write_text(json.dumps(measured), encoding="utf-8")


if __name__ == "__main__":
    main()
