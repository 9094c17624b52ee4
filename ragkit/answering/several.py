"""Several questions in one text: joins their replies to one."""

from __future__ import annotations

from collections.abc import Sequence

from ragkit.answering.readers.base import Part, Reply


def joined(replies: Sequence[tuple[str, Reply | None]], abstention: str) -> Reply:
    """Return one reply that answers each question, with the citations of each.

    Args:
        replies: questions with their replies; None for a question that the documents do not answer.
        abstention: text used instead of an answer.
    """
    parts: list[Part] = []
    for question, reply in replies:
        if reply is None:
            parts.append(Part(f"{question} {abstention}"))
        elif len(reply.parts) == 1:
            (part,) = reply.parts
            parts.append(Part(f"{question} {part.shown}", part.span))
        else:
            parts += [Part(question), *reply.parts]
    missing = " ".join(dict.fromkeys(reply.missing for _, reply in replies if reply is not None and reply.missing))
    names = dict.fromkeys(reply.reader for _, reply in replies if reply is not None)
    return Reply(tuple(parts), "items", missing=missing, reader=", ".join(names))
