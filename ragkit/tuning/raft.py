"""RAFT (Zhang et al. 2024, arXiv:2403.10131): training a model to answer from the right passage among others.

Each question is asked as ragkit asks it, with the passages that a search finds. In most records the passage with the
answer is among them, and the reply is a quote from it; in the others it is missing. There RAFT wants the answer from
memory all the same. ragkit promises answers that the documents bear out, so here the reply is the abstention.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ragkit.errors import ExamplePoolError, SettingsError
from ragkit.indexing import Field
from ragkit.prompting.sources import Source, sources_from_hits
from ragkit.retrieval import Retriever
from ragkit.tuning.data import TuningRecord

if TYPE_CHECKING:
    from ragkit.indexing import Index
    from ragkit.prompting import PromptAssembler


@dataclass(frozen=True, slots=True)
class RaftRow:
    """A question with the words of a document that answer it."""

    question: str
    answer: str
    """A span of the document, as it stands there."""
    document: str
    """Its ``source``."""


@dataclass(frozen=True, slots=True)
class RaftOptions:
    """How records are made."""

    passages: int = 3
    """In a prompt, at most."""
    without: float = 0.2
    """The share of records from which the passages with the answer are kept out; 0 to less than 1."""
    cite: bool = True
    """Put the number of the source behind the quote, as ``chat`` asks for."""
    always_first: bool = False
    """The passage with the answer stands first; else where the search has it, or at a place by chance where the search
    has missed it."""
    candidates: int = 20
    """Passages that the search is asked for."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.passages < 1 or not 0 <= self.without < 1 or self.candidates < self.passages:
            raise SettingsError(
                f"{self.passages} passages of {self.candidates}, with {self.without} of the records without the "
                "answer, can't be.",
                "Give 1 passage or more, as many candidates or more, and a share from 0 to less than 1.",
            )


@dataclass(frozen=True, slots=True)
class RaftReport:
    """What came of the rows."""

    records: list[TuningRecord]
    skipped: list[str]
    """Of each row that gave no record, why."""
    found: int
    """Rows whose answer was among the first ``passages`` that the search found."""


def raft_records(
    rows: Sequence[RaftRow], index: Index, assembler: PromptAssembler, options: RaftOptions | None = None
) -> RaftReport:
    """Return records for tuning.

    Args:
        rows: what is known.
        index: that holds the documents.
        assembler: makes the prompts, as the assistant does that will ask them: the same templates and options.
        options: how.

    Raises:
        ExamplePoolError: if no row gives a record.
    """
    options = options or RaftOptions()
    lot = random.Random(options.seed)  # noqa: S311
    retriever = Retriever(index)
    records: list[TuningRecord] = []
    skipped: list[str] = []
    found = 0
    for row in rows:
        # Drawn for every row, so that one that is skipped changes no other.
        drop, at = lot.random() < options.without, lot.randrange(options.passages)
        gold, others, rank = _passages(row, index, retriever, options)
        if gold is None:
            skipped.append(f"The index has no passage of {row.document} with {row.answer[:60]!r}: {row.question}")
            continue
        found += rank is not None and rank < options.passages
        shown = others[: options.passages]
        if not drop:
            place = 0 if options.always_first else at if rank is None or rank >= options.passages else rank
            shown = [*others[:place], gold, *others[place:]][: options.passages]
        numbered = [replace(source, number=number) for number, source in enumerate(shown, 1)]
        prompt = assembler.assemble(row.question, numbered)
        quoted = next((source for source in prompt.sources if not drop and row.answer in source.text), None)
        if quoted is None and not drop:
            skipped.append(f"The prompt has no room for the passage that answers: {row.question}")
            continue
        reply = assembler.templates.texts["abstention"] if quoted is None else row.answer
        if quoted is not None and options.cite:
            reply = f"{reply} [{quoted.number}]"
        records.append(TuningRecord(prompt.messages, reply, row.question))
    if not records:
        raise ExamplePoolError(
            f"None of {len(rows)} rows gave a record. {skipped[0] if skipped else ''}".rstrip(),
            "Give rows whose answers stand in documents of this index, word for word.",
        )
    return RaftReport(records, skipped, found)


def _passages(
    row: RaftRow, index: Index, retriever: Retriever, options: RaftOptions
) -> tuple[Source | None, list[Source], int | None]:
    """Return the passage with the answer, the others as found, and the first one's rank among them."""
    hits = retriever.search(row.question, options.candidates)
    sources = list(sources_from_hits(index, hits))
    holds = [s.document.source == row.document and row.answer in s.text for s in sources]
    rank = holds.index(True) if True in holds else None
    # What says the same words may answer as well: it is no distractor.
    others = [source for source in sources if row.answer.casefold() not in source.text.casefold()]
    if rank is not None:
        return sources[rank], others, rank
    own = retriever.search(row.question, options.candidates, where=Field("source") == row.document)
    missed = [s for s in sources_from_hits(index, own) if row.answer in s.text]
    return (missed[0] if missed else None), others, None
