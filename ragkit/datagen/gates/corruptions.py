"""Planted corruptions: rows that are made wrong in a known way, so that gates are calibrated without labels."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

from ragkit.answering.language import language_of
from ragkit.answering.sentences import sentences_of
from ragkit.answering.spans import candidates
from ragkit.datagen.gates.base import passage_of
from ragkit.datagen.gates.reading import sources_of
from ragkit.datagen.rows import DataRow, TextSpan
from ragkit.records import Message
from ragkit.retrieval.terms import CJK, content_terms, content_words, words

CorruptionKind = Literal["swapped answer", "other passage", "truncated question", "generic question", "pronoun"]
KINDS: Final[tuple[CorruptionKind, ...]] = get_args(CorruptionKind)
_GENERIC: Final = {
    "en": ("What is discussed?", "What is described here?", "What is the main topic?", "What happened then?"),
    "de": ("Worum geht es?", "Was wird hier beschrieben?", "Was ist das Thema?", "Was ist dann passiert?"),
    "fr": ("De quoi est-il question ?", "Quel est le sujet principal ?", "Que s'est-il passé ensuite ?"),
    "es": ("¿De qué se habla?", "¿Cuál es el tema principal?", "¿Qué pasó después?"),
    "it": ("Di che cosa si parla?", "Qual è l'argomento principale?", "Che cosa è successo dopo?"),
    "pt": ("Do que se fala?", "Qual é o tema principal?", "O que aconteceu depois?"),
    "nl": ("Waar gaat het over?", "Wat is het onderwerp?", "Wat gebeurde er toen?"),
    "zh": ("这里讨论了什么?", "主要内容是什么?", "后来发生了什么?"),
    "ja": ("何について述べていますか?", "主題は何ですか?", "その後何が起こりましたか?"),
}
_PRONOUNS: Final = {"en": "it", "de": "es", "fr": "il", "es": "él", "it": "esso", "pt": "ele", "nl": "het"}
_NAME = re.compile(r"(?:(?:the|The) )?[^\W\da-z_][\w.'’-]*(?: (?:(?:of|the|de|von|van) )?[^\W\da-z_][\w.'’-]*)*")
_TRIES = 20
"""Other rows that are looked at for a passage that does not contain the answer."""


@dataclass(frozen=True, slots=True)
class Corruption:
    """A row that was made wrong."""

    row: DataRow
    kind: CorruptionKind
    original: DataRow


def plant(rows: Sequence[DataRow], kinds: Sequence[CorruptionKind] = KINDS, seed: int = 0) -> list[Corruption]:
    """Return every corruption of the given kinds that the rows allow; see ``corrupt``."""
    chance = random.Random(seed)  # noqa: S311
    planted = (corrupt(row, kind, rows, chance) for row in rows for kind in kinds)
    return [one for one in planted if one is not None]


def plant_one_each(rows: Sequence[DataRow], seed: int = 0) -> list[Corruption]:
    """Return at most one corruption of each row: of all kinds in turn, or the next kind that the row allows."""
    chance = random.Random(seed)  # noqa: S311
    planted = []
    for number, row in enumerate(rows):
        order = (KINDS[(number + step) % len(KINDS)] for step in range(len(KINDS)))
        made = (corrupt(row, kind, rows, chance) for kind in order)
        planted += [one for one in made if one is not None][:1]
    return planted


def corrupt(row: DataRow, kind: CorruptionKind, rows: Sequence[DataRow], chance: random.Random) -> Corruption | None:
    """Return a row made wrong, or None if it has no answer span or does not allow this kind.

    Generic questions and pronouns need a word list of the row's language.

    Args:
        row: row of kind ``qa``.
        kind: kind of corruption.
        rows: rows whose passages a question can be paired with.
        chance: source of random choices.
    """
    if row.answer_span is None or not row.evidence:
        return None
    made = _corrupted(row, kind, rows, chance)
    if made is None or made.id == row.id:
        return None
    return Corruption(replace(made, scores={}, decisions=(), parents=(row.id,)), kind, row)


def _corrupted(row: DataRow, kind: CorruptionKind, rows: Sequence[DataRow], chance: random.Random) -> DataRow | None:
    if kind == "swapped answer":
        return _swapped(row, chance)
    if kind == "other passage":
        return _paired(row, rows, chance)
    if kind == "truncated question":
        return _asked(row, _truncated(row.question))
    language = language_of(row.question) or language_of(passage_of(row)) or ""
    if kind == "generic question":
        return _asked(row, chance.choice(_GENERIC[language])) if language in _GENERIC else None
    return _asked(row, _with_pronoun(row.question, _PRONOUNS[language])) if language in _PRONOUNS else None


def _swapped(row: DataRow, chance: random.Random) -> DataRow | None:
    """Return the row with another span of its passage that looks like the answer and shares no word with it."""
    taken, asked = set(content_terms(row.answer)), set(content_terms(row.question))
    shape, pattern, size = _shape(row.answer), _pattern(row.answer), len(words(row.answer))
    found = []
    for source in sources_of(row):
        for candidate in candidates(sentences_of(source)):
            terms = set(content_terms(candidate.text))
            if taken.isdisjoint(terms) and not terms <= asked and _shape(candidate.text) == shape:
                gap = abs(len(words(candidate.text)) - size)
                found.append((_pattern(candidate.text) != pattern, max(0, gap - 1), candidate, source))
    if not found:
        return None
    nearest = min(one[:2] for one in found)
    _, _, candidate, source = chance.choice([one for one in found if one[:2] == nearest])
    hit = source.hit
    span = TextSpan(
        hit.document.id, hit.document.source, hit.document.sha256, candidate.start, candidate.end, candidate.text
    )
    return replace(row, answer=candidate.text, answer_span=span)


def _paired(row: DataRow, rows: Sequence[DataRow], chance: random.Random) -> DataRow | None:
    """Return the row's question with the passage and the answer of another row, of the same document if possible."""
    passages = {span.quote for span in row.evidence}
    others = [one for one in rows if one.answer_span and one.evidence and one.evidence[0].quote not in passages]
    near = [one for one in others if one.evidence[0].document_id == row.evidence[0].document_id]
    chosen = near or others
    for other in chance.sample(chosen, min(_TRIES, len(chosen))):
        if not set(content_terms(other.answer)) <= set(content_terms(row.answer)):
            return replace(row, answer=other.answer, answer_span=other.answer_span, evidence=other.evidence)
    return None


