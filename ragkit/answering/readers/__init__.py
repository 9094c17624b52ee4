"""Readers: one file per form of answer, all behind one method, ``read(evidence) -> Reply | None``."""

from __future__ import annotations

from collections.abc import Sequence

from ragkit.answering.kinds import Kind
from ragkit.answering.readers.about import AboutReader
from ragkit.answering.readers.base import Evidence, Part, Reader, Reply, Span
from ragkit.answering.readers.cells import CellReader
from ragkit.answering.readers.comparison import ComparisonReader
from ragkit.answering.readers.lists import ListReader
from ragkit.answering.readers.quotes import QuotesReader
from ragkit.answering.readers.summary import SummaryReader
from ragkit.answering.readers.superlatives import SuperlativeReader
from ragkit.answering.readers.yes_no import YesNoReader

__all__ = [
    "READERS",
    "AboutReader",
    "CellReader",
    "ComparisonReader",
    "Evidence",
    "ListReader",
    "Part",
    "QuotesReader",
    "Reader",
    "Reply",
    "Span",
    "SummaryReader",
    "SuperlativeReader",
    "YesNoReader",
]

READERS: dict[Kind, Sequence[Reader]] = {
    "fact": (SuperlativeReader(), CellReader()),
    "number": (SuperlativeReader(), CellReader()),
    "keywords": (SuperlativeReader(), CellReader()),
    "identifier": (CellReader(),),
    "definition": (CellReader(),),
    "yes_no": (YesNoReader(),),
    "list": (SuperlativeReader(), CellReader(), ListReader(steps=False)),
    "procedure": (ListReader(steps=True),),
    "comparison": (SuperlativeReader(), CellReader(), ComparisonReader()),
    "summary": (SummaryReader(),),
    "about": (AboutReader(),),
}
"""Readers without a model, by the kind of question; if none replies, ``QuotesReader`` does."""
