"""Ratings of answers: a thumb, and a correction."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from ragkit.feedback import Correction, Rating
from ragkit.serving.context import Ctx, Who
from ragkit.serving.conversations import no_message
from ragkit.serving.failures import RequestError
from ragkit.serving.feedback import feedback_log, reply_of
from ragkit.serving.names import harmless

LONGEST = 20_000
"""Characters of a correction or an example's answer."""

router = APIRouter(prefix="/api", tags=["feedback"])


class RatingBody(BaseModel):
    """Absent fields stay unchanged; null removes a value."""

    model_config = ConfigDict(extra="forbid")

    thumb: Literal["up", "down"] | None = None
    correction: Annotated[str, Field(max_length=LONGEST)] | None = None


@router.post("/messages/{message_id}/rating")
def rate(ctx: Ctx, person: Who, message_id: str, body: RatingBody) -> dict[str, Any]:
    """Rate one of your own answers, and correct it."""
    message, conversation = ctx.message(person, message_id)
    if message.role != "assistant":
        raise no_message()
    given = body.model_fields_set
    if not given:
        raise RequestError("The thumb and the correction are missing.", "Specify one, or null to remove it.")
    thumb = body.thumb if "thumb" in given else message.thumb
    correction = (harmless(body.correction or "").strip() or None) if "correction" in given else message.correction
    log, collection = ctx.part(feedback_log), conversation.collection
    reply = reply_of(message, ctx.conversations.why(message.id))
    about: Any = {"collection": collection, "question": message.question, "person": person.name, "reply": reply}
    if thumb != message.thumb:
        log.add(Rating(**about, thumb=thumb))  # type: ignore[arg-type]
    if correction != message.correction:
        log.add(Correction(**about, text=correction))
    ctx.conversations.rate(message.id, thumb, correction)
    return {"rating": {"thumb": thumb, "correction": correction} if thumb or correction else None}
