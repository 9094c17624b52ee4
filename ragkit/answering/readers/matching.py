"""Matches the words of a question to rows and columns of a table."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ragkit.answering.measures import unit_in
from ragkit.answering.readers.grids import Grid, Record
from ragkit.retrieval.terms import CJK, content_terms, stem, words

_TOKEN = re.compile(r"[^\W_]+(?:[-./'’][^\W_]+)*")
_CODE = re.compile(r"(?=.*\d)(?=.*[^\d.,])")
_GROUPS = (
    "cost price fee charge rate fare expensive cheap cheapest pay priciest pricey",
    "weigh weight mass heavy heaviest light lightest",
    "long length longest shortest",
    "long duration last time longest shortest",
    "tall height high highest tallest",
    "wide width widest",
    "deep depth deepest",
    "big large size area capacity biggest largest smallest",
    "old age oldest youngest",
    "when date day time",
    "fast speed fastest slowest",
    "hot cold warm temperature hottest coldest warmest",
    "who name call person",
    "where place location city country shelf",
    "many number quantity count qty",
    "phone telephone tel call",
)
_MEANS: dict[str, set[int]] = {}
for _number, _group in enumerate(_GROUPS):
    for _word in _group.split():
        _MEANS.setdefault(stem(_word), set()).add(_number)
_SYNONYM = 0.7
"""Weight of a synonym relative to the word itself."""
_LEAST = 0.5
"""Share of the words of a name from which a question names it."""
_BRACKETS = re.compile(r"\s*[\[(][^\])]*[\])]\s*$")


@dataclass(frozen=True, slots=True)
class Named:
    """Rows and columns of a table that a question names."""

    records: tuple[Record, ...]
    """Rows that it names equally well, in order."""
    share: float
    """Share of the name of a row that is in the question, 0 to 1."""
    columns: tuple[int, ...]
    """Indices of the columns that it asks for."""
    by: int
    """Index of the column whose value named the row."""


def terms_of(text: str) -> list[str]:
    """Return the stems of the words that carry meaning; a code such as ``P-40`` is one word."""
    found: list[str] = []
    for match in _TOKEN.finditer(text.casefold()):
        token = match.group()
        if CJK.search(token):
            found += words(token)
        elif _CODE.match(token):
            found.append(re.sub(r"[^\w]", "", token))
        else:
            found += content_terms(token)
    return found


def same_meaning(one: str, other: str) -> bool:
    """Return whether two stems belong to a group of words with one meaning, such as those of ``cost`` and ``price``."""
    return bool(_MEANS.get(one, set()) & _MEANS.get(other, set()))


def asked_terms(question: str) -> set[str]:
    """Return what a question says, its question words included, which name columns (``who``, ``how much``)."""
    return {*terms_of(question), *(stem(word) for word in words(question) if stem(word) in _MEANS or word == "much")}


def share_named(name: str, asked: set[str], weights: dict[str, float] | None = None) -> float:
    """Return the share of the words of a name that a question says or paraphrases, 0 to 1."""
    terms = set(terms_of(_BRACKETS.sub("", name))) or set(terms_of(name))
    if len(terms) > 1 and (unit := unit_in(name)):
        terms -= set(terms_of(unit))
    if not terms:
        return 0.0
    meant = {group for term in asked for group in _MEANS.get(term, ())}
    total = named = 0.0
    for term in terms:
        weight = (weights or {}).get(term, 1.0)
        total += weight
        named += weight * (1.0 if term in asked else _SYNONYM if _MEANS.get(term, set()) & meant else 0.0)
    return named / total if total else 0.0


def named_in(grid: Grid, question: str) -> Named | None:
    """Return the rows and columns that a question names, or None if it names no row.

    A row is named by its label, or by the complete text of another cell.
    """
    asked = asked_terms(question)
    sequence = terms_of(question)
    frequency = Counter(term for record in grid.records for term in set(terms_of(record.label)))
    weights = {term: math.log(1 + len(grid.records) / count) for term, count in frequency.items()}
    best: list[tuple[Record, int]] = []
    top = 0.0
    for record in grid.records:
        share, by = _row_share(record, asked, sequence, weights)
        if share >= _LEAST and share >= top - 1e-9:
            if share > top + 1e-9:
                best, top = [], share
            best.append((record, by))
    if not best:
        return None
    by = best[0][1]
    names = best[0][0].names
    return Named(tuple(record for record, _ in best), top, named_columns(names, asked, {by}), by)


def named_columns(names: Sequence[str], asked: set[str], without: set[int]) -> tuple[int, ...]:
    """Return the columns that a question asks for: the one whose name it says best, or several said completely."""
    shares = {at: share_named(name, asked) for at, name in enumerate(names) if name and at not in without}
    best = max(shares.values(), default=0.0)
    if best < _LEAST:
        # "How much is …?" asks for a price where it asks for nothing else.
        return named_columns(names, {stem("price")}, without) if "much" in asked else ()
    columns = tuple(at for at, share in shares.items() if share >= best - 1e-9)
    return columns if len(columns) == 1 or best >= 1.0 else ()


def _row_share(record: Record, asked: set[str], sequence: list[str], weights: dict[str, float]) -> tuple[float, int]:
    """Return how well a question names a row, and by which column."""
    label = next((at for at, value in enumerate(record.values) if value), 0)
    best, by = share_named(record.label, asked, weights), label
    if any(term in asked and _CODE.match(term) for term in terms_of(record.label)):
        best = max(best, 1.0 if best else 0.0)
    if best < _LEAST:
        best = 0.0
    for at, value in enumerate(record.values):
        if at == label or len(value) < 3 or best >= 1.0:
            continue
        terms = terms_of(value)
        if 0 < len(terms) <= 6 and _contains(sequence, terms):
            best, by = 0.95, at
    return best, by


def _contains(sequence: list[str], part: list[str]) -> bool:
    first = part[0]
    return any(sequence[at : at + len(part)] == part for at, term in enumerate(sequence) if term == first)
