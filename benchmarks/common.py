"""What the benchmarks share: XQuAD-en as documents and questions, and how answers are compared."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.machine import versions
from ragkit import Document
from ragkit.evaluation import read_questions, squad_documents
from ragkit.evaluation.metrics import best_f1 as f1
from ragkit.evaluation.metrics import is_exact as exact
from ragkit.tasks.metrics import squad_words as tokens

__all__ = ["Question", "exact", "f1", "half", "tokens", "versions", "xquad"]

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@dataclass(frozen=True)
class Question:
    """A question with the document that answers it."""

    text: str
    document: str
    article: int
    answers: tuple[str, ...]


def xquad(*, titles: bool = True) -> tuple[list[Document], list[Question]]:
    """Return XQuAD-en's paragraphs as documents and its questions; exits with a reason where the data is missing.

    Args:
        titles: give each paragraph its article's title; else it has none that says anything.
    """
    path = DATA / "xquad.en.json"
    if not path.is_file():
        sys.exit(f"skipped: {path} is missing (XQuAD-en, google-deepmind/xquad)")
    documents = squad_documents(path)
    if not titles:
        # The title is embedded too; this is the one that the figures of docs/benchmarks.md were measured with.
        documents = [replace(d, title=d.source.replace(path.name, "xquad")) for d in documents]
    by_text = {document.text: document for document in documents}
    questions = []
    for asked in read_questions(path):
        document = by_text[asked.sources[0].passage]
        questions.append(Question(asked.question, document.id, int(document.metadata["article"]), asked.answers))
    return documents, questions


def half(questions: list[Question], name: str) -> list[Question]:
    """Return the questions of the even articles (``dev``), the odd ones (``test``), or all."""
    if name == "all":
        return questions
    return [question for question in questions if question.article % 2 == (name == "test")]
