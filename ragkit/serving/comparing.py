"""Comparisons of two answers to one question; their configurations are hidden until the vote."""

from __future__ import annotations

import json
import random
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, cast

from ragkit.feedback import Comparison
from ragkit.feedback.records import Winner
from ragkit.serving.conversations import StoredMessage, not_stored
from ragkit.serving.failures import RequestError, StorageFullError, not_found
from ragkit.serving.feedback import feedback_log, reply_of
from ragkit.serving.views import outcome_message, why_view

if TYPE_CHECKING:
    from ragkit.serving.asks import Ask, GenerationResult
    from ragkit.serving.collections import Collection
    from ragkit.serving.context import Context
    from ragkit.serving.conversations import Conversation
    from ragkit.serving.people import Person

Side = Literal["a", "b"]
SIDES: tuple[Side, Side] = ("a", "b")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS comparisons (
    id TEXT PRIMARY KEY, person TEXT NOT NULL,
    conversation TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    question TEXT NOT NULL, a TEXT NOT NULL, b TEXT NOT NULL, winner TEXT, created REAL NOT NULL
) STRICT
"""


@dataclass(frozen=True, slots=True)
class Made:
    """An answer of a comparison, with the configuration that the vote reveals."""

    message: StoredMessage
    why: dict[str, Any]

    @property
    def masked(self) -> StoredMessage:
        """The answer without its configuration."""
        answer = None if self.message.answer is None else {**self.message.answer, "mode": "", "model": None}
        return replace(self.message, config=None, answer=answer)


class Comparisons:
    """The comparisons of a server; routes get them by ``ctx.part(Comparisons)``.

    Args:
        ctx: context of the server.
    """

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        with ctx.database.transaction() as connection:
            connection.execute(_SCHEMA)

    def keep(
        self, identity: str, conversation: Conversation, question: StoredMessage, made: Mapping[Side, Made]
    ) -> None:
        """Store two complete answers: their texts in the conversation, their configurations apart from it."""
        texts = [json.dumps(asdict(made[side]), ensure_ascii=False) for side in SIDES]
        with self._ctx.database.transaction() as connection:
            for side in SIDES:
                self._ctx.conversations.add(made[side].masked, after=question.id)
            # Where the conversation was deleted meanwhile, there is nothing to vote on.
            connection.execute(
                "INSERT INTO comparisons SELECT ?, person, id, ?, ?, ?, NULL, ? FROM conversations WHERE id = ?",
                (identity, question.text, *texts, time.time(), conversation.id),
            )

    def unvoted(self, conversation: str) -> list[dict[str, str]]:
        """Return the comparisons of a conversation that wait for a vote: the id of each, and of its two messages."""
        rows = self._ctx.database.rows(
            "SELECT id, json_extract(a, '$.message.id'), json_extract(b, '$.message.id') FROM comparisons "
            "WHERE conversation = ? AND winner IS NULL ORDER BY created",
            (conversation,),
        )
        return [dict(zip(("id", *SIDES), row, strict=True)) for row in rows]

    def vote(self, person: Person, identity: str, winner: Winner) -> dict[Side, Mapping[str, Any]]:
        """Record the vote on a comparison, and return the configurations of the two answers.

        The better answer stays in the conversation; after a tie, the first one.

        Raises:
            RequestError: 404 if the person has no such comparison, or may not read its collection any more; 409 if
                there already is a vote.
        """
        rows = self._ctx.database.rows(
            "SELECT conversation, question, a, b FROM comparisons WHERE id = ? AND person = ?", (identity, person.id)
        )
        if not rows:
            raise not_found("Unknown comparison")
        place, question, *texts = rows[0]
        conversation = self._ctx.conversation(person, place)
        made = {side: _made(text) for side, text in zip(SIDES, texts, strict=True)}
        event = Comparison(
            collection=conversation.collection,
            question=question,
            person=person.name,
            comparison=identity,
            a=reply_of(made["a"].message, made["a"].why),
            b=reply_of(made["b"].message, made["b"].why),
            winner=winner,
        )
        stays, goes = (made["b"], made["a"]) if winner == "b" else (made["a"], made["b"])
        with self._ctx.database.transaction() as connection:
            voted = connection.execute(
                "UPDATE comparisons SET winner = ? WHERE id = ? AND winner IS NULL", (winner, identity)
            )
            if not voted.rowcount:
                raise RequestError("This comparison already has a vote.", "Votes are final.", status=409, code="voted")
            connection.execute("DELETE FROM messages WHERE id = ?", (goes.message.id,))
            connection.execute(
                "UPDATE messages SET config = ?, answer = ?, why = ? WHERE id = ?",
                (
                    json.dumps(stays.message.config, ensure_ascii=False),
                    json.dumps(stays.message.answer, ensure_ascii=False),
                    json.dumps(stays.why, ensure_ascii=False),
                    stays.message.id,
                ),
            )
            # Last, so that the vote can be repeated if writing the log fails.
            self._ctx.part(feedback_log).add(event)
        return {side: made[side].message.config or {} for side in SIDES}


class Pair:
    """Two answers in progress.

    Args:
        ctx: context of the server.
        collection: opened for the person who asks.
        asks: the two requests; their order on the page is random.
        conversation: conversation to continue; None begins a new one.
    """

    def __init__(
        self, ctx: Context, collection: Collection, asks: tuple[Ask, Ask], conversation: Conversation | None
    ) -> None:
        self.id = secrets.token_urlsafe(12)
        self.collection = collection
        self.asks: dict[Side, Ask] = dict(zip(SIDES, random.sample(asks, 2), strict=True))
        self.conversation = conversation
        self._ctx = ctx
        self._question: StoredMessage | None = None
        self._came: dict[Side, Made | None] = {}
        self._guard = threading.Lock()

    def begin(self) -> Conversation:
        """Store the question, in a new conversation if the request names none."""
        person, question = self.collection.person.id, self.asks["a"].question
        self.conversation, self._question = self._ctx.conversations.ask(
            person, self.collection.name, question, self.conversation
        )
        return self.conversation

    def keep(self, side: Side, outcome: GenerationResult) -> Made | None:
        """Store the result of a side; None if the client disconnected before the question was stored."""
        if self._question is None or self.conversation is None:
            return None
        message = outcome_message(self.conversation.id, outcome, self.collection.index)
        made = Made(message, why_view(outcome))
        try:
            self._settle(side, made)
        except StorageFullError:
            return replace(made, message=not_stored(message))
        return made

    def failed(self, side: Side) -> None:
        """Record that a side has no result."""
        self._settle(side, None)

    def _settle(self, side: Side, made: Made | None) -> None:
        """Once both sides have ended, keep them for the vote, or else the one that is worth keeping."""
        with self._guard:
            if side in self._came:
                return
            self._came[side] = made
            if len(self._came) < 2 or self.conversation is None or self._question is None:
                return
        complete = {side: one for side, one in self._came.items() if one is not None and one.message.complete}
        if len(complete) == 2:
            self._ctx.part(Comparisons).keep(self.id, self.conversation, self._question, complete)
            return
        came = [one for one in self._came.values() if one is not None]
        worth = [*complete.values(), *(one for one in came if one.message.text), *came]
        if worth:
            self._ctx.conversations.add(worth[0].message, worth[0].why, after=self._question.id)


def _made(text: str) -> Made:
    row = json.loads(text)
    return Made(StoredMessage(**row["message"]), cast(dict[str, Any], row["why"]))
