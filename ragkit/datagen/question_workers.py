"""Questions that are written and decided by workers: each does the model calls for one candidate answer.

A worker records its calls in a ledger of its own and returns the entries. The run adds them to its ledger, and then
finds there what it would have asked the model for, so that its rows do not depend on the workers.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit.datagen.ledger import Entry, Ledger
from ragkit.datagen.question_run import QuestionOptions, QuestionRun, decide_batch, units_of_index
from ragkit.models.base import ChatModel

if TYPE_CHECKING:
    from ragkit.indexing import Index


@dataclass(frozen=True, slots=True)
class PreparedUnit:
    """Finished model calls for a candidate answer."""

    entries: tuple[Entry, ...]
    calls: int
    """Calls of the model that wrote the questions."""


Prepare = Callable[[Sequence[int]], Generator[PreparedUnit, None, None]]
"""Yields what was done for candidate answers, by their positions in ``units_of_index``."""


class UnitPreparer:
    """Does the model calls for candidate answers in a worker.

    Args:
        index: index of the documents.
        model: writes the questions.
        options: those of the run.
        reader: reads the questions in the gates.
    """

    def __init__(self, index: Index, model: ChatModel, options: QuestionOptions, reader: ChatModel) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="ragkit-")
        self._ledger = Ledger(Path(self._folder.name) / "ledger.sqlite")
        self._units = units_of_index(index, options)
        self._run = QuestionRun(index, model, self._ledger, options, reader, None)

    def prepare(self, number: int) -> dict[str, Any]:
        """Return the fields of a ``PreparedUnit`` as JSON values."""
        before = self._run.writer.calls
        decide_batch(self._run, [self._units[number]])
        return {"entries": self._ledger.take(), "calls": self._run.writer.calls - before}
