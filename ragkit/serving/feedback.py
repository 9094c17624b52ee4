"""The server's feedback log, and messages as its events contain them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ragkit.feedback import FeedbackLog, Reply
from ragkit.feedback.log import FILE_NAME
from ragkit.feedback.records import Configuration, Quote
from ragkit.records import Message
from ragkit.serving.conversations import StoredMessage
from ragkit.serving.failures import RequestError

if TYPE_CHECKING:
    from ragkit.serving.context import Context


def feedback_log(ctx: Context) -> FeedbackLog:
    """Open the feedback log of a server; routes get it by ``ctx.part(feedback_log)``."""
    return FeedbackLog.open(ctx.state / FILE_NAME)


def configuration(config: Mapping[str, Any]) -> Configuration:
    """Return what made an answer, without the collection, which events name by themselves."""
    return Configuration(config["model"], config["mode"], config["shots"])


def configuration_view(config: Configuration) -> dict[str, Any]:
    """Return a configuration as clients see it."""
    return {"model": config.model, "mode": config.mode, "shots": config.shots, **config.other, "label": config.label}


def reply_of(message: StoredMessage, why: Mapping[str, Any] | None) -> Reply:
    """Return an answer as an event contains it: with its prompt and its citations, documents by name.

    Args:
        message: an answer, complete or stopped.
        why: trace of the answer.

    Raises:
        RequestError: 409 if it is one of two that are still to be compared.
    """
    if message.config is None:
        raise RequestError(
            "This answer is part of a comparison without a vote.",
            "Choose the better answer first.",
            status=409,
            code="not_voted",
        )
    answer, known = message.answer or {}, why or {}
    citations = answer.get("citations", ())
    return Reply(
        message.text,
        configuration(message.config),
        tuple(Message(turn["role"], turn["content"]) for turn in known.get("prompt", ())),
        known.get("reply", ""),
        tuple(
            Quote(c["document_id"], c["name"], c["quote"], c["start"], c["end"], c["page"], c.get("label", ""))
            for c in citations
        ),
        answer.get("abstained", False),
        message.id,
    )
