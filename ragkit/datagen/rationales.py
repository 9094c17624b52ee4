"""Rationales as rows (Distilling step-by-step, arXiv:2305.02301): a reader learns the answer and why it is right.

The rationale is the sentence of the passage that supports the answer, with its exact span; no teacher is needed. Each
row becomes two tasks with the same passage and question: the answer, in the prompt of the ``extract`` reader, and the
supporting sentence. Only the first is used at inference, so that answers cost no more. A teacher's own rationale is
accepted if its quotes are in the passage and it arrives at the answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from ragkit.chunking import sentence_spans
from ragkit.datagen.gates.base import passage_of
from ragkit.datagen.rows import DataRow, Generator, TextSpan
from ragkit.models.base import ChatModel, GenerationOptions, complete
from ragkit.prompting import Templates
from ragkit.records import Message
from ragkit.tasks.metrics import squad_words

RationaleStyle = Literal["tasks", "before answer"]
EXPLAIN = "Copy the sentence of the passage that answers the question."
_REASON_FIRST = "Copy the sentence of the passage that answers the question, then the shortest phrase that answers it."
_TEACHER = (
    "Passage: {passage}\nQuestion: {question}\n\nExplain the answer in one or two sentences. Quote the words of the "
    'passage that support it in double quotes. End with "So the answer is" and the answer.'
)
QUOTE = re.compile(r"[\"“„«]([^\"“”„«»]+)[\"”“»]")
_CONCLUSION = re.compile(r"\bso the answer is\b:?\s*(.+)", re.IGNORECASE | re.DOTALL)
SHORTEST_QUOTE = 2
"""Words of a quote that is checked; single words are often emphasis."""


def rationale_rows(
    rows: Sequence[DataRow], style: RationaleStyle = "tasks", templates: Templates | None = None
) -> list[DataRow]:
    """Return training rows that teach answers with their supporting sentences.

    With ``tasks`` each row gives two: the answer, and the sentence. Their weights make both tasks count equally,
    although sentences are longer than answers; the mean weight per word is 1. With ``before answer`` each row gives
    one, whose reply is the sentence and then the answer.

    Args:
        rows: rows of kind ``qa``; those without an answer span in their evidence are left out.
        style: format of the rationale in the training rows.
        templates: templates of the reader's prompts; those that ship with ragkit by default.
    """
    texts = templates or Templates.load()
    answers, sentences = [], []
    for row in rows:
        sentence = supporting_sentence(row)
        if row.kind != "qa" or sentence is None:
            continue
        user = texts.fill("extract_user", passage=passage_of(row), question=row.question)
        base = replace(row, parents=(row.id,), scores={}, decisions=(), generator=Generator("", template="rationale"))
        if style == "before answer":
            prompt = (Message("system", _REASON_FIRST), Message("user", user))
            reply = f"{' '.join(sentence.quote.split())}\nAnswer: {' '.join(row.answer.split())}"
            answers.append(replace(base, kind="rationale", messages=prompt, answer=reply, answer_span=None))
            continue
        told, why = texts.fill("extract_system"), EXPLAIN
        answers.append(replace(base, messages=(Message("system", told), Message("user", user))))
        explained = (Message("system", why), Message("user", user))
        sentences.append(
            replace(base, kind="rationale", messages=explained, answer=sentence.quote, answer_span=sentence)
        )
    if style == "before answer" or not answers:
        return answers
    both = _words(answers) + _words(sentences)
    answers = [replace(row, weight=both / (2 * _words(answers))) for row in answers]
    sentences = [replace(row, weight=both / (2 * _words(sentences))) for row in sentences]
    return [row for pair in zip(answers, sentences, strict=True) for row in pair]


def supporting_sentence(row: DataRow) -> TextSpan | None:
    """Return the sentences that contain the row's answer span, or None if no passage of the row contains it."""
    answer = row.answer_span
    if answer is None:
        return None
    for span in row.evidence:
        if span.document_id != answer.document_id or not span.start <= answer.start < answer.end <= span.end:
            continue
        found = [
            (start, end)
            for start, end in sentence_spans(span.quote)
            if span.start + start < answer.end and answer.start < span.start + end
        ]
        if found:
            first, last = found[0][0], found[-1][1]
            return replace(span, start=span.start + first, end=span.start + last, quote=span.quote[first:last])
    return None


def teacher_rationale(model: ChatModel, row: DataRow, max_tokens: int = 160) -> str | None:
    """Return a model's own explanation of a row's answer, or None if it can't be verified; see ``is_verified``.

    Raises:
        ModelError: if the model fails.
    """
    prompt = _TEACHER.format(passage=passage_of(row), question=row.question)
    said = complete(model, [Message("user", prompt)], GenerationOptions(max_tokens)).text.strip()
    return said if is_verified(said, row) else None


def is_verified(rationale: str, row: DataRow) -> bool:
    """Return whether a rationale quotes its passage, all of its quotes are in it, and its last step is the answer."""
    passage = f" {' '.join(squad_words(passage_of(row)))} "
    quotes = [squad_words(match.group(1)) for match in QUOTE.finditer(rationale)]
    checked = [quote for quote in quotes if len(quote) >= SHORTEST_QUOTE]
    conclusion = _CONCLUSION.search(rationale)
    if not checked or conclusion is None or not all(f" {' '.join(quote)} " in passage for quote in checked):
        return False
    return squad_words(conclusion.group(1)) == squad_words(row.answer)


def _words(rows: Sequence[DataRow]) -> int:
    return sum(len(row.answer.split()) for row in rows) or 1
