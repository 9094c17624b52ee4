"""The way of a call down a chain of models: who was tried, what came of it and why, in words that give nothing away."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ragkit.errors import RagkitError
from ragkit.records import Message, Usage

AttemptStatus = Literal["answered", "rejected", "failed", "timed out", "cut", "skipped"]
_LONGEST = 300
"""Characters of a reason."""
_ECHO = 16
"""Characters in a row that a reason may not share with the prompt; a shorter message may not be there whole."""
_SECRETS = (
    re.compile(r"(?<=//)[^\s/@]+@"),
    re.compile(r"(?i)\bbearer\s+\S+"),
    re.compile(r"(?i)\b(?:sk|pk|rk|gsk|xai|hf|api|key|token)[-_][\w-]{6,}"),
    re.compile(r"(?i)(?<=key=)[^\s&]+|(?<=token=)[^\s&]+"),
    re.compile(r"\b(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{24,}\b"),
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One model's part in a call."""

    model: str
    outcome: AttemptStatus
    """``rejected``: it replied and the policy would not have it. ``cut``: it failed after a part of its reply was given
    out. ``skipped``: it was not asked."""
    reason: str
    """In words, with the values; no key, no password and nothing of the prompt."""
    seconds: float
    usage: Usage | None = None
    """What the model told; where its reply broke off, the prompt as counted and a token for each piece, without a
    cost; None where it told nothing."""


def why(route: Sequence[Attempt]) -> str:
    """Return in one sentence why the model that answered was the one, or an empty text for an empty route."""
    if not route:
        return ""
    before = [f"{attempt.model} {attempt.outcome} ({attempt.reason})" for attempt in route if not _answered(attempt)]
    taken = next(filter(_answered, route), None)
    if taken is None:
        return "; ".join(before)
    said = f"{taken.model} answered ({taken.reason})"
    return "; ".join([*before, said]) if before else said


def answering_model(route: Sequence[Attempt]) -> str | None:
    """Return the name of the model that answered."""
    return next((attempt.model for attempt in route if _answered(attempt)), None)


def reason_of(error: BaseException, messages: Sequence[Message]) -> str:
    """Return what an error says, in a line, as ``discreet`` lets it be told.

    Args:
        error: any; of one that is not ragkit's only its kind is told, since nobody knows what its text holds.
        messages: the prompt.
    """
    if not isinstance(error, RagkitError):
        return f"it failed with {type(error).__name__}"
    return discreet(error.message, messages)


def discreet(text: str, messages: Sequence[Message]) -> str:
    """Return a text in a line of at most 300 characters, without keys, passwords and what it repeats of the prompt."""
    text = " ".join(text.split())[: 4 * _LONGEST]
    for secret in _SECRETS:
        text = secret.sub("…", text)
    text = _without_echoes(text, messages).rstrip(".")
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _answered(attempt: Attempt) -> bool:
    return attempt.outcome == "answered"


def _without_echoes(text: str, messages: Sequence[Message]) -> str:
    """Return the text with … in place of what stands in the prompt too."""
    lowered = text.casefold()
    if len(lowered) != len(text):  # folding made letters longer: places would be off
        lowered = text
    echoed = bytearray(len(text))
    for message in messages:
        prompt = " ".join(message.content.casefold().split())
        run = min(_ECHO, len(prompt))
        if run < 4:  # a word this short tells nothing, and is in every error
            continue
        for start in range(len(text) - run + 1):
            if lowered[start : start + run] in prompt:
                echoed[start : start + run] = b"\1" * run
    shown = "".join("\0" if hidden else letter for letter, hidden in zip(text, echoed, strict=True))
    return re.sub("\0+", "…", shown)
