"""Training rows that also occur in evaluation data: verbatim, in part, or in other words.

The rules are exact match after normalising, shared word n-grams (13 words, as for GPT-3, or 8 in short texts), a
question about the same span of a document, and questions alike in words or in meaning with the same answer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from ragkit._progress import Progress, ProgressCallback
from ragkit.datagen.inputs import Pair
from ragkit.errors import SettingsError
from ragkit.retrieval.terms import content_terms, words
from ragkit.tasks.metrics import squad_words

if TYPE_CHECKING:
    from ragkit.embedding import Embedder
    from ragkit.embedding.base import Vectors

Rule = Literal["exact", "n-gram", "span", "reworded", "similar"]
LONG: Final = 13
SHORT: Final = 8
_EMBEDDED = 200
"""Maximum words of a text that is compared by meaning; longer ones are compared by n-grams."""
_BLOCK = 1024


@dataclass(frozen=True, slots=True)
class DecontaminationOptions:
    """Thresholds of the rules."""

    cosine: float = 0.8
    """Minimum cosine of questions with the same answer, 0 to 1."""
    containment: float = 0.7
    """Minimum fraction of the shorter question's content words that occur in the other one, if the answers match."""
    similar: float = 0.95
    """Minimum cosine of questions of which one has no answer, 0 to 1."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not 0 < value <= 1:
                raise SettingsError(f"{name} must be > 0 and <= 1, got {value}.", f"Use the default: {name}=0.8.")


@dataclass(frozen=True, slots=True)
class Contamination:
    """A training row that occurs in evaluation data."""

    row: int
    """Index of the row."""
    reference: int
    """Index of the evaluation row."""
    rule: Rule
    detail: str
    """Details of the match, such as the shared words."""


def find_contamination(
    rows: Sequence[Pair],
    references: Sequence[Pair],
    embedder: Embedder | None = None,
    options: DecontaminationOptions = DecontaminationOptions(),
    progress: ProgressCallback | None = None,
) -> list[Contamination]:
    """Return the training rows that occur in evaluation data, each with the first rule that found it.

    Args:
        rows: training rows.
        references: evaluation rows; one with a long question and no answer is the text of a document.
        embedder: finds questions in other words. None for the other rules alone.
        options: thresholds.
        progress: called while texts are embedded.

    Returns:
        At most one entry per row, in the order of the rows.
    """
    found: dict[int, Contamination] = {}
    for rule in (_exact, _shared_ngrams, _same_span, partial(_same_words, options.containment)):
        left = [number for number in range(len(rows)) if number not in found]
        for one in rule(rows, left, references):
            found.setdefault(one.row, one)
    if embedder is not None:
        left = [number for number in range(len(rows)) if number not in found]
        for one in _alike(rows, left, references, embedder, options, progress):
            found.setdefault(one.row, one)
    return [found[number] for number in sorted(found)]


def _exact(rows: Sequence[Pair], left: Sequence[int], references: Sequence[Pair]) -> Iterator[Contamination]:
    known: dict[tuple[str, ...], int] = {}
    for number, one in enumerate(references):
        known.setdefault(tuple(words(one.question)), number)
    for row in left:
        text = tuple(words(rows[row].question))
        if text and text in known:
            yield Contamination(row, known[text], "exact", "The questions have the same words.")


def _shared_ngrams(rows: Sequence[Pair], left: Sequence[int], references: Sequence[Pair]) -> Iterator[Contamination]:
    """Compare runs of 13 words, or of 8 if one of the texts is shorter than 13."""
    long: dict[tuple[str, ...], int] = {}
    every_short: dict[tuple[str, ...], int] = {}
    of_short: dict[tuple[str, ...], int] = {}
    for number, one in enumerate(references):
        for text in _texts(one):
            for gram in _ngrams(text, LONG):
                long.setdefault(gram, number)
            for gram in _ngrams(text, SHORT):
                every_short.setdefault(gram, number)
                if len(text) < LONG:
                    of_short.setdefault(gram, number)
    for row in left:
        for text in _texts(rows[row]):
            short = of_short if len(text) >= LONG else every_short
            shared = [(gram, long[gram]) for gram in _ngrams(text, LONG) if gram in long]
            shared += [(gram, short[gram]) for gram in _ngrams(text, SHORT) if gram in short and _says_something(gram)]
            if shared:
                gram, reference = shared[0]
                yield Contamination(row, reference, "n-gram", f"Both contain {' '.join(gram)!r}.")
                break


def _same_span(rows: Sequence[Pair], left: Sequence[int], references: Sequence[Pair]) -> Iterator[Contamination]:
    known = {
        (one.span.sha256, one.span.start, one.span.end): number
        for number, one in reversed(list(enumerate(references)))
        if one.span is not None
    }
    for row in left:
        span = rows[row].span
        if span is not None and (span.sha256, span.start, span.end) in known:
            reference = known[span.sha256, span.start, span.end]
            yield Contamination(row, reference, "span", f"Both ask about {span.quote!r} at {span.start:,}.")


def _same_words(
    containment: float, rows: Sequence[Pair], left: Sequence[int], references: Sequence[Pair]
) -> Iterator[Contamination]:
    by_answer = _by_answer(references)
    for row in left:
        own = set(content_terms(rows[row].question))
        for reference in by_answer.get(_answer(rows[row]), ()):
            other = set(content_terms(references[reference].question))
            least = min(len(own), len(other))
            if least >= 2 and len(own & other) >= containment * least:
                shared = f"{len(own & other)} of {least} content words are shared"
                yield Contamination(row, reference, "reworded", f"Same answer, and {shared}.")
                break


def _alike(
    rows: Sequence[Pair],
    left: Sequence[int],
    references: Sequence[Pair],
    embedder: Embedder,
    options: DecontaminationOptions,
    progress: ProgressCallback | None,
) -> Iterator[Contamination]:
    short = [number for number in left if len(words(rows[number].question)) <= _EMBEDDED]
    others = [number for number, one in enumerate(references) if len(words(one.question)) <= _EMBEDDED]
    if not short or not others:
        return
    total = len(short) + len(others)
    beside = _embedded(embedder, [references[number].question for number in others], 0, total, progress)
    answers = [_answer(references[number]) for number in others]
    vectors = _embedded(embedder, [rows[number].question for number in short], len(others), total, progress)
    for first in range(0, len(short), _BLOCK):
        cosines = vectors[first : first + _BLOCK] @ beside.T
        for row, near in zip(short[first : first + _BLOCK], cosines, strict=True):
            own = _answer(rows[row])
            # Vectors hardly differ where questions differ in one word, such as a year; their answers do.
            same = [n for n in np.flatnonzero(near >= options.cosine).tolist() if own and answers[n] == own]
            unknown = [n for n in np.flatnonzero(near >= options.similar).tolist() if not (own and answers[n])]
            if same:
                best = max(same, key=lambda n: near[n])
                yield Contamination(row, others[best], "reworded", f"Same answer, and cosine {near[best]:.3f}.")
            elif unknown:
                best = max(unknown, key=lambda n: near[n])
                yield Contamination(row, others[best], "similar", f"Cosine {near[best]:.3f}.")


def _embedded(
    embedder: Embedder, texts: Sequence[str], done: int, total: int, progress: ProgressCallback | None
) -> Vectors:
    parts = []
    for first in range(0, len(texts), _BLOCK):
        if progress is not None:
            progress(Progress("questions", done + first, total))
        parts.append(embedder.embed(texts[first : first + _BLOCK], "query"))
    return np.concatenate(parts)


def _by_answer(pairs: Iterable[Pair]) -> dict[tuple[str, ...], list[int]]:
    found: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, one in enumerate(pairs):
        if answer := _answer(one):
            found[answer].append(number)
    return found


def _answer(pair: Pair) -> tuple[str, ...]:
    return tuple(squad_words(pair.answer))


def _texts(pair: Pair) -> list[list[str]]:
    """Return the words of the question, and of an answer long enough to distinguish a copy from a short fact."""
    answer = words(pair.answer)
    return [words(pair.question), *([answer] if len(answer) >= LONG else [])]


def _ngrams(text: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    return (tuple(text[first : first + size]) for first in range(len(text) - size + 1))


def _says_something(gram: Sequence[str]) -> bool:
    """Whether a run is more than a phrase of many questions, such as ``what was the name of the one who``."""
    return len(set(content_terms(" ".join(gram)))) >= 3
