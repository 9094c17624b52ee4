"""Rewrites a question for the search with a model: a follow-up as a standalone question, or a translation.

The reply of the model is used only for the search, and only if it passes a check: one line, not much longer than its
input, with every number and identifier of the question, and without names or numbers that were not mentioned.
Otherwise, the reading by rules is used.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ragkit.answering.history import MAX_CHARS, MAX_TURNS
from ragkit.answering.kinds import Kind
from ragkit.answering.language import language_name
from ragkit.answering.question import ALONE, GIVEN, LEAVES_TOPIC, Question, understand
from ragkit.models.base import ChatModel, GenerationOptions, complete
from ragkit.prompting import Templates
from ragkit.records import Message, Usage
from ragkit.retrieval.terms import content_terms

TRANSLATES_FROM = 400_000_000
"""Minimum number of parameters of a local model for a translation; one of 0.5 billion translated 4 of 6 questions well
enough to search with."""
_MAX_TOKENS = 120
_LONGER = 4
"""Times the length of the question that a rewritten question may have."""
_NEW_WORDS = 0.5
"""Share of the content words of a rewritten follow-up that may be new."""
_VAGUE_KINDS = frozenset({"fact", "keywords", "identifier"})
"""Kinds that a question is given if its wording states no other."""
_QUESTION_MARKS = ("?", "？", "؟")
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_CODE = re.compile(r"\b(?=\w*[A-Z])(?=\w*\d)\w[\w-]*\b|\b[A-Z]{2,}\b")
"""An identifier or an acronym, which no language changes."""
_ENGLISH_SHOTS = (
    Message("user", "Wie lange dauert die Bearbeitung eines Antrags?"),
    Message("assistant", "How long does it take to process an application?"),
    Message("user", "¿Quién puede pedir una tarjeta?"),
    Message("assistant", "Who can request a card?"),
)


@dataclass(frozen=True, slots=True)
class Rewriting:
    """Result of rewriting a question with a model."""

    question: Question | None
    """The rewritten question; None if the reply failed the check."""
    usage: Usage


def needs_rewriting(question: Question, language: str | None, *, judges: bool, parameters: int | None) -> bool:
    """Return whether a model should rewrite a question.

    Args:
        question: question as analysed by rules.
        language: language of the documents, if the question is in another one.
        judges: whether the model can write and judge by itself; smaller ones translate only.
        parameters: number of parameters of a local model; None if unknown.
    """
    if question.why_query == GIVEN:
        return False
    if language is not None:
        return judges or (parameters is not None and parameters >= TRANSLATES_FROM)
    return judges and question.why_query not in (ALONE, LEAVES_TOPIC)


def rewrite(
    question: Question,
    history: Sequence[Message],
    language: str | None,
    model: ChatModel,
    templates: Templates,
    kind: Kind | None = None,
) -> Rewriting:
    """Return a question rewritten by a model.

    Args:
        question: question as analysed by rules.
        history: the chat so far, oldest first.
        language: ISO 639-1 code of the documents' language, if the question is in another one.
        model: asked for one line of text.
        templates: templates with the prompts.
        kind: kind of the question, if the caller gave it.

    Raises:
        ModelError: if the model fails.
    """
    target = language_name(language or question.language or "en")
    alone = question.why_query in (ALONE, LEAVES_TOPIC)
    turns = [turn for turn in history[-MAX_TURNS:] if turn.content.strip()] if not alone else []
    if turns:
        conversation = "\n".join(f"{turn.role}: {' '.join(turn.content.split())[:MAX_CHARS]}" for turn in turns)
        messages = [
            Message("system", templates.fill("rewrite_system", language=target)),
            Message("user", templates.fill("rewrite_user", conversation=conversation, question=question.text)),
        ]
    else:
        shots = _ENGLISH_SHOTS if language == "en" else ()
        messages = [
            Message("system", templates.fill("translate_system", language=target)),
            *shots,
            Message("user", " ".join(question.text.split())),
        ]
    reply = complete(model, messages, GenerationOptions(max_tokens=_MAX_TOKENS, temperature=0.0, stop=("\n",)))
    line = reply.text.strip().strip("\"“”'").strip()
    said = " ".join([question.text, *(turn.content for turn in turns)])
    if reply.finish == "length" or not _faithful(line, question.text, said, same_language=language is None):
        return Rewriting(None, reply.usage)
    if kind is None and language is not None and question.kind not in _VAGUE_KINDS:
        # The wording of the question says more about its kind than that of a translation.
        kind = question.kind
    made = understand(line, kind=kind)
    # The reading by rules is searched as well, so that a rewritten follow-up loses nothing that it would have found.
    also = (question.query,) if language is None else ()
    why = f"rewritten by {model.name}" if language is None else f"translated into {target} by {model.name}"
    rewritten = replace(made, text=question.text, why_query=why, also=also, language=question.language)
    return Rewriting(rewritten, reply.usage)


def _faithful(line: str, asked: str, said: str, *, same_language: bool) -> bool:
    """Return whether a rewritten question may replace the original one.

    Args:
        line: the rewritten question.
        asked: the question as asked.
        said: the question and the conversation before it.
        same_language: whether all of them are in one language, so that their words can be compared.
    """
    if not line or len(line) > _LONGER * len(asked) + 200:
        return False
    if asked.rstrip().endswith(_QUESTION_MARKS) and not line.endswith(_QUESTION_MARKS):
        return False
    numbers = set(_NUMBER.findall(line))
    if not set(_NUMBER.findall(asked)) <= numbers or not numbers <= set(_NUMBER.findall(said)):
        return False
    if not {code.casefold() for code in _CODE.findall(asked)} <= {
        word.casefold() for word in re.findall(r"[\w-]+", line)
    }:
        return False
    if not same_language:
        return True
    known = set(content_terms(said))
    words = set(content_terms(line))
    return bool(words) and len(words - known) <= _NEW_WORDS * len(words)
