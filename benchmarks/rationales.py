"""Rationales as a second task: SmolLM2 tuned on answers, on answers and supporting sentences, and on both in one reply.

    python benchmarks/rationales.py --work FOLDER [--rows 100 300 900] [--limit 282] [--minutes 20]

XQuAD-en's human questions; every fourth article is for the test. All arms have the same rows, passages and number of
epochs; the prompt is the ``extract`` reader's with the right passage, and the reply is written freely. ``answers`` has
one task, ``tasks`` has two with equal weight and is asked for the answer only, ``before answer`` has to write the
sentence first. Exact quotes are the supporting sentences that the tuned models copy without a change; ``answers`` and
``before answer`` are not asked for them. An interrupted run continues.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks.common import f1, versions, xquad
from benchmarks.datagen_gates import row_of
from ragkit.datagen import DataRow
from ragkit.datagen.gates import passage_of
from ragkit.datagen.rationales import rationale_rows
from ragkit.models import GenerationOptions, complete
from ragkit.models.adapters import tuned_model
from ragkit.models.base import ChatModel
from ragkit.tuning import SftOptions, tune_sft
from ragkit.tuning.comparison import estimate
from ragkit.tuning.data import TuningRecord

ARMS = ("answers", "tasks", "before answer")


def rows_of(arm: str, rows: Sequence[DataRow]) -> list[DataRow]:
    """Return the training rows of an arm."""
    made = rationale_rows(rows, "before answer" if arm == "before answer" else "tasks")
    return [replace(row, weight=1.0) for row in made if row.kind == "qa"] if arm == "answers" else made


def asked(model: ChatModel, row: DataRow) -> str:
    """Return the model's reply to a row's prompt."""
    return complete(model, row.messages, GenerationOptions(120)).text.strip()


def main() -> None:
    """Tune, ask, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of the adapters")
    parser.add_argument("--rows", type=int, nargs="+", default=[100, 300, 900], help="human questions to train on")
    parser.add_argument("--limit", type=int, default=282, help="questions of the test")
    parser.add_argument("--epochs", type=float, default=5.0)
    parser.add_argument("--minutes", type=float, help="maximum training time of each model")
    parser.add_argument("--threads", type=int, default=0)
    given = parser.parse_args()
    documents, questions = xquad()
    by_id = {document.id: document for document in documents}
    train: list[DataRow] = []
    test: list[DataRow] = []
    for question in questions:
        row = row_of(question, by_id[question.document])
        if row is not None:
            (test if question.article % 4 == 3 else train).append(row)
    random.Random(0).shuffle(train)
    random.Random(0).shuffle(test)
    test = test[: given.limit]
    keys = {row.id: row.question for row in (*train, *test)}
    print(f"{versions('ragkit', 'torch', 'transformers', 'peft')}; {len(test)} test questions\n")
    print("| rows | arm | F1 | gain over answers alone | exact quotes |\n|---|---|---|---|---|")
    for count in given.rows:
        baseline: list[float] = []
        for arm in ARMS:
            made = rows_of(arm, train[:count])
            records = [TuningRecord(row.messages, row.answer, keys[row.parents[0]], row.weight) for row in made]
            held = rows_of(arm, test)
            # What tune_sft measures decides nothing here; the table has the figures.
            held_out = [TuningRecord(row.messages, row.answer, keys[row.parents[0]]) for row in held]
            options = SftOptions(epochs=given.epochs, minutes=given.minutes, max_eval_samples=1, threads=given.threads)
            name = f"{arm.replace(' ', '-')}-{count}"
            report = tune_sft(name, records, held_out, options, folder=given.work)
            model = tuned_model(str(report.version.folder), threads=given.threads)
            prompts = held if arm == "before answer" else [row for row in held if row.kind == "qa"]
            replies = [asked(model, row).rpartition("Answer:")[2] for row in prompts]
            gold = {row.id: row.answer for row in test}
            scores = [f1(reply, [gold[row.parents[0]]]) for reply, row in zip(replies, prompts, strict=True)]
            quotes = [
                float((said := asked(model, row)) in passage_of(row) and gold[row.parents[0]] in said)
                for row in held
                if arm == "tasks" and row.kind == "rationale"
            ]
            baseline = baseline or scores
            gain = "" if arm == "answers" else str(estimate(list(np.subtract(scores, baseline))))
            print(
                f"| {count} | {arm} | {estimate(scores)} | {gain} | {estimate(quotes) if quotes else ''} |", flush=True
            )


if __name__ == "__main__":
    main()
