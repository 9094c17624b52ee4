"""Conversations: questions and answers, stored in SQLite with full-text search."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ragkit.records import Message
from ragkit.serving.database import Database
from ragkit.serving.failures import StorageFullError, not_found

SCHEMA = """
CREATE TABLE IF NOT EXISTS conversations (
    id TEXT PRIMARY KEY, person TEXT NOT NULL, collection TEXT NOT NULL, title TEXT NOT NULL,
    created REAL NOT NULL, updated REAL NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS conversations_person ON conversations (person, updated);
CREATE TABLE IF NOT EXISTS messages (
    id TEXT PRIMARY KEY, conversation TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    number INTEGER NOT NULL, role TEXT NOT NULL, text TEXT NOT NULL, created REAL NOT NULL, stopped INTEGER NOT NULL,
    question TEXT NOT NULL, config TEXT NOT NULL, answer TEXT NOT NULL, why TEXT NOT NULL, thumb TEXT, correction TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS messages_conversation ON messages (conversation, number);
CREATE VIRTUAL TABLE IF NOT EXISTS said USING fts5 (text, tokenize = 'unicode61 remove_diacritics 2');
CREATE TRIGGER IF NOT EXISTS messages_said AFTER INSERT ON messages BEGIN
    INSERT INTO said (rowid, text) VALUES (new.rowid, new.text);
END;
CREATE TRIGGER IF NOT EXISTS messages_gone AFTER DELETE ON messages BEGIN
    DELETE FROM said WHERE rowid = old.rowid;
END;
"""
_TITLE = 80
_COLUMNS = (
    "m.id, m.conversation, m.role, m.text, m.created, m.stopped, m.question, m.config, m.answer, m.thumb, "
    "m.correction, m.error"
)


@dataclass(frozen=True, slots=True)
class Conversation:
    """A thread of questions to one collection."""

    id: str
    person: str
    """Id of the owner."""
    collection: str
    title: str
    created: float
    """Time of creation in seconds since 1970, like all times here."""
    updated: float


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A question, or its result."""

    id: str
    conversation: str
    role: str
    """``user`` or ``assistant``."""
    text: str
    created: float
    stopped: bool = False
    """Whether it was stopped before it was complete."""
    question: str = ""
    """Question that the answer is for."""
    config: Mapping[str, Any] | None = None
    """Configuration of an answer: ``{collection, model, mode, shots}``."""
    answer: Mapping[str, Any] | None = None
    """Answer so far: ``{mode, abstained, confidence, citations, unsupported}``."""
    thumb: str | None = None
    correction: str | None = None
    error: Mapping[str, Any] | None = None
    """Error of a failed answer: ``{message, hint, code}``."""

    @property
    def complete(self) -> bool:
        """Whether it is an answer that was not stopped and did not fail."""
        return self.answer is not None and not self.stopped


class Conversations:
    """The conversations of a server.

    Args:
        database: database of the server.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        if "error" not in {row[1] for row in database.rows("PRAGMA table_info(messages)")}:
            # A file of an earlier version.
            with database.transaction() as connection:
                connection.execute("ALTER TABLE messages ADD COLUMN error TEXT NOT NULL DEFAULT 'null'")

    def start(self, person: str, collection: str, question: str) -> Conversation:
        """Begin a conversation, titled with its first question."""
        now = time.time()
        flat = " ".join(question.split())
        title = flat if len(flat) <= _TITLE else f"{flat[: _TITLE - 1]}…"
        made = Conversation(secrets.token_urlsafe(12), person, collection, title, now, now)
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO conversations VALUES (?, ?, ?, ?, ?, ?)",
                (made.id, person, collection, title, now, now),
            )
        return made

    def ask(
        self, person: str, collection: str, question: str, conversation: Conversation | None
    ) -> tuple[Conversation, StoredMessage]:
        """Store a question, in a new conversation unless one is continued, and return both."""
        with self._database.transaction():
            conversation = conversation or self.start(person, collection, question)
            return conversation, self.add(new_message(conversation.id, "user", question))

    def get(self, person: str, identity: str) -> Conversation:
        """Return a person's conversation.

        Raises:
            RequestError: 404 if it does not exist or belongs to another person.
        """
        rows = self._database.rows(
            "SELECT id, person, collection, title, created, updated FROM conversations WHERE id = ? AND person = ?",
            (identity, person),
        )
        if not rows:
            raise no_conversation()
        return Conversation(*rows[0])

    def find(self, person: str, collections: Sequence[str], query: str = "", limit: int = 100) -> list[Conversation]:
        """Return a person's conversations about collections, the latest first.

        Args:
            person: id of the owner.
            collections: return only conversations about these.
            query: return only conversations in which each of its words begins a word of the title or of a message.
            limit: maximum number of conversations.
        """
        marks = ", ".join("?" * len(collections))
        sql = (
            "SELECT id, person, collection, title, created, updated FROM conversations c "  # noqa: S608
            f"WHERE person = ? AND collection IN ({marks})"
        )
        parameters: list[Any] = [person, *collections]
        for word in re.findall(r"\w+", query)[:20]:
            sql += (
                " AND (title LIKE ? ESCAPE '\\' OR EXISTS (SELECT 1 FROM said JOIN messages m ON m.rowid = said.rowid "
                "WHERE said MATCH ? AND m.conversation = c.id))"
            )
            escaped = re.sub(r"([\\%_])", r"\\\1", word)
            parameters += [f"%{escaped}%", f'"{word}"*']
        rows = self._database.rows(f"{sql} ORDER BY updated DESC, id LIMIT ?", (*parameters, limit))
        return [Conversation(*row) for row in rows]

    def rename(self, identity: str, title: str) -> None:
        """Rename a conversation."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE conversations SET title = ? WHERE id = ?", (title, identity))

    def delete(self, identity: str) -> None:
        """Delete a conversation with all its messages and their traces."""
        with self._database.transaction() as connection:
            # One by one and not by the reference, for whose deletions no trigger runs.
            connection.execute("DELETE FROM messages WHERE conversation = ?", (identity,))
            connection.execute("DELETE FROM conversations WHERE id = ?", (identity,))

    def remove_person(self, person: str, heir: str | None = None) -> int:
        """Delete a person's conversations or give them to another person, and return their number.

        Args:
            person: id of the owner.
            heir: id of the person who gets them; None to delete them.
        """
        with self._database.transaction() as connection:
            if heir is not None:
                return connection.execute(
                    "UPDATE conversations SET person = ? WHERE person = ?", (heir, person)
                ).rowcount
            # One by one and not by the reference, for whose deletions no trigger runs.
            connection.execute(
                "DELETE FROM messages WHERE conversation IN (SELECT id FROM conversations WHERE person = ?)", (person,)
            )
            return connection.execute("DELETE FROM conversations WHERE person = ?", (person,)).rowcount

    def add(
        self, message: StoredMessage, why: Mapping[str, Any] | None = None, *, after: str | None = None
    ) -> StoredMessage:
        """Store a message at the end of its conversation, or an answer directly after its question.

        Args:
            message: message to store.
            why: for an answer, everything that led to it.
            after: id of the question that it answers. Others may have been asked since, such as in a second window.
        """
        with self._database.transaction() as connection:
            # A question takes a number and leaves the next one to its answer.
            connection.execute(
                "INSERT INTO messages (id, conversation, number, role, text, created, stopped, question, config, "
                "answer, why, thumb, correction, error) "
                "SELECT ?, ?, coalesce((SELECT number + 1 FROM messages WHERE id = ?), (SELECT max(number) + 2 "
                "FROM messages WHERE conversation = ?), 0), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? "
                "WHERE EXISTS (SELECT 1 FROM conversations WHERE id = ?)",
                (
                    message.id,
                    message.conversation,
                    after,
                    message.conversation,
                    message.role,
                    message.text,
                    message.created,
                    message.stopped,
                    message.question,
                    json.dumps(message.config, ensure_ascii=False),
                    json.dumps(message.answer, ensure_ascii=False),
                    json.dumps(why, ensure_ascii=False),
                    message.thumb,
                    message.correction,
                    json.dumps(message.error, ensure_ascii=False),
                    message.conversation,
                ),
            )
            connection.execute(
                "UPDATE conversations SET updated = ? WHERE id = ?", (message.created, message.conversation)
            )
        return message

    def messages(self, conversation: str) -> list[StoredMessage]:
        """Return the messages of a conversation, oldest first."""
        rows = self._database.rows(
            f"SELECT {_COLUMNS} FROM messages m WHERE conversation = ? ORDER BY number, m.rowid",  # noqa: S608
            (conversation,),
        )
        return [_message(row) for row in rows]

    def message(self, person: str, identity: str) -> StoredMessage:
        """Return a person's message.

        Raises:
            RequestError: 404 if it does not exist or belongs to another person.
        """
        rows = self._database.rows(
            f"SELECT {_COLUMNS} FROM messages m JOIN conversations c ON c.id = m.conversation "  # noqa: S608
            "WHERE m.id = ? AND c.person = ?",
            (identity, person),
        )
        if not rows:
            raise no_message()
        return _message(rows[0])

    def why(self, identity: str) -> dict[str, Any] | None:
        """Return everything that led to an answer; None for a question."""
        rows = self._database.rows("SELECT why FROM messages WHERE id = ?", (identity,))
        return json.loads(rows[0][0]) if rows else None

    def rate(self, identity: str, thumb: str | None, correction: str | None) -> None:
        """Store the rating of an answer by the person who asked."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE messages SET thumb = ?, correction = ? WHERE id = ?", (thumb, correction, identity)
            )

    def history(self, conversation: str) -> list[Message]:
        """Return the questions of a conversation that were answered, with their answers, oldest first."""
        turns: list[Message] = []
        for message in self.messages(conversation):
            if message.complete and message.answer is not None and not message.answer["abstained"]:
                # The numbers of citations mean nothing in another prompt.
                said = re.sub(r"\s*\[\d+\]", "", message.text)
                turns += [Message("user", message.question), Message("assistant", said)]
        return turns


def new_message(conversation: str, role: str, text: str, **more: Any) -> StoredMessage:
    """Return a message of this moment, with an id of its own."""
    return StoredMessage(secrets.token_urlsafe(12), conversation, role, text, time.time(), **more)


def not_stored(message: StoredMessage) -> StoredMessage:
    """Return a message that a full disk keeps from being stored, with the reason."""
    full = StorageFullError()
    error = {"message": f"{full.message} This answer is not saved.", "hint": full.hint, "code": full.code}
    return replace(message, error=error)


def no_conversation() -> Exception:
    """Return the error for a conversation that is not there, or not there for this person."""
    return not_found("Unknown conversation", "List them with GET /api/conversations.")


def no_message() -> Exception:
    """Return the error for a message that is not there, or not there for this person."""
    return not_found("Unknown message")


def _message(row: Sequence[Any]) -> StoredMessage:
    identity, conversation, role, text, created, stopped, question, config, answer, thumb, correction, error = row
    return StoredMessage(
        identity,
        conversation,
        role,
        text,
        created,
        bool(stopped),
        question,
        json.loads(config),
        json.loads(answer),
        thumb,
        correction,
        json.loads(error),
    )
