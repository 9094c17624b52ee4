"""Prompt candidates, objectives, and the options of a search."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

from ragkit.errors import SettingsError
from ragkit.records import Example

Method = Literal["random", "ape", "opro", "gepa"]


@dataclass(frozen=True, slots=True)
class PromptCandidate:
    """An instruction with shots."""

    instruction: str = ""
    shots: tuple[Example, ...] = ()
    """Examples, in the order of the prompt."""

    @property
    def key(self) -> str:
        """Hash of the candidate: 16 hexadecimal digits, equal on all machines."""
        return digest(self.to_dict())[:16]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {"instruction": self.instruction, "shots": [asdict(shot) for shot in self.shots]}


@dataclass(frozen=True, slots=True)
class ExampleScore:
    """Score of a candidate on one example."""

    score: float
    """Score, 0 to 1."""
    feedback: str = ""
    """Feedback for a person, or for a model that improves the instruction."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.score) and 0 <= self.score <= 1):
            raise SettingsError(f"score must be between 0 and 1, got {self.score}.", "Correct the objective.")


class Objective(Protocol):
    """Scores a candidate: one model call per example."""

    def __call__(self, candidate: PromptCandidate, examples: Sequence[Example], /) -> list[ExampleScore]:
        """Return the score of each example, in order."""
        ...


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """Options of a search."""

    max_calls: int = 500
    """Maximum number of calls, for scored items and proposals together."""
    seed: int = 0
    shots: int = 8
    """Number of shots in each set that ``random`` samples."""
    minibatch: int = 8
    """Number of dev items in the first round of ``random`` and ``ape``."""
    proposals: int = 8
    """Number of candidates per round of ``random`` and ``ape``, or per step of ``opro``."""
    demos: int = 5
    """Number of training examples that demonstrate the task to the proposer."""
    reflect: int = 3
    """Number of training examples on which ``gepa`` tests a candidate before it is improved."""
    history: int = 20
    """Number of the best instructions that ``opro`` shows with their scores."""
    temperature: float = 0.7
    """Sampling temperature of the proposer. At 1, as in the papers, small models write many meaningless proposals."""
    max_tokens: int = 128
    """Maximum tokens of a proposal."""
    batch_size: int = 1
    """Number of items per call of the objective, which are logged together. Larger batches are faster if the objective
    processes items in parallel, but an interruption loses the current batch."""

    def __post_init__(self) -> None:
        for name in ("max_calls", "minibatch", "proposals", "demos", "reflect", "history", "max_tokens", "batch_size"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} must be >= 1, got {getattr(self, name)}.", "Pass a larger value.")
        for name in ("seed", "shots", "temperature"):
            if getattr(self, name) < 0:
                raise SettingsError(f"{name} must be >= 0, got {getattr(self, name)}.", "Pass a larger value.")


def digest(value: Any) -> str:
    """Return the sha256 of a value's JSON, as hexadecimal digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode("ascii")).hexdigest()
