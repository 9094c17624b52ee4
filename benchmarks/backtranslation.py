"""Instruction back-translation: matched against mismatched instructions, told apart by likelihood and by a self-score.

    python benchmarks/backtranslation.py [--model smollm2] [--limit 100] [--source people] [--threads 1]

Sections are paragraphs of XQuAD-en. Instructions are a person's question on each paragraph (``people``), or written by
the model (``model``). A mismatched pair has the instruction of another paragraph: of the same article, which is hard,
or of another one. The gate's score compares the likelihood of the paragraph after its instruction and after three
others. The self-score is the same model's rating of the pair from 1 to 5 (Li et al., arXiv:2308.06259): the expected
value over the log-probabilities of the five numbers, which is finer than the number that it writes. The figure is the
AUROC with a 95 % bootstrap interval over paragraphs.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import versions, xquad
from ragkit.datagen import DataRow, TextSpan
from ragkit.datagen.backtranslate import InstructionGate, write_instructions
from ragkit.models import open_model
from ragkit.models.base import ScoringModel
from ragkit.records import Message

_RATE = (
    "Below are a request and a text. Rate from 1 to 5 how well the text answers the request: 1 means that it is about "
    "something else, 5 that it is a complete and focused answer.\n\nRequest: {request}\n\nText: {text}\n\n"
    "Reply with the rating only."
)
RATINGS = [str(number) for number in range(1, 6)]


def rating(model: ScoringModel, row: DataRow) -> float:
    """Return the rating that the model gives on average."""
    prompt = _RATE.format(request=row.question, text=row.answer)
    logprobs = np.array([sum(tokens) for tokens in model.score([Message("user", prompt)], RATINGS, whole=True)])
    shares = np.exp(logprobs - logprobs.max())
    return float((shares * np.arange(1, 6)).sum() / shares.sum())


def with_instructions_of(rows: Sequence[DataRow], others: Sequence[int]) -> list[DataRow]:
    """Return the rows with the instructions of others."""
    return [replace(row, messages=rows[other].messages) for row, other in zip(rows, others, strict=True)]


def auroc(good: Sequence[float], bad: Sequence[float]) -> str:
    """Return the AUROC and its interval."""
    right, wrong = np.array(good), np.array(bad)
    rng = np.random.default_rng(0)

    def of(chosen: Sequence[int]) -> float:
        values = np.concatenate([right[chosen], wrong[chosen]])
        return float(roc_auc_score([1] * len(chosen) + [0] * len(chosen), values))

    several = [of(rng.integers(0, len(right), len(right)).tolist()) for _ in range(500)]
    low, high = np.percentile(several, [2.5, 97.5])
    return f"{of(range(len(right))):.3f} ({low:.3f} to {high:.3f})"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--limit", type=int, default=100, help="paragraphs")
    parser.add_argument("--source", choices=("people", "model"), default="people", help="who writes the instructions")
    parser.add_argument("--threads", type=int, default=0)
    given = parser.parse_args()
    model = open_model(given.model, threads=given.threads)
    assert isinstance(model, ScoringModel), "the scores need log-probabilities"
    documents, questions = xquad()
    by_id = {document.id: document for document in documents}
    asked = {question.document: question for question in reversed(questions)}
    chosen = random.Random(0).sample(list(asked.values()), len(asked))
    # Several paragraphs of one article, so that each has a neighbour.
    articles = list(dict.fromkeys(question.article for question in chosen))
    chosen = sorted(chosen, key=lambda question: articles.index(question.article))[: given.limit]
    rows = []
    for question in chosen:
        text = by_id[question.document]
        span = TextSpan.of(text, 0, len(text.text))
        rows.append(DataRow("instruction", (Message("user", question.text),), text.text, span, (span,)))
    if given.source == "model":
        rows = write_instructions([by_id[question.document] for question in chosen], model)
    article = {document.id: document.metadata["article"] for document in documents}
    groups = [article[row.evidence[0].document_id] for row in rows]
    near, far = [], []
    for number, group in enumerate(groups):
        same = [other for other, one in enumerate(groups) if one == group and other != number]
        apart = [other for other, one in enumerate(groups) if one != group]
        near.append(random.Random(number).choice(same or apart))
        far.append(random.Random(number).choice(apart or same))
    print(
        f"{versions('ragkit', 'llama-cpp-python')}\n{given.model}: {len(rows)} paragraphs, {given.source}\n", flush=True
    )
    print("| score | other article | same article |\n|---|---|---|", flush=True)
    gate = InstructionGate(model)
    mixed = {"other article": with_instructions_of(rows, far), "same article": with_instructions_of(rows, near)}
    own = [one.value or 0.0 for one in gate.scores(rows)]
    cells = [auroc(own, [one.value or 0.0 for one in gate.scores(wrong)]) for wrong in mixed.values()]
    print(f"| likelihood | {' | '.join(cells)} |", flush=True)
    own = [rating(model, row) for row in rows]
    cells = [auroc(own, [rating(model, row) for row in wrong]) for wrong in mixed.values()]
    print(f"| self-score, 1 to 5 | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
