"""The gates that ``ragkit data`` applies by default."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ragkit.datagen.gates.answer_margin import AnswerMarginGate
from ragkit.datagen.gates.answer_round_trip import AnswerRoundTripGate
from ragkit.datagen.gates.answer_sentence import AnswerSentenceGate
from ragkit.datagen.gates.base import Gate
from ragkit.datagen.gates.duplicates import DuplicatesGate
from ragkit.datagen.gates.form import FormGate
from ragkit.datagen.gates.likelihood import QuestionScorer
from ragkit.datagen.gates.needs_passage import NeedsPassageGate
from ragkit.datagen.gates.question_likelihood import question_likelihood_gates
from ragkit.datagen.gates.reading import RowReader
from ragkit.datagen.gates.retrieval import RetrievalGate
from ragkit.datagen.gates.self_contained import SelfContainedGate
from ragkit.datagen.gates.specific import SpecificGate
from ragkit.datagen.gates.specific_words import SpecificWordsGate
from ragkit.datagen.rows import DataRow
from ragkit.models.base import ChatModel, ScoringModel

if TYPE_CHECKING:
    from ragkit.indexing import Index


def standard_gates(
    index: Index, model: ChatModel | None = None, *, retriever_rows: bool = False, known: Sequence[DataRow] = ()
) -> list[Gate]:
    """Return the gates for questions from documents, in the order in which they are applied.

    Args:
        index: index of the documents that the rows were made from.
        model: reads and scores the rows. None leaves out the gates that need a model.
        retriever_rows: keep rows whose passage is among the first ten hits instead of only the first one.
        known: rows that were kept earlier; questions like theirs are duplicates.
    """
    reader = RowReader(index, model)
    gates: list[Gate] = [
        FormGate(),
        SelfContainedGate(),
        SpecificWordsGate(index),
        RetrievalGate(index, 0.1 if retriever_rows else 1.0),
        AnswerSentenceGate(reader),
    ]
    if isinstance(model, ScoringModel):
        scorer = QuestionScorer(model)
        gates += [*question_likelihood_gates(scorer), SpecificGate(scorer)]
    if model is not None:
        gates.append(AnswerRoundTripGate(reader))
    if isinstance(model, ScoringModel):
        gates += [AnswerMarginGate(reader), NeedsPassageGate(reader)]
    gates.append(DuplicatesGate(index.embedder, known))
    return gates
