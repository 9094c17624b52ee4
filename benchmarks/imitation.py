"""Imitation and its limits: SmolLM2 tuned on answers of Qwen2.5-Coder-0.5B, its style beside its facts.

    python benchmarks/imitation.py --work FOLDER [--rows 300] [--limit 100] [--minutes 20]

XQuAD-en's human questions; every fourth article is for the test. The teacher answers the other questions from the
passages that a search finds, rows are kept where quotes and claims are in the passages, and the student is tuned on
them. The table has the distance from the teacher's style and the share of right and supported answers, with their
intervals, on the questions of the test. An interrupted run continues.
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import Question as Asked
from benchmarks.common import versions, xquad
from ragkit import Assistant, Index
from ragkit.datagen import Ledger
from ragkit.datagen.imitate import imitation_rows, teacher_assistant
from ragkit.datagen.inputs import Pair
from ragkit.errors import RagkitError
from ragkit.evaluation import Question, evaluate
from ragkit.evaluation.imitation import imitation_report
from ragkit.models import open_model
from ragkit.models.adapters import tuned_model
from ragkit.tuning import SftOptions, tune_sft
from ragkit.tuning.data import TuningRecord


def main() -> None:
    """Generate, tune, ask, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of index, ledger, adapters and runs")
    parser.add_argument("--rows", type=int, default=300, help="questions that the teacher answers")
    parser.add_argument("--limit", type=int, default=100, help="questions of the test")
    parser.add_argument("--minutes", type=float, default=20, help="maximum training time")
    parser.add_argument("--teacher", default="qwen2.5-coder-0.5b")
    parser.add_argument("--threads", type=int, default=0)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    documents, questions = xquad()
    random.Random(0).shuffle(questions)
    train = [one for one in questions if one.article % 4 != 3][: given.rows]
    test = [_question(one, number) for number, one in enumerate(q for q in questions if q.article % 4 == 3)]
    test = test[: given.limit]
    teacher = open_model(given.teacher, threads=given.threads)
    student = open_model("smollm2", threads=given.threads)
    with Index.open(given.work / "index", create=True) as index, Ledger(given.work / "ledger.sqlite") as ledger:
        index.add_documents(documents)
        pairs = [Pair(one.text, one.answers[0], None, {"answers": list(one.answers)}) for one in train]
        made = imitation_rows(index, pairs, teacher, ledger)
        made.save(given.work / "rows.jsonl")
        print(f"{versions('ragkit', 'torch', 'transformers', 'peft')}; {len(test)} test questions")
        print(f"{made.delivered} of {made.asked} rows kept; rejected by {made.rejected_by}\n")
        records = [TuningRecord(row.messages, row.answer, row.question) for row in made.rows]
        held = max(1, len(records) // 10)
        if len(records) <= held:
            sys.exit("too few rows were kept to tune a model; use a larger --rows")
        # What tune_sft measures decides nothing here; the table has the figures.
        options = SftOptions(minutes=given.minutes, max_eval_samples=1, threads=given.threads)
        report = tune_sft("imitation", records[held:], records[:held], options, folder=given.work / "adapters")
        tuned = tuned_model(str(report.version.folder), threads=given.threads)
        assistants = {
            "before": Assistant(index, student, mode="chat"),
            "after": Assistant(index, tuned, mode="chat"),
            "teacher": teacher_assistant(index, teacher)[1],
        }
        runs = {
            name: evaluate(one, test, name=name, work=given.work / f"{name}.jsonl") for name, one in assistants.items()
        }
    found = imitation_report(runs["before"], runs["after"], runs["teacher"])
    print("| | before | after | teacher | change |\n|---|---|---|---|---|")
    for move in found.styles:
        change = f"{-move.moved.mean:+.3f} ({-move.moved.high:+.3f} to {-move.moved.low:+.3f})"
        print(f"| distance: {move.feature} | {move.before.mean:.3f} | {move.after.mean:.3f} | | {change} |")
    for fact in found.facts:
        change = f"{fact.gain.mean:+.3f} ({fact.gain.low:+.3f} to {fact.gain.high:+.3f})"
        means = " | ".join(f"{one.mean:.3f}" for one in (fact.before, fact.after, fact.teacher))
        print(f"| {fact.title} | {means} | {change} |")
    print(f"\nVerdict: {found.verdict}. {found.explanation}")


def _question(one: Asked, number: int) -> Question:
    return Question(one.text, str(number), tuple(one.answers))


if __name__ == "__main__":
    try:
        main()
    except RagkitError as error:
        sys.exit(str(error))
