"""Questions for training and for decisions, which are never about the same document."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragkit.adaptation.report import LEAST
from ragkit.datagen.composed import UNANSWERABLE
from ragkit.datagen.rows import DataRow
from ragkit.errors import DataError
from ragkit.evaluation.gold import find_gold
from ragkit.evaluation.metrics import Place
from ragkit.evaluation.questions import Question

if TYPE_CHECKING:
    from ragkit.indexing import Index

_TOLERANCE = 1.2
"""Factor by which more rows than wanted can be held out, as documents are not divided."""
_LEAST_PASSAGES = 4
"""Passages of a single document that can be divided."""


@dataclass(frozen=True, slots=True)
class Case:
    """A held-out question."""

    question: str
    answers: tuple[str, ...]
    """Accepted wordings; empty for an unanswerable question."""
    places: tuple[Place, ...]
    """Places that contain the answer; any of them is correct."""


@dataclass(frozen=True, slots=True)
class Material:
    """Generated rows for training, and held-out questions for decisions."""

    train: tuple[DataRow, ...]
    generated: tuple[Case, ...]
    """Generated questions on held-out documents."""
    people: tuple[Case, ...]
    """People's questions on held-out documents."""
    people_left_out: int
    """People's questions on other documents, or without a place in the index."""
    train_documents: int
    held_out_documents: int
    divided: bool
    """Whether a single document was divided by passages, because there is no other."""

    def deciding(self, *, answerable: bool = True) -> tuple[str, list[Case]]:
        """Return whose questions decide, and the questions: people's if there are enough, else generated ones."""

        def some(cases: Sequence[Case]) -> list[Case]:
            return [one for one in cases if one.answers] if answerable else list(cases)

        own = some(self.people)
        return ("people", own) if len(own) >= LEAST else ("generated", some(self.generated))

    @property
    def answered(self) -> list[DataRow]:
        """Training rows with an answer in a passage."""
        return [row for row in self.train if row.answer_span is not None]


def divide(
    index: Index, rows: Sequence[DataRow], asked: Sequence[Question], held_out: float, seed: int = 0
) -> Material:
    """Divide generated rows and people's questions by document.

    Documents with questions of people are held out first. If only one document has questions, its last passages are
    held out.

    Args:
        index: index of the documents.
        rows: generated rows.
        asked: people's questions; they are never trained on.
        held_out: fraction of the rows to hold out.
        seed: random seed.

    Raises:
        DataError: if there is nothing that could be held out.
    """
    by_id = {row.id: row for row in rows}
    places = _places_of(index, asked)
    documents = {_origin(row, by_id)[0] for row in rows} - {""}
    divided = len(documents) == 1
    counts = Counter(group for row in rows if (group := _group(row, by_id, divided)))
    if len(counts) < (_LEAST_PASSAGES if divided else 2):
        where = "1 passage" if len(counts) == 1 else f"{len(counts)} passages"
        raise DataError(
            f"Usable questions: {len(rows)}, from {len(documents)} document{'' if len(documents) == 1 else 's'} with "
            f"{where}: too few to hold some out.",
            "Add documents, or raise --minutes. The questions so far are kept.",
        )
    named = {place.document_id for found in places for place in found}
    if divided:
        # By position, so that overlapping passages are not on both sides, except at the border.
        order = sorted(counts, key=lambda group: -group[1])
    else:
        order = sorted(counts, key=lambda group: (group[0] not in named, _digest(seed, group[0])))
    aside = _held_out(order, counts, held_out * sum(counts.values()), in_order=divided)
    train = tuple(row for row in rows if (group := _group(row, by_id, divided)) and group not in aside)
    cases = tuple(_case(row) for row in rows if _group(row, by_id, divided) in aside)
    people = [
        Case(one.question, one.wordings, tuple(found))
        for one, found in zip(asked, places, strict=True)
        if one.unanswerable or (found and one.wordings and all(_inside(place, aside, divided) for place in found))
    ]
    aside_documents = {group[0] for group in aside}
    return Material(
        train,
        cases,
        tuple(people),
        len(asked) - len(people),
        len(documents - aside_documents) or 1,
        len(aside_documents),
        divided,
    )


def _held_out(
    order: Sequence[tuple[str, int]], counts: Mapping[tuple[str, int], int], wanted: float, *, in_order: bool
) -> set[tuple[str, int]]:
    """Return the first groups with about ``wanted`` rows together; unless ``in_order``, too large ones are skipped."""
    aside: set[tuple[str, int]] = set()
    total = 0
    for group in order:
        fits = total + counts[group] <= _TOLERANCE * wanted
        if fits or (in_order and not aside):
            aside.add(group)
            total += counts[group]
        if total >= wanted or (in_order and not fits):
            break
    return aside or {min(order, key=lambda group: counts[group])}


def _group(row: DataRow, by_id: dict[str, DataRow], divided: bool) -> tuple[str, int] | None:
    document, start = _origin(row, by_id)
    return (document, start if divided else 0) if document else None


def _origin(row: DataRow, by_id: dict[str, DataRow]) -> tuple[str, int]:
    """Return the document of a row and the start of its passage; that of its parent for an unanswerable one."""
    while not row.evidence:
        parent = next((by_id[one] for one in row.parents if one in by_id), None)
        if parent is None:
            return "", 0
        row = parent
    return row.evidence[0].document_id, row.evidence[0].start


def _case(row: DataRow) -> Case:
    if UNANSWERABLE in row.tags or row.answer_span is None:
        return Case(row.question, (), ())
    span = row.answer_span
    return Case(row.question, (row.answer,), (Place(span.document_id, span.start, span.end),))


def _inside(place: Place, aside: set[tuple[str, int]], divided: bool) -> bool:
    first = min(start for _, start in aside)
    return any(document == place.document_id for document, _ in aside) and (not divided or place.start >= first)


def _places_of(index: Index, asked: Sequence[Question]) -> list[list[Place]]:
    gold = find_gold(index, asked) if asked else {}
    return [[place for places in (*gold[one.id].evidence, gold[one.id].also) for place in places] for one in asked]


def _digest(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed} {name}".encode()).hexdigest()
