"""Permanently assigns questions to training or measurement: nothing is learned from a question that measures."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Self, TypeVar

from ragkit.errors import SettingsError
from ragkit.examples import ExamplePool, find_leaks
from ragkit.examples.pool import letters, normal
from ragkit.feedback.log import FeedbackLog
from ragkit.records import Example

VAL_FRACTION = 0.2
"""Share of the questions that are held out for evaluation."""
NEAR = 0.95
"""Minimum cosine of two questions that count as the same."""
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Feedback that a reader left out."""

    question: str
    why: str


@dataclass(frozen=True, slots=True)
class Reading(Generic[Row]):
    """Rows that a reader produced from the log, and the events that it left out."""

    rows: list[Row]
    left_out: list[LeftOut]
    measuring: int
    """Number of questions in the complete log that are reserved for measurement."""
    teaching: int
    """Number of the other questions."""


@dataclass(frozen=True, slots=True)
class Split:
    """The questions of a log, divided into measurement and training.

    A question measures if the hash of its letters says so, which never changes and depends on no other question; unless
    a person has chosen it, or one that is nearly the same, as an example: what models are shown measures nothing.
    """

    measuring: Mapping[str, str]
    """Questions reserved for measurement, by their letters."""
    shown: Mapping[str, str]
    """Questions that would measure, by their letters, with the identical or nearly identical example."""
    teaching: int
    """Number of other questions."""

    @classmethod
    def of(cls, log: FeedbackLog, val_fraction: float = VAL_FRACTION) -> Self:
        """Return the split of all questions in a log.

        Args:
            log: log to read.
            val_fraction: share of the questions that measure, 0 to less than 1.

        Raises:
            SettingsError: if ``val_fraction`` is out of range.
        """
        if not 0 <= val_fraction < 1:
            raise SettingsError(
                f"val_fraction must be >= 0 and < 1, got {val_fraction}.", "Use a fraction such as 0.2."
            )
        events = log.events()
        questions = {_key(event.question): event.question for event in events}
        # One that was taken back counts too: it may have been learned from meanwhile.
        chosen = {_key(event.question): event.question for event in events if event.kind == "example"}
        drawn = {key: question for key, question in questions.items() if _drawn(key, val_fraction)}
        near = nearly((question for key, question in drawn.items() if key not in chosen), chosen.values())
        shown = {
            key: chosen.get(key) or near[question]
            for key, question in drawn.items()
            if key in chosen or question in near
        }
        measuring = {key: question for key, question in drawn.items() if key not in shown}
        return cls(measuring, shown, len(questions) - len(measuring))

    def measures(self, question: str) -> bool:
        """Return whether a question is reserved for measurement."""
        return _key(question) in self.measuring

    def shown_as(self, question: str) -> str | None:
        """Return the example that keeps a question from measuring, or None."""
        return self.shown.get(_key(question))

    def kept_apart(self, questions: Iterable[str]) -> dict[str, str]:
        """Return the questions that nothing may be learned from, each with why."""
        asked = list(dict.fromkeys(questions))
        why = {question: "it is kept to measure with" for question in asked if self.measures(question)}
        near = nearly((question for question in asked if question not in why), self.measuring.values())
        return why | {question: f"it is nearly what is kept to measure with: {one}" for question, one in near.items()}


def nearly(questions: Iterable[str], others: Iterable[str], cosine: float = NEAR) -> dict[str, str]:
    """Return the questions that have a near-duplicate among others, each with the most similar one.

    Args:
        questions: questions to look for.
        others: questions to compare with.
        cosine: minimum cosine of near-duplicates; see ``ragkit.examples.find_leaks``.
    """
    known = [Example(text, "-") for text in dict.fromkeys(others) if text.strip()]
    asked = [Example(text, "-") for text in dict.fromkeys(questions) if text.strip()]
    if not known or not asked:
        return {}
    with tempfile.TemporaryDirectory() as folder, ExamplePool.create(Path(folder) / "pool") as pool:
        pool.add(known)
        return {leak.example.input: leak.found.input for leak in find_leaks(pool, asked, cosine)}


def _key(question: str) -> str:
    return letters(question) or normal(question)


def _drawn(key: str, val_fraction: float) -> bool:
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) < val_fraction * 2**64
