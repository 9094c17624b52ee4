"""Aligns the words of a claim with the words of the evidence."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ragkit.answering.support.lexicon import derived, phrases, synonyms
from ragkit.answering.support.sentence import Parsed

if TYPE_CHECKING:
    from ragkit.embedding import Embedder, Vectors

_NEAR = (
    "buy purchase;restart reboot;begin start;large big;quick fast;employee worker;city town;assist help;"
    "forbidden banned;physician doctor;road street;error mistake;reply answer;finish complete;trip journey;pay salary;"
    "house home;car vehicle"
)
_SIMILAR_FROM = 0.55
_KEPT = 20_000


class WordSimilarity:
    """Cosines of words, scaled by the embedder's own: 0 for words with nothing in common, 1 for synonyms.

    The scale makes the numbers of different embedders comparable. Vectors are cached, up to 20,000 words.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._vectors: OrderedDict[str, Vectors] = OrderedDict()
        self._scale: tuple[float, float] | None = None
        self._lock = threading.Lock()

    def between(self, ones: Sequence[str], others: Sequence[str]) -> NDArray[np.float32]:
        """Return the scaled similarity of each of ``ones`` to each of ``others``: float32 ``[ones, others]``."""
        low, high = self._scaled()
        found = self._embed(ones) @ self._embed(others).T
        scaled: NDArray[np.float32] = np.clip((found - low) / (high - low), 0.0, 1.0).astype(np.float32)
        return scaled

    def _scaled(self) -> tuple[float, float]:
        if self._scale is None:
            pairs = [pair.split() for pair in _NEAR.split(";")]
            lefts = self._embed([left for left, _ in pairs])
            rights = self._embed([right for _, right in pairs])
            cosines = lefts @ rights.T
            low = float(np.median(cosines[~np.eye(len(pairs), dtype=bool)]))
            self._scale = low, max(float(np.median(np.diag(cosines))), low + 1e-3)
        return self._scale

    def _embed(self, words: Sequence[str]) -> Vectors:
        with self._lock:
            missing = [word for word in dict.fromkeys(words) if word not in self._vectors]
            if missing:
                vectors = self._embedder.embed(missing, "query")
                self._vectors.update(zip(missing, vectors, strict=True))
            found: Vectors = np.stack([self._vectors[word] for word in words])
            while len(self._vectors) > _KEPT:
                self._vectors.popitem(last=False)
        return found


@dataclass(slots=True)
class Alignment:
    """Alignment of the words of a claim with words of the evidence."""

    pairs: dict[int, int]
    """Index of a claim's word to index of the evidence's."""
    missing: list[int]
    """Content words of the claim with no such word."""
    spare: list[int]
    """Content words of the evidence that are aligned with no word of the claim."""
    similarity: dict[int, float] = field(default_factory=dict)
    """For each missing word, similarity in meaning to the nearest word of the evidence, 0 to 1."""
    nearest: dict[int, int] = field(default_factory=dict)
    by_synonym: int = 0
    by_similarity: int = 0