def _truncated(question: str) -> str:
    """Return the first half of a question, with its end mark."""
    text = question.rstrip()
    mark = text[-1] if text and not text[-1].isalnum() else ""
    if CJK.search(text):
        return text[: len(text) // 2] + mark
    parts = text.split()
    return " ".join(parts[: max(2, (len(parts) + 1) // 2)]).rstrip("?!.,;:") + mark


def _with_pronoun(question: str, pronoun: str) -> str:
    """Return a question with its longest name, or else its last words, replaced by a pronoun."""
    names = [match for match in _NAME.finditer(question) if match.start()]
    if names:
        longest = max(names, key=lambda match: len(match.group()))
        end = longest.end() - (len(longest.group()) - len(longest.group().rstrip(".'’-")))
        return question[: longest.start()] + pronoun + question[end:]
    found = content_words(question)
    if len(found) < 2:
        return question
    return question[: found[-2].start()] + pronoun + question[found[-1].end() :]


def _asked(row: DataRow, question: str) -> DataRow:
    return replace(row, messages=(*row.messages[:-1], Message("user", question)))


def _shape(text: str) -> str:
    """Return a rough type of an answer: number, name or phrase."""
    if any(character.isdigit() for character in text):
        return "number"
    significant = [match.group() for match in content_words(text)]
    return "name" if significant and all(word[0].isupper() for word in significant) else "phrase"


def _pattern(text: str) -> str:
    """Return one letter per word of an answer: digits, capital or lower case."""
    return "".join("d" if word[0].isdigit() else "C" if word[0].isupper() else "l" for word in text.split())
