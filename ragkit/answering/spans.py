"""Locates a short reply of a model in the sources, and returns its span."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ragkit.answering.sentences import Sentence
from ragkit.retrieval.terms import CJK, is_stop, words

_TOKEN = re.compile(
    r"[A-Za-z]+\d[A-Za-z0-9]*"  # codes, such as E27
    r"|[$€£¥]?\d+(?:[.,:]\d+)*(?:%|[A-Za-z]+)?"  # numbers, with what belongs to them
    r"|[^\W\d_]+(?:[-'’.][^\W\d_]+)*"  # words, with hyphens and inner full stops
    r"|[^\W_]+|[^\w\s]|_"
)
_BREAKS = frozenset(';:()[]{}?!。！？"“”')
_ARTICLES = frozenset({"a", "an", "the"})
_LONGEST = 12
"""Words of a candidate."""
NEAR = 0.5
"""Minimum token F1 of a span that matches a reply."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A span that may be the answer: ``document.text[start:end] == text``."""

    text: str
    start: int
    end: int
    sentence: Sentence


def locate(reply: str, sentences: Sequence[Sentence]) -> Candidate | None:
    """Return the span that a reply means, or None.

    The exact words of the reply are searched first, in the best sentence first; otherwise, the span with the best
    matching words is used.

    Args:
        reply: short reply of a model.
        sentences: sentences of the sources that it was shown, best first.
    """
    found = [match.group() for match in _TOKEN.finditer(reply.strip().strip(".\"'“”‘’"))]
    if not any(word[0].isalnum() for word in found):
        return None
    pattern = re.compile(r"\s*".join(map(re.escape, found)), re.IGNORECASE)
    for sentence in sentences:
        for match in pattern.finditer(sentence.text):
            if _whole_words(sentence.text, match.start(), match.end()):
                start = sentence.start + match.start()
                return Candidate(match.group(), start, sentence.start + match.end(), sentence)
    return _nearest(reply, candidates(sentences))


def candidates(sentences: Sequence[Sentence]) -> list[Candidate]:
    """Return the spans of the sentences that could be answers.

    A span has up to 12 words, begins and ends with a content word, does not omit the number before its first word,
    and does not cross a bracket, quotation mark or semicolon. In scripts without spaces, characters count as words.
    """
    found: list[Candidate] = []
    for sentence in sentences:
        tokens = _tokens(sentence.text)
        for first, (text, start, _) in enumerate(tokens):
            if is_stop(text) or (len(text) == 1 and not text.isalnum()):
                continue
            if first and tokens[first - 1][0][-1].isdigit() and not text[0].isdigit():
                continue
            for word, _, end in tokens[first : first + _LONGEST]:
                if word in _BREAKS:
                    break
                if any(character.isalnum() for character in word) and not is_stop(word):
                    span = sentence.text[start:end]
                    found.append(Candidate(span, sentence.start + start, sentence.start + end, sentence))
    return found


def _nearest(reply: str, found: Sequence[Candidate]) -> Candidate | None:
    wanted = Counter(word for word in words(reply) if word not in _ARTICLES)
    best: tuple[Candidate, float] | None = None
    for candidate in found:
        got = Counter(word for word in words(candidate.text) if word not in _ARTICLES)
        shared = (wanted & got).total()
        agreement = 2 * shared / (wanted.total() + got.total()) if shared else 0.0
        if agreement >= NEAR and (best is None or agreement > best[1]):
            best = candidate, agreement
    return best[0] if best else None


def _tokens(text: str) -> list[tuple[str, int, int]]:
    """Return words and signs with their spans; Chinese, Japanese and Korean a character at a time."""
    found: list[tuple[str, int, int]] = []
    for match in _TOKEN.finditer(text):
        word, start = match.group(), match.start()
        if CJK.search(word):
            found += [(character, start + n, start + n + 1) for n, character in enumerate(word)]
        else:
            found.append((word, start, match.end()))
    return found


def _whole_words(text: str, start: int, end: int) -> bool:
    """Return whether a span neither begins nor ends inside a word; in scripts without spaces any does."""

    def joined(left: str, right: str) -> bool:
        return left.isalnum() and right.isalnum() and not (CJK.match(left) or CJK.match(right))

    return not (start and joined(text[start - 1], text[start])) and not (
        end < len(text) and joined(text[end - 1], text[end])
    )
