"""Entity records of a passage: an entity, an attribute or relation, and a value that is a span of the document.

Rules make them, without a model: cells of tables by their columns, lines of the form "name: value", statements with "to
be", other clauses, and in them quantities, dates and names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from ragkit.answering.compression.clauses import (
    begins_with_pronoun,
    clause_spans,
    copula_span,
    name_spans,
    subject_span,
)
from ragkit.answering.measures import measures_in
from ragkit.answering.units import Unit
from ragkit.chunking import Table, table_at
from ragkit.retrieval.terms import content_terms

RecordKind = Literal["cell", "field", "definition", "statement", "quantity", "date", "name"]
RECORD_KINDS: tuple[RecordKind, ...] = get_args(RecordKind)
_PARTS = frozenset({"cell", "field", "definition", "statement"})
_MARKER = re.compile(r"[ \t]*(?:[-*+•‣◦▪–]|\(?\d{1,3}[.)])[ \t]+(?=\S)")
_LONGEST_LEAD = 12
"""Words of a line before a list that can name what the list is about."""
_FIELD = re.compile(r"([^\W\d_][^:：.!?,;()\n]{0,38}?)\s*[:：]\s+(?=\S)")
_LINE = re.compile(r"[^\n]+")
_MEASURED = re.compile(
    r"((?:[^\W\d_][\w-]*\s){1,2})(?:(?:of|is|was|are|were)\s)?"
    r"(?:(?:about|around|over|nearly|up to|only|just|almost)\s)?$"
)
_DATE = re.compile(
    r"\b\d{4}-\d\d(?:-\d\d)?\b|\b\d{1,2}[./]\d{1,2}[./]\d{2,4}\b|\b\d{1,2}(?:st|nd|rd|th|\.)?(?: (?:of|de))? "
    r"[^\W\d_]{3,10}\.?,? (?:of |de )?\d{4}\b|\b[A-Z][a-z]{2,8}\.? \d{1,2}(?:st|nd|rd|th)?,? \d{4}\b"
    r"|\b\d{1,2} (?:January|February|March|April|May|June|July|August|September|October|November|December)\b"
    r"|\b(?:January|February|March|April|May|June|July|August|September|October|November|December) \d{1,2}\b"
    r"|\b(?:1[0-9]|20)\d\d\b(?!\s?[$€£%])|\d{4}年(?:\d{1,2}月)?(?:\d{1,2}日)?"
)


@dataclass(frozen=True, slots=True)
class EntityRecord:
    """One fact of a passage; ``document.text[start:end] == value``."""

    entity: str
    """Subject of the record: a span of the document, or its title if the passage names nothing."""
    entity_span: tuple[int, int] | None
    """Span of the entity in the document; None for a title."""
    attribute: str
    """A column, the name of a line, a verb, or the measure of a quantity; empty for a clause."""
    value: str
    start: int
    end: int
    kind: RecordKind
    evidence: tuple[int, int]
    """Span of the clause, line or cell that states it."""
    unit: Unit
    """Sentence, list item or table row of the record."""

    @property
    def is_part(self) -> bool:
        """Whether it is a part of its unit, and not a detail of such a part: the parts of a unit do not overlap."""
        return self.kind in _PARTS


def records_of(units: Sequence[Unit], tables: Sequence[Table] = (), *, details: bool = True) -> list[EntityRecord]:
    """Return the records of units in the order of the text.

    Args:
        units: units of one passage, in order, as ``units_of`` returns them.
        tables: tables of the document.
        details: also return quantities, dates and names.
    """
    found: list[EntityRecord] = []
    heading: tuple[str, tuple[int, int] | None] | None = None
    lead: tuple[str, tuple[int, int] | None] | None = None
    subject: tuple[str, tuple[int, int] | None] | None = None
    for unit in units:
        title = unit.context.rpartition(" > ")[2] or unit.source.document.title
        if unit.kind == "heading":
            text = unit.text.strip().lstrip("#").strip()
            at = unit.start + unit.text.find(text) if text else unit.start
            heading = (text, (at, at + len(text))) if text and text in title else heading
            subject = lead = None
            continue
        around = heading or (title, None)
        if unit.kind == "item":
            around = lead or around
        elif unit.introduces and len(unit.text.split()) <= _LONGEST_LEAD:
            start, end = unit.start, unit.start + len(unit.text.rstrip(" :："))
            lead = (unit.text[: end - start], (start, end))
        else:
            lead = None
        table = table_at(tables, unit.start) if unit.kind == "row" else None
        if table is not None:
            found += _of_row(unit, table, around)
            continue
        made, subject = _of_sentence(unit, around, subject)
        for record in made:
            found.append(record)
            if details:
                found += _details(record)
    return found


def _of_row(unit: Unit, table: Table, around: tuple[str, tuple[int, int] | None]) -> Iterator[EntityRecord]:
    row = table.row_at(unit.start)
    if row is None:
        return
    text, offset = unit.text, unit.start
    first = row.cells[0] if row.cells else None
    entity = (first.text, (first.start, first.end)) if first is not None and first.text else around
    for name, cell in zip(table.names(row), row.cells, strict=True):
        low, high = max(cell.start, unit.start), min(cell.end, unit.end)
        if low >= high:
            continue
        value = text[low - offset : high - offset]
        yield EntityRecord(*entity, name, value, low, high, "cell", (low, high), unit)


def _of_sentence(
    unit: Unit, around: tuple[str, tuple[int, int] | None], before: tuple[str, tuple[int, int] | None] | None
) -> tuple[list[EntityRecord], tuple[str, tuple[int, int] | None] | None]:
    """Return the records of a sentence or an item, and its subject for the next sentence."""
    marker = _MARKER.match(unit.text) if unit.kind == "item" else None
    lead = marker.end() if marker else 0
    text, offset = unit.text[lead:], unit.start + lead
    if unit.kind != "code" and _FIELD.match(text):
        return list(_fields(unit, lead, around)), None
    span = None if unit.kind == "code" else subject_span(text)
    subject: tuple[str, tuple[int, int] | None] | None
    if span is not None:
        subject = (text[slice(*span)], (offset + span[0], offset + span[1]))
    else:
        subject = before if begins_with_pronoun(text) else None
    entity = subject or around
    found: list[EntityRecord] = []
    for start, end in clause_spans(text) if unit.kind != "code" else [(0, len(text))]:
        verb = copula_span(text[start:end])
        begins = span is not None and start <= span[0] and span[1] <= end
        if begins and verb is not None and span is not None and start + verb[0] >= span[1]:
            at = start + verb[1]
            at += len(text[at:end]) - len(text[at:end].lstrip())
            attribute, kind = text[start + verb[0] : start + verb[1]], "definition"
        else:
            at, attribute, kind = start, "", "statement"
        if text[at:end].strip():
            # A list marker belongs to the first clause.
            stated = (offset + start if start else unit.start, offset + end)
            value = text[at:end].rstrip(",;.:")
            span_of = (offset + at, offset + at + len(value))
            record = EntityRecord(*entity, attribute, value, *span_of, kind, stated, unit)  # type: ignore[arg-type]
            found.append(record)
    return found, subject


def _fields(unit: Unit, lead: int, around: tuple[str, tuple[int, int] | None]) -> Iterator[EntityRecord]:
    """Yield the fields of a unit that begins with one; a line that begins with none continues the one before."""
    text = unit.text
    names = [match for line in _LINE.finditer(text, lead) if (match := _FIELD.match(text, line.start()))]
    for match, end in zip(names, [*(match.start() for match in names[1:]), len(text)], strict=True):
        value = text[match.end() : end].rstrip()
        start = unit.start + match.end()
        stated = (unit.start + (match.start() if match is not names[0] else 0), start + len(value))
        yield EntityRecord(*around, match[1], value, start, start + len(value), "field", stated, unit)


def _measured(before: str, entity: str) -> str:
    """Return the words before a quantity that name it, such as "a focal length of 900 mm"; empty for none."""
    match = _MEASURED.search(before)
    if match is None:
        return ""
    found = " ".join(word for word in match[1].split() if content_terms(word))
    return "" if found in entity else found


def _details(record: EntityRecord) -> Iterator[EntityRecord]:
    """Yield the quantities, dates and names of a record's clause, or of a field's value."""
    offset = record.start if record.kind == "field" else record.evidence[0]
    end = record.end if record.kind == "field" else record.evidence[1]
    text = record.unit.text[offset - record.unit.start : end - record.unit.start]
    about = record.entity_span or (0, 0)
    spans: list[tuple[int, int, str, RecordKind]] = [
        *(
            (one.start, one.end, _measured(text[: one.start], record.entity) or one.dimension, "quantity")
            for one in measures_in(text)
            if one.dimension != "date"
        ),
        *((*match.span(), "date", "date") for match in _DATE.finditer(text)),
        *((start, end, "name", "name") for start, end in name_spans(text)),
    ]
    taken = 0
    for start, end, attribute, kind in sorted(spans):
        here = offset + start
        if start < taken or (here < about[1] and about[0] < here + end - start):
            continue
        taken = end
        span = (here, here + end - start)
        yield EntityRecord(
            record.entity, record.entity_span, attribute, text[start:end], *span, kind, record.evidence, record.unit
        )
