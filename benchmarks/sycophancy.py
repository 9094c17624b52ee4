"""Sycophancy of models on XQuAD-en: how often they follow a wrong answer that the user is sure of.

    python benchmarks/sycophancy.py [--model smollm2] [--mode extract] [--limit 250] [--tune FOLDER --minutes 20]

Questions of the odd articles are asked without an opinion, and by a user who is sure of another span of the passage or
of the right one; the opinion stands before or after the question. Claims are statements about the same passages, and
sums as in Wei et al. (arXiv:2308.03958). All figures are from likelihoods. ``--model`` can be repeated.

With ``--tune``, which trains SmolLM2, rows of the even articles are made by ``sycophancy_rows``, mixed with ordinary
rows (1:5), and a LoRA adapter is trained on them in FOLDER; the table then has the tuned model too, followed by the F1
of ragkit's ``extract`` reader without an opinion.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks.common import f1, half, versions, xquad
from benchmarks.datagen_gates import row_of
from ragkit import Index
from ragkit.datagen import DataRow
from ragkit.datagen.gates import RowReader
from ragkit.datagen.sycophancy import chat_prompts, extract_prompts, measure_claim, sum_claims
from ragkit.datagen.sycophancy_rows import ordinary_rows, sycophancy_rows
from ragkit.evaluation.sycophancy import SYCOPHANCY_FIGURES, measure_sycophancy
from ragkit.models import open_model
from ragkit.models.adapters import tuned_model
from ragkit.models.base import ChatModel
from ragkit.tuning import SftOptions, tune_sft
from ragkit.tuning.comparison import estimate
from ragkit.tuning.data import TuningRecord, split_records

HEADS = ("model", *(title for title, _ in SYCOPHANCY_FIGURES.values()), "Flip on sums", "Sums judged rightly")


def line(name: str, model: ChatModel, rows: Sequence[DataRow], mode: str) -> str:
    """Return a line of the table."""
    prompts = chat_prompts(model) if mode == "chat" else extract_prompts(model)
    found = measure_sycophancy(model, rows, prompts=prompts)
    sums = [(claim, measure_claim(model, claim)) for claim in sum_claims(len(rows))]
    cells = [str(getattr(found, field)) for field in SYCOPHANCY_FIGURES]
    cells.append(str(estimate([result.flip for _, result in sums])))
    cells.append(str(estimate([float((result.alone > 0.5) == claim.truth) for claim, result in sums])))
    return f"| {name}, {mode} | {' | '.join(cells)} |"


def reader_f1(index: Index, model: ChatModel, rows: Sequence[DataRow]) -> list[float]:
    """Return the F1 of the reader's answer from the right passage, without an opinion."""
    reader = RowReader(index, model)
    readings = [reader.read(row) for row in rows]
    return [
        0.0 if reading is None else f1(reading.answer, [row.answer])
        for row, reading in zip(rows, readings, strict=True)
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", help="can be repeated (default: smollm2)")
    parser.add_argument("--mode", action="append", choices=("extract", "chat"), help="can be repeated")
    parser.add_argument("--limit", type=int, default=250, help="questions")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--tune", type=Path, help="folder for an adapter of the first model")
    parser.add_argument("--train", type=int, default=300, help="questions of the even articles to make rows from")
    parser.add_argument("--minutes", type=float, default=20.0, help="maximum training time")
    given = parser.parse_args()
    documents, questions = xquad()
    by_id = {document.id: document for document in documents}
    rows: dict[str, list[DataRow]] = {}
    for name in ("dev", "test"):
        made = [row_of(question, by_id[question.document]) for question in half(questions, name)]
        rows[name] = [row for row in made if row is not None]
        random.Random(0).shuffle(rows[name])
    test, models, modes = rows["test"][: given.limit], given.model or ["smollm2"], given.mode or ["extract"]
    print(f"{versions('ragkit', 'llama-cpp-python')}; {len(test)} questions\n")
    print(f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}")
    for name in models:
        model = open_model(name, threads=given.threads)
        for mode in modes:
            print(line(name, model, test, mode), flush=True)
    if given.tune is None:
        return
    model = open_model("smollm2", threads=given.threads)
    kept = [row for row in sycophancy_rows(model, rows["dev"][: given.train]) if row.kept]
    mixed = [*kept, *ordinary_rows(model, rows["dev"], 5 * len(kept))]
    records = [TuningRecord(row.messages, row.answer, row.question) for row in mixed]
    train, held_out = split_records(records, 0.1)
    options = SftOptions(minutes=given.minutes, max_eval_samples=1)
    report = tune_sft("sycophancy", train, held_out, options, folder=given.tune)
    after = tuned_model(str(report.version.folder), threads=given.threads)
    for mode in modes:
        print(line(f"smollm2 tuned on {len(kept)} rows and {len(mixed) - len(kept)} ordinary ones", after, test, mode))
    with tempfile.TemporaryDirectory() as folder, Index.create(Path(folder) / "xquad") as index:
        index.add(*documents)
        before, then = reader_f1(index, model, test), reader_f1(index, after, test)
    print(f"\nF1 without an opinion: {estimate(before)} before, {estimate(then)} after;")
    print(f"difference {estimate(list(np.subtract(then, before)))}")


if __name__ == "__main__":
    main()
