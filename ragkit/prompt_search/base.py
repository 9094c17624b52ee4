"""What a search goes through, what judges it, and how it is bounded."""

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
    """An instruction and the examples shown with it."""

    instruction: str = ""
    shots: tuple[Example, ...] = ()
    """In the order in which they are shown."""

    @property
    def key(self) -> str:
        """16 hexadecimal digits, the same for the same candidate on every machine."""
        return digest(self.to_dict())[:16]

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts, lists and scalars."""
        return {"instruction": self.instruction, "shots": [asdict(shot) for shot in self.shots]}


@dataclass(frozen=True, slots=True)
class ExampleScore:
    """How a candidate did on one example."""

    score: float
    """0 to 1."""
    feedback: str = ""
    """What a person, or a model that is to mend the instruction, should know of it."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.score) and 0 <= self.score <= 1):
            raise SettingsError(f"An outcome's score is {self.score}.", "Have the objective return 0 to 1.")


class Objective(Protocol):
    """Judges a candidate: one model call for each example."""

    def __call__(self, candidate: PromptCandidate, examples: Sequence[Example], /) -> list[ExampleScore]:
        """Return an outcome for each example, in their order."""
        ...


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How far a search goes."""

    calls: int = 500
    """The budget: items scored and proposals made, together; never exceeded."""
    seed: int = 0
    shots: int = 8
    """Examples in each set that ``random`` draws."""
    minibatch: int = 8
    """Dev items on which ``random`` and ``ape`` begin to compare candidates."""
    proposals: int = 8
    """Candidates that are drawn or proposed together: those of one race, or of one step of ``opro``."""
    demos: int = 5
    """Training examples that the proposer is shown to tell it what the task is."""
    reflect: int = 3
    """Training examples that ``gepa`` tries a candidate on before it has it mended."""
    history: int = 20
    """Instructions, the best ones, that ``opro`` shows with their scores."""
    temperature: float = 0.7
    """Of the proposer. At 1, which the papers have, small models write much that means nothing."""
    max_tokens: int = 128
    """Of a proposal."""
    batch: int = 1
    """Items given to the objective in one call and written to the log together; more is faster where the objective
    works on several at once, and loses that many when a run is interrupted."""

    def __post_init__(self) -> None:
        for name in ("calls", "minibatch", "proposals", "demos", "reflect", "history", "max_tokens", "batch"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name}={getattr(self, name)} can't be.", f"Give {name}=1 or more.")
        for name in ("seed", "shots", "temperature"):
            if getattr(self, name) < 0:
                raise SettingsError(f"{name}={getattr(self, name)} can't be.", f"Give {name}=0 or more.")


def digest(value: Any) -> str:
    """Return the sha256 of a value's JSON, in hexadecimal digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode("ascii")).hexdigest()
