"""What the benchmarks share: XQuAD-en as documents and questions, and how answers are compared."""

from __future__ import annotations

import json
import platform
import re
import string
import sys
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from ragkit import Document
from ragkit.records import document_id

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
    documents, questions = [], []
    for number, article in enumerate(json.loads(path.read_text())["data"]):
        for place, paragraph in enumerate(article["paragraphs"]):
            source = f"xquad/{number}/{place}"
            title = article["title"].replace("_", " ") if titles else source
            documents.append(
                Document(
                    document_id(source),
                    source,
                    source,
                    paragraph["context"],
                    title,
                    source,
                    "text/plain",
                    {"article": number},
                )
            )
            for item in paragraph["qas"]:
                answers = tuple(answer["text"] for answer in item["answers"])
                questions.append(Question(item["question"], document_id(source), number, answers))
    return documents, questions


def half(questions: list[Question], name: str) -> list[Question]:
    """Return the questions of the even articles (``dev``), the odd ones (``test``), or all."""
    if name == "all":
        return questions
    return [question for question in questions if question.article % 2 == (name == "test")]


def tokens(text: str) -> list[str]:
    """Return the words of an answer as SQuAD compares them: lower case, no signs, no articles."""
    plain = "".join(character for character in text.lower() if character not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", plain).split()


def f1(text: str, answers: tuple[str, ...]) -> float:
    """Return the best token F1 of a text to one of the answers."""
    best = 0.0
    for answer in answers:
        said, wanted = tokens(text), tokens(answer)
        shared = (Counter(said) & Counter(wanted)).total()
        if shared:
            best = max(best, 2 * shared / (len(said) + len(wanted)))
    return best


def exact(text: str, answers: tuple[str, ...]) -> bool:
    """Tell whether a text is one of the answers."""
    return any(tokens(text) == tokens(answer) for answer in answers)


def versions(*packages: str) -> str:
    """Return the Python and package versions of this run."""
    return f"Python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in packages)
