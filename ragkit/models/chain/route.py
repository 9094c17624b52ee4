"""Route of a call through a fallback chain: the outcome of each attempt, and its reason, without secrets."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ragkit.errors import RagkitError
from ragkit.records import Message, Usage

AttemptStatus = Literal["answered", "rejected", "failed", "timed out", "cut", "skipped"]
log = logging.getLogger(__name__)
_LONGEST = 300
"""Maximum characters of a reason."""
_ECHO = 16
"""Length of a run of characters that a reason must not share with the prompt; a shorter message must not be contained
completely."""
_SECRETS = (
    re.compile(r"(?<=//)[^\s/@]+@"),
    re.compile(r"(?i)\bbearer\s+\S+"),
    re.compile(r"(?i)\b(?:sk|pk|rk|gsk|xai|hf|api|key|token)[-_][\w-]{6,}"),
    re.compile(r"(?i)(?<=key=)[^\s&]+|(?<=token=)[^\s&]+"),
    re.compile(r"\b(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{24,}\b"),
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """Attempt of one model in a call."""

    model: str
    outcome: AttemptStatus
    """``rejected``: the policy rejected its reply. ``cut``: it failed after part of its reply was sent. ``skipped``: it
    was not called."""
    reason: str
    """Explanation with values, without keys, passwords or text of the prompt."""
    seconds: float
    usage: Usage | None = None
    """Usage as reported by the model; for an incomplete reply, an estimate without cost; None if unknown."""


def why(route: Sequence[Attempt]) -> str:
    """Return a sentence that explains which model answered and why, or an empty text for an empty route."""
    if not route:
        return ""
    before = [f"{attempt.model} {attempt.outcome} ({attempt.reason})" for attempt in route if not _answered(attempt)]
    taken = next(filter(_answered, route), None)
    if taken is None:
        return "; ".join(before)
    said = f"{taken.model} answered ({taken.reason})"
    return "; ".join([*before, said]) if before else said


def answering_model(route: Sequence[Attempt]) -> str | None:
    """Return the name of the model that answered, or None."""
    return next((attempt.model for attempt in route if _answered(attempt)), None)


def reason_of(error: BaseException, messages: Sequence[Message]) -> str:
    """Return the message of an error on one line, redacted by ``discreet``.

    Args:
        error: any error; for one that is not ragkit's, only its type is returned, because its text may contain secrets.
        messages: messages of the prompt.
    """
    if not isinstance(error, RagkitError):
        return f"it failed with {type(error).__name__}"
    return discreet(error.message, messages)


def log_failure(name: str, reason: str, error: BaseException) -> None:
    """Log that a model of a chain failed: the reason, and the places in the code for an error that is not ragkit's.

    Args:
        name: name of the model.
        reason: see ``reason_of``.
        error: any error. Its own text may contain secrets or the prompt, and is not logged.
    """
    places = "" if isinstance(error, RagkitError) else "\n" + "".join(traceback.format_tb(error.__traceback__)).rstrip()
    log.warning("%s failed: %s%s", name, reason, places)


def discreet(text: str, messages: Sequence[Message]) -> str:
    """Return a text on one line of at most 300 characters, without keys, passwords and text of the prompt."""
    text = " ".join(text.split())[: 4 * _LONGEST]
    for secret in _SECRETS:
        text = secret.sub("…", text)
    text = _without_echoes(text, messages).rstrip(".")
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _answered(attempt: Attempt) -> bool:
    return attempt.outcome == "answered"


def _without_echoes(text: str, messages: Sequence[Message]) -> str:
    """Return the text with … in place of parts that occur in the prompt."""
    lowered = text.casefold()
    if len(lowered) != len(text):  # case folding changed the length, so positions would differ
        lowered = text
    echoed = bytearray(len(text))
    for message in messages:
        prompt = " ".join(message.content.casefold().split())
        run = min(_ECHO, len(prompt))
        if run < 4:  # such a short word reveals nothing, and occurs in every error
            continue
        for start in range(len(text) - run + 1):
            if lowered[start : start + run] in prompt:
                echoed[start : start + run] = b"\1" * run
    shown = "".join("\0" if hidden else letter for letter, hidden in zip(text, echoed, strict=True))
    return re.sub("\0+", "…", shown)