def align(claim: Parsed, evidence: Parsed, similarity: WordSimilarity | None) -> Alignment:
    """Align by form, then by family, synonym list, initials, and last by similarity of meaning.

    Names, months and weekdays align by form only.
    """
    taken: dict[int, int] = {}
    used: set[int] = set()
    wanted = [i for i, t in enumerate(claim.tokens) if t.kind in ("content", "relation")]
    offered = [i for i, t in enumerate(evidence.tokens) if t.kind in ("content", "relation")]
    by_lemma: dict[str, list[int]] = {}
    for index in offered:
        by_lemma.setdefault(evidence.tokens[index].lemma, []).append(index)
    for index in wanted:
        places = by_lemma.get(claim.tokens[index].lemma)
        if places:
            best = min(places, key=lambda place: (place in used, _distance(claim, evidence, taken, index, place)))
            taken[index] = best
            used.add(best)
    _align_phrases(claim, evidence, taken, used)
    left = [i for i in wanted if i not in taken and claim.tokens[i].kind == "content"]
    synonym_count = 0
    for index in left:
        token = claim.tokens[index]
        if token.calendar:
            continue
        for place in offered:
            other = evidence.tokens[place]
            if other.calendar or other.kind == "relation":
                continue
            family = derived(token.lemma, other.lemma) and not (token.name and other.name and len(token.lemma) < 5)
            if family or (not token.name and synonyms(token.lemma, other.lemma)):
                taken[index] = place
                used.add(place)
                synonym_count += 1
                break
    _align_initials(claim, evidence, taken, used)
    missing = [i for i in claim.content if i not in taken]
    spare = [i for i in evidence.content if i not in used]
    found = Alignment(taken, missing, spare, by_synonym=synonym_count)
    asked = [i for i in missing if not claim.tokens[i].name and not claim.tokens[i].calendar]
    places = [i for i in spare if not evidence.tokens[i].name and not evidence.tokens[i].calendar]
    if similarity is not None and asked and places:
        near = similarity.between([claim.tokens[i].low for i in asked], [evidence.tokens[i].low for i in places])
        for row, index in enumerate(asked):
            column = int(near[row].argmax())
            found.similarity[index] = float(near[row, column])
            found.nearest[index] = places[column]
            if near[row, column] >= _SIMILAR_FROM:
                found.by_similarity += 1
    return found


def _distance(claim: Parsed, evidence: Parsed, taken: dict[int, int], index: int, place: int) -> float:
    """Return how far a place is from where the words before it were found; neighbours in both texts come first."""
    before = max((i for i in taken if i < index), default=None)
    same_next = (
        index + 1 < len(claim.tokens)
        and place + 1 < len(evidence.tokens)
        and claim.tokens[index + 1].lemma == evidence.tokens[place + 1].lemma
    )
    return (0.0 if before is None else abs(place - taken[before])) - 8.0 * same_next


def _align_phrases(claim: Parsed, evidence: Parsed, taken: dict[int, int], used: set[int]) -> None:
    """Align phrases of the synonym list, such as ``sign up`` and ``register``."""
    known = phrases()
    in_claim, in_evidence = _phrases_of(claim, known), _phrases_of(evidence, known)
    if not in_claim and not in_evidence:
        return
    singles_claim = [(t.lemma, [i]) for i, t in enumerate(claim.tokens) if t.kind == "content" and i not in taken]
    singles_evidence = [(t.lemma, [i]) for i, t in enumerate(evidence.tokens) if t.kind in ("content", "function")]
    for key, indices in [*in_claim, *singles_claim]:
        others = [*in_evidence, *singles_evidence] if " " in key else in_evidence
        for other, places in others:
            if (key == other or synonyms(key, other)) and any(i not in taken for i in indices):
                for index in indices:
                    if claim.tokens[index].kind == "content":
                        taken.setdefault(index, places[0])
                used.update(places)
                break


def _phrases_of(parsed: Parsed, known: frozenset[str]) -> list[tuple[str, list[int]]]:
    found = []
    lemmas = [token.lemma for token in parsed.tokens]
    for size in (2, 3, 4):
        for start in range(len(lemmas) - size + 1):
            key = " ".join(lemmas[start : start + size])
            if key in known:
                found.append((key, list(range(start, start + size))))
    return found


def _align_initials(claim: Parsed, evidence: Parsed, taken: dict[int, int], used: set[int]) -> None:
    """Align ``PPL`` with ``paid parental leave``, either way round."""
    for short, long, from_claim in ((claim, evidence, True), (evidence, claim, False)):
        content = [i for i, t in enumerate(long.tokens) if t.kind == "content"]
        initials = "".join(long.tokens[i].low[0] for i in content)
        for index, token in enumerate(short.tokens):
            if not (token.text.isupper() and 2 <= len(token.text) <= 6) or (from_claim and index in taken):
                continue
            at = initials.find(token.low)
            if at < 0:
                continue
            run = content[at : at + len(token.low)]
            if from_claim:
                taken[index] = run[0]
                used.update(run)
            elif any(i not in taken for i in run):
                for place in run:
                    taken.setdefault(place, index)
                used.add(index)
