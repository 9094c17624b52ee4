"""Options of an adaptation, and how its time is divided over the stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from ragkit.datagen.generate import QuestionPlan, plan_questions
from ragkit.datagen.ledger import Ledger
from ragkit.datagen.question_run import QuestionOptions
from ragkit.errors import SettingsError
from ragkit.models.base import ChatModel

if TYPE_CHECKING:
    from ragkit.indexing import Index

QUESTIONS: Final = "questions"
EMBEDDER: Final = "embedder"
READER: Final = "reader"
EXAMPLES: Final = "examples"
THRESHOLDS: Final = "thresholds"
SHARES: Final[Mapping[str, float]] = {QUESTIONS: 0.35, EMBEDDER: 0.2, READER: 0.3, EXAMPLES: 0.1, THRESHOLDS: 0.05}
"""Share of the time of each stage, in the order in which they run. Later stages get what earlier ones leave."""
TRAINED: Final = (EMBEDDER, READER)
"""Stages that need the extra ``tune``."""
_PACKAGES = ("torch", "transformers", "peft")


@dataclass(frozen=True, slots=True)
class AdaptOptions:
    """Options of ``adapt_index``."""

    minutes: float = 60.0
    """Time for all stages."""
    number: int = 1000
    """Maximum number of generated questions."""
    held_out: float = 0.3
    """Fraction of the documents, by number of questions, that decide on promotion and are not trained on."""
    stages: tuple[str, ...] = tuple(SHARES)
    """Stages to run; questions are always generated."""
    base: str = "default"
    """Base model of the reader; see ``ragkit.tuning.lora.base_model.base_model``."""
    passages: int = 1
    """Passages in the prompts of the reader."""
    max_eval_samples: int = 100
    """Maximum number of held-out questions that a language model is asked."""
    threads: int = 0
    """Threads of language models; 0 for all cores."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.minutes > 0 or not 0 < self.held_out < 1 or min(self.number, self.passages) < 1:
            raise SettingsError(
                "minutes must be > 0, held_out between 0 and 1, number and passages >= 1, "
                f"got minutes={self.minutes}, held_out={self.held_out}, number={self.number} and "
                f"passages={self.passages}.",
                "Pass values in these ranges.",
            )
        unknown = [name for name in self.stages if name not in SHARES]
        if unknown:
            raise SettingsError(f"Unknown stage {unknown[0]!r}.", f"Legal values: {', '.join(SHARES)}.")

    def question_options(self) -> QuestionOptions:
        """Return the options of question generation.

        Questions whose passage is among the first ten hits are kept too: if only those with the first hit were, no
        embedder could be better than the one in use.
        """
        # As many as there are, at most: near misses are composed of kept rows.
        return QuestionOptions(number=self.number, retriever_rows=True, unanswerable=max(20, self.number // 2))


@dataclass(frozen=True, slots=True)
class AdaptPlan:
    """The changes that an adaptation would make."""

    questions: QuestionPlan
    minutes: Mapping[str, float]
    """Time of each stage."""
    skipped: Mapping[str, str]
    """Stages that can't run, with the reason."""


def missing_packages() -> list[str]:
    """Return the packages of the extra ``tune`` that are not installed."""
    return [name for name in _PACKAGES if find_spec(name) is None]


def skipped_stages(stages: Sequence[str]) -> dict[str, str]:
    """Return the stages that can't run on this machine, with the reason."""
    missing = missing_packages()
    why = f"{', '.join(missing)} not installed. Install: pip install 'ragkit[tune]'"
    return {name: why for name in TRAINED if missing and name in stages}


def minutes_of(stages: Sequence[str], left: float) -> dict[str, float]:
    """Divide time over stages by their shares."""
    total = sum(SHARES[name] for name in stages)
    return {name: left * SHARES[name] / total for name in SHARES if name in stages}


def running_stages(options: AdaptOptions) -> list[str]:
    """Return the stages that can run, in order; questions come first."""
    skipped = skipped_stages(options.stages)
    return [name for name in SHARES if name == QUESTIONS or (name in options.stages and name not in skipped)]


def plan_adaptation(index: Index, model: ChatModel, ledger: Ledger, options: AdaptOptions | None = None) -> AdaptPlan:
    """Return what ``adapt_index`` would do. Writes the first questions, into the ledger, to measure the time.

    Raises:
        DataError: if the documents have no candidate answers.
        ModelError: if the model can't be called.
    """
    options = options or AdaptOptions()
    planned = plan_questions(index, model, ledger, options.question_options())
    return AdaptPlan(planned, minutes_of(running_stages(options), options.minutes), skipped_stages(options.stages))
