"""Further rows, composed of kept rows by rules: follow-ups, questions over two passages, and unanswerable near misses.

The parts were checked before, so that a composed row is as exact as its parents. The rules are for English questions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import permutations
from typing import TYPE_CHECKING

from ragkit.datagen.rows import DataRow
from ragkit.prompting import Templates
from ragkit.records import Message
from ragkit.retrieval.terms import content_terms, is_stop

if TYPE_CHECKING:
    from ragkit.indexing import Index

MULTI_HOP, FOLLOW_UP, UNANSWERABLE = "multi-hop", "follow-up", "unanswerable"
"""Tags of composed rows."""
_NAME = re.compile(r"(?<=\s)[A-Z][\w'’&-]*(?:\s(?:of\s(?:the\s)?)?[A-Z][\w'’&-]*)*")
_YEAR = re.compile(r"\b(?:1[0-9]|20)\d\d\b")
_VERB = r"(?:is|are|was|were|has|have|had|can|could|will|would|must|may|should|[a-z]+(?:ed|s))"
_DESCRIPTIONS = (
    (re.compile(r"^(?:Who|What|Which) (?:is|was|are|were) (the [^?]+)\?$"), r"\1"),
    (re.compile(r"^Who (?!(?:did|does|do)\b)([a-z]+ [^?]+)\?$"), r"the person who \1"),
    (re.compile(rf"^(?:What|Which) ((?:[a-z-]+ ){{0,2}}[a-z-]+) ({_VERB} [^?]+)\?$"), r"the \1 that \2"),
)
_SUBJECT = re.compile(r"\b(?:did|does|do|was|is|were|are|has|have|had|can|could|will|would|must|should|may)\s$", re.I)
_PRONOUNS = (("he", "him", "his"), ("she", "her", "her"), ("it", "it", "its"))
_CHECKED_HITS = 8
_SHARED = 0.6
"""Share of the terms of an altered question that a passage with the new name must hold to be taken for an answer."""


def follow_up_rows(rows: Sequence[DataRow]) -> Iterator[DataRow]:
    """Yield conversations of two questions on one passage; the second has a pronoun for the name that both share."""
    by_passage: dict[tuple[str, int], list[DataRow]] = {}
    for row in rows:
        if len(row.messages) == 1 and row.evidence:
            by_passage.setdefault((row.evidence[0].document_id, row.evidence[0].start), []).append(row)
    used: set[str] = set()
    for group in by_passage.values():
        for first, second in permutations(group, 2):
            question = None if second.id in used else _with_pronoun(first, second)
            if question is not None:
                used.add(second.id)
                turns = (Message("user", first.question), Message("assistant", first.answer), Message("user", question))
                yield _composed(second, turns, FOLLOW_UP, first, second)


def multi_hop_rows(
    rows: Sequence[DataRow], mentioning: Callable[[str, DataRow], Iterator[DataRow]]
) -> Iterator[DataRow]:
    """Yield questions that need two passages: what one names, the other describes.

    "When was Paul Reyne born?" and "Who paid for the observatory?", answered by Paul Reyne, become "When was the person
    who paid for the observatory born?".

    Args:
        rows: kept rows.
        mentioning: yields rows from other passages than a row's that mention a name.
    """
    for first in rows:
        described = describe(first.question) if len(first.messages) == 1 else None
        if described is None or not first.answer[:1].isupper():
            continue
        for second in mentioning(first.answer, first):
            named = re.compile(rf"(?:\bthe )?\b{re.escape(first.answer)}(?![\w’'-])")
            match = named.search(second.question)
            if match is None or second.split != first.split or second.answer in first.answer:
                continue
            start, end = match.span()
            question = second.question[:start] + described + second.question[end:]
            if first.answer not in question and second.answer.casefold() not in question.casefold():
                row = _composed(second, (Message("user", question),), MULTI_HOP, first, second)
                yield replace(row, evidence=(*first.evidence, *second.evidence))
                break


def unanswerable_rows(rows: Sequence[DataRow], index: Index) -> Iterator[DataRow]:
    """Yield near misses: a kept question with another name or year, which no passage of the index answers.

    The answer is the abstention of the prompt templates.
    """
    abstention = Templates.load().texts["abstention"].strip()
    names: dict[str, list[str]] = {}
    for row in rows:
        for match in _NAME.finditer(row.question):
            names.setdefault(_before(row.question, match), []).append(match.group())
    for number, row in enumerate(rows):
        if len(row.messages) > 1:
            continue
        for question, new in _altered(row.question, names, number):
            if not _may_be_answered(question, new, index):
                altered = replace(row, answer=abstention, answer_span=None, evidence=())
                yield _composed(altered, (Message("user", question),), UNANSWERABLE, row)
                break


def describe(question: str) -> str | None:
    """Return the answer of a question as a description, such as "the person who paid for the bridge", or None."""
    for pattern, form in _DESCRIPTIONS:
        match = pattern.match(question)
        # "Which city did Reyne leave?" would need another form of its verb.
        if match and not re.match(r"the \S+ (?:is|was) ?$", match.group()):
            return match.expand(form)
    return None


def _composed(row: DataRow, messages: tuple[Message, ...], tag: str, *parents: DataRow) -> DataRow:
    tags = (tag, *(one for one in row.tags if one != "hard"))
    ids = tuple(parent.id for parent in parents)
    return replace(row, messages=messages, parents=ids, tags=tags, scores={}, decisions=())


def _with_pronoun(first: DataRow, second: DataRow) -> str | None:
    """Return the second question with a pronoun for the longest name that both questions have."""
    shared = [match for match in _NAME.finditer(second.question) if match.group().removesuffix("'s") in first.question]
    if not shared or second.answer == first.answer or second.answer in first.question:
        return None
    match = max(shared, key=lambda one: len(one.group()))
    pronoun = _pronoun(second.evidence[0].quote)
    if pronoun is None:
        return None
    subject, other, possessive = pronoun
    before, after = second.question[: match.start()], second.question[match.end() :]
    before = re.sub(r"\b[Tt]he $", "", before)
    if match.group().endswith(("'s", "’s")) or after.startswith(("'s", "’s")):
        return before + possessive + re.sub("^['’]s", "", after)
    if after[:1] not in (" ", "?", ","):
        return None
    if re.match(r" [a-z]+", after) and not _is_function_word(after.split()[0]) and not _SUBJECT.search(before):
        return None  # the name belongs to a noun: "the Reyne observatory"
    return before + (subject if _SUBJECT.search(before) else other) + after


def _is_function_word(word: str) -> bool:
    return is_stop(word.strip("?,"))


def _pronoun(passage: str) -> tuple[str, str, str] | None:
    """Return the pronoun that a passage uses most, which says whether it is about a person; None if it has none."""
    counts = [len(re.findall(rf"\b(?:{'|'.join(set(forms))})\b", passage, re.I)) for forms in _PRONOUNS]
    return _PRONOUNS[counts.index(max(counts))] if max(counts) else None


def _before(question: str, match: re.Match[str]) -> str:
    """Return the word before a name; names after the same word are of the same kind more often than others."""
    return question[: match.start()].split()[-1].casefold()


def _altered(question: str, names: dict[str, list[str]], number: int) -> Iterator[tuple[str, str]]:
    for match in _NAME.finditer(question):
        others = [one for one in names[_before(question, match)] if one not in question and match.group() not in one]
        turn = number % len(others) if others else 0
        for other in [*others[turn:], *others[:turn]][:3]:
            yield question[: match.start()] + other + question[match.end() :], other
    for match in _YEAR.finditer(question):
        year = str(int(match.group()) + 3 + number % 5)
        yield question[: match.start()] + year + question[match.end() :], year


def _may_be_answered(question: str, new: str, index: Index) -> bool:
    terms = set(content_terms(question)) - set(content_terms(new))
    for hit in index.search(question, _CHECKED_HITS):
        found = set(content_terms(hit.chunk.text))
        if new.casefold() in hit.chunk.text.casefold() and len(terms & found) >= _SHARED * len(terms):
            return True
    return not terms
