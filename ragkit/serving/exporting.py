"""Conversations as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from ragkit.display import unit_name
from ragkit.serving.conversations import StoredMessage


def conversation_markdown(title: str, messages: Sequence[StoredMessage]) -> str:
    """Return a conversation as Markdown, its answers with their sources."""
    parts = [f"# {title}"]
    for message in messages:
        parts += [f"## {message.text}"] if message.role == "user" else _answer_lines(message)
    return "\n\n".join(parts) + "\n"


def _answer_lines(message: StoredMessage) -> list[str]:
    ended = f"*(failed: {message.error['message']})*" if message.error else "*(stopped)*" if message.stopped else ""
    lines = [" ".join(part for part in (message.text, ended) if part)]
    cited = []
    for citation in (message.answer or {}).get("citations", ()):
        unit = unit_name(citation["page"], citation.get("label", ""))
        page = f", {unit}" if unit else ""
        quote = " ".join(citation["quote"].split())
        cited.append(f"- [{citation['number']}] {citation['name']}{page}: “{quote}”")
    return [*lines, "\n".join(cited)] if cited else lines
