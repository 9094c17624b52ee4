"""RAFT (Zhang et al. 2024, arXiv:2403.10131): trains a model to answer from the correct passage among distractors.

Prompts are the same as at inference, with the passages of a search. In most records, the passage with the answer is
among them, and the reply is a quote from it; in the others, it is missing. The paper then trains on the answer
nevertheless. Since ragkit answers only from documents, the reply is the abstention instead.
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
    """A question with its answer in a document."""

    question: str
    answer: str
    """A span of the document, verbatim."""
    document: str
    """``source`` of the document."""


@dataclass(frozen=True, slots=True)
class RaftOptions:
    """Options for generating records."""

    k: int = 3
    """Maximum passages in a prompt."""
    unanswerable_fraction: float = 0.2
    """Fraction of records without the passages that contain the answer, 0 to less than 1."""
    cite: bool = True
    """Whether to append the number of the source to the quote, as ``chat`` prompts require."""
    always_first: bool = False
    """Whether the passage with the answer is first; otherwise, it has its rank in the search, or a random position if
    the search missed it."""
    candidates: int = 20
    """Number of passages to retrieve."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.k < 1 or not 0 <= self.unanswerable_fraction < 1 or self.candidates < self.k:
            raise SettingsError(
                "k must be >= 1, candidates >= k, and unanswerable_fraction >= 0 and < 1, "
                f"got k={self.k}, candidates={self.candidates} and unanswerable_fraction={self.unanswerable_fraction}.",
                "Pass values in these ranges.",
            )


@dataclass(frozen=True, slots=True)
class RaftReport:
    """Result of generating records."""

    records: list[TuningRecord]
    skipped: list[str]
    """Reasons for rows without a record."""
    found: int
    """Number of rows whose answer was in the top ``k`` of the search."""


def raft_records(
    rows: Sequence[RaftRow], index: Index, assembler: PromptAssembler, options: RaftOptions | None = None
) -> RaftReport:
    """Return training records.

    Args:
        rows: questions with answers.
        index: the index of the documents.
        assembler: builds the prompts; it must have the same templates and options as at inference.
        options: options of the records.

    Raises:
        ExamplePoolError: if there is no record.
    """
    options = options or RaftOptions()
    lot = random.Random(options.seed)  # noqa: S311
    retriever = Retriever(index)
    records: list[TuningRecord] = []
    skipped: list[str] = []
    found = 0
    for row in rows:
        # Drawn for every row, so that a skipped row does not change others.
        drop, at = lot.random() < options.unanswerable_fraction, lot.randrange(options.k)
        gold, others, rank = _passages(row, index, retriever, options)
        if gold is None:
            skipped.append(f"No passage of {row.document} contains {row.answer[:60]!r}: {row.question}")
            continue
        found += rank is not None and rank < options.k
        shown = others[: options.k]
        if not drop:
            place = 0 if options.always_first else at if rank is None or rank >= options.k else rank
            shown = [*others[:place], gold, *others[place:]][: options.k]
        numbered = [replace(source, number=number) for number, source in enumerate(shown, 1)]
        prompt = assembler.assemble(row.question, numbered)
        quoted = next((source for source in prompt.sources if not drop and row.answer in source.text), None)
        if quoted is None and not drop:
            skipped.append(f"The passage with the answer does not fit the prompt: {row.question}")
            continue
        reply = assembler.templates.texts["abstention"] if quoted is None else row.answer
        if quoted is not None and options.cite:
            reply = f"{reply} [{quoted.number}]"
        records.append(TuningRecord(prompt.messages, reply, row.question))
    if not records:
        raise ExamplePoolError(
            f"None of the {len(rows)} rows has a record. {skipped[0] if skipped else ''}".rstrip(),
            "Pass rows whose answers occur verbatim in documents of this index.",
        )
    return RaftReport(records, skipped, found)


def _passages(
    row: RaftRow, index: Index, retriever: Retriever, options: RaftOptions
) -> tuple[Source | None, list[Source], int | None]:
    """Return the passage with the answer, the other hits, and the rank of the first."""
    hits = retriever.search(row.question, options.candidates)
    sources = list(sources_from_hits(index, hits))
    holds = [s.document.source == row.document and row.answer in s.text for s in sources]
    rank = holds.index(True) if True in holds else None
    # A passage that contains the same words may also be an answer, so it is not a distractor.
    others = [source for source in sources if row.answer.casefold() not in source.text.casefold()]
    if rank is not None:
        return sources[rank], others, rank
    own = retriever.search(row.question, options.candidates, where=Field("source") == row.document)
    missed = [s for s in sources_from_hits(index, own) if row.answer in s.text]
    return (missed[0] if missed else None), others, None
