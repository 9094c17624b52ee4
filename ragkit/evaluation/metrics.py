"""Metrics of single questions, each 0 to 1; higher is better.

Retrieval metrics are those of trec_eval and accept any ranking and judgements; a test compares them with
``ir-measures``. Words of answers are compared as in SQuAD.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ragkit.tasks.metrics import exact_match, squad_words, token_f1

Relevant = Mapping[Any, int]
"""Relevant items with their grades; items with grade 0 or below are not relevant."""
_VERDICT = re.compile(r"(?:yes|no|ja|nein|sí|oui|non)(?:[,.!]|$)", re.IGNORECASE)
_MARKS = re.compile(r"\s*\[\d+\]")
_WORD = re.compile(r"[^\W_]+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """Name and description of a metric."""

    name: str
    title: str
    group: str
    """``retrieval``, ``answers``, ``citations`` or ``abstention``."""
    description: str


METRICS: tuple[MetricInfo, ...] = (
    MetricInfo("recall@1", "Recall@1", "retrieval", "share of the relevant passages at rank 1"),
    MetricInfo("recall@5", "Recall@5", "retrieval", "share of the relevant passages among the first 5"),
    MetricInfo("recall@10", "Recall@10", "retrieval", "share of the relevant passages among the first 10"),
    MetricInfo("ndcg@10", "nDCG@10", "retrieval", "ranks of the relevant passages among the first 10, discounted"),
    MetricInfo("mrr", "MRR", "retrieval", "1 over the rank of the first relevant passage"),
    MetricInfo("map", "MAP", "retrieval", "precision at each relevant passage, on average"),
    MetricInfo("found", "Found", "retrieval", "all passages required for the answer are among those used"),
    MetricInfo("right", "Right", "answers", "share of the answer's items in the reply; or a correct abstention"),
    MetricInfo("exact", "Exact match", "answers", "the answer has exactly the words of a right one"),
    MetricInfo("contained", "Answer contained", "answers", "the words of a right answer occur in it, in order"),
    MetricInfo("f1", "Token F1", "answers", "words shared with the most similar right answer"),
    MetricInfo("grounded", "Groundedness", "answers", "share of the answer's sentences that its sources support"),
    MetricInfo("cited", "Cited", "citations", "a citation overlaps supporting text; no citation counts 0"),
    MetricInfo("citation_hit", "Citation hit", "citations", "a citation overlaps the passage that supports the answer"),
    MetricInfo(
        "citation_precision", "Citation precision", "citations", "share of cited characters that support the answer"
    ),
    MetricInfo("citation_recall", "Citation recall", "citations", "share of supporting characters that are cited"),
    MetricInfo("answered", "Answered", "abstention", "share of answerable questions without an abstention"),
    MetricInfo("declined", "Declined", "abstention", "share of unanswerable questions with an abstention"),
)


def recall_at(ranking: Sequence[Hashable], relevant: Relevant, k: int) -> float:
    """Return the share of the relevant items that is among the first ``k``; 0 if nothing is relevant."""
    total = sum(grade > 0 for grade in relevant.values())
    return _found(ranking, relevant, k) / total if total else 0.0


def precision_at(ranking: Sequence[Hashable], relevant: Relevant, k: int) -> float:
    """Return the share of the first ``k`` places that contain something relevant; places left empty count as wrong."""
    return _found(ranking, relevant, k) / k


def ndcg_at(ranking: Sequence[Hashable], relevant: Relevant, k: int) -> float:
    """Return nDCG: the discounted gain of the first ``k`` relative to the best order (Järvelin and Kekäläinen, 2002).

    The gain is the grade, the discount the binary logarithm of the rank plus 1; 0 if nothing is relevant.
    """
    best = _gain(sorted(relevant.values(), reverse=True)[:k])
    return _gain([relevant.get(item, 0) for item in ranking[:k]]) / best if best else 0.0


def reciprocal_rank(ranking: Sequence[Hashable], relevant: Relevant) -> float:
    """Return the reciprocal rank of the first relevant item, or 0 if no item is relevant."""
    places = (place for place, item in enumerate(ranking, 1) if relevant.get(item, 0) > 0)
    return 1 / next(places, math.inf)


def average_precision(ranking: Sequence[Hashable], relevant: Relevant) -> float:
    """Return the mean, over all that is relevant, of the precision at its place; what is not found counts 0."""
    total = sum(grade > 0 for grade in relevant.values())
    seen, added = 0, 0.0
    for place, item in enumerate(ranking, 1):
        if relevant.get(item, 0) > 0:
            seen += 1
            added += seen / place
    return added / total if total else 0.0


def retrieval_scores(ranking: Sequence[Hashable], relevant: Relevant) -> dict[str, float]:
    """Return the measures of retrieval that a report has."""
    return {
        **{f"recall@{k}": recall_at(ranking, relevant, k) for k in (1, 5, 10)},
        "ndcg@10": ndcg_at(ranking, relevant, 10),
        "mrr": reciprocal_rank(ranking, relevant),
        "map": average_precision(ranking, relevant),
    }


def best_f1(text: str, answers: Sequence[str]) -> float:
    """Return the token F1 of a text, its citations' numbers aside, to the answer it is most like."""
    return max((token_f1(unmarked(text), answer) for answer in answers), default=0.0)


def is_exact(text: str, answers: Sequence[str]) -> float:
    """Return 1 if a text without citation numbers has the words of one of the answers and no others."""
    return max((exact_match(unmarked(text), answer) for answer in answers), default=0.0)


def contains(text: str, answers: Sequence[str]) -> float:
    """Return 1 if the words of one of the answers occur in a text, in order and contiguously."""
    said = f" {' '.join(squad_words(unmarked(text)))} "
    return float(any(words and f" {' '.join(words)} " in said for words in map(squad_words, answers)))


def share_right(text: str, items: Sequence[Sequence[str]]) -> float:
    """Return the share of an answer's items of which an accepted wording occurs in a text as whole words.

    A wording that is yes or no, alone or before a comma ("no, it is closed"), counts only if the text begins with it.
    """
    words = _words(unmarked(text))
    said = f" {' '.join(words)} "

    def accepts(wording: str) -> bool:
        wanted = _words(wording)
        if _VERDICT.match(wording.strip()):
            return words[:1] == wanted[:1]
        return bool(wanted) and f" {' '.join(wanted)} " in said

    right = [any(map(accepts, item)) for item in items]
    return sum(right) / len(right) if right else 0.0


def begins_with(text: str, answers: Sequence[str]) -> float:
    """Return 1 if the first word of a text is the first word of one of the answers."""
    said = _words(unmarked(text))[:1]
    return float(bool(said) and any(said == _words(answer)[:1] for answer in answers))


def _words(text: str) -> list[str]:
    """Return the words of a text in lower case; unlike SQuAD's, decimals stay whole and articles stay."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold().replace(",", ""))


def unmarked(text: str) -> str:
    """Return a text without its citations' numbers, such as ``[1]``."""
    return _MARKS.sub("", text)


@dataclass(frozen=True, slots=True)
class Place:
    """A span of a document's text, in characters."""

    document_id: str
    start: int
    end: int

    def overlap(self, other: Place) -> int:
        """Return how many characters both have."""
        if self.document_id != other.document_id:
            return 0
        return max(0, min(self.end, other.end) - max(self.start, other.start))


Evidence = Sequence[Sequence[Place]]
"""For each required piece of evidence, its places; any of them is sufficient."""


def citation_scores(cited: Sequence[Place], gold: Evidence, also: Sequence[Place] = ()) -> dict[str, float]:
    """Return the overlap of the cited characters with those that support the answer.

    Args:
        cited: places that an answer cites; they may overlap.
        gold: evidence that supports the right answer.
        also: places that support the answer as well as all of ``gold`` does.

    Returns:
        ``citation_recall``, a mean over the required evidence; if something is cited, also ``citation_precision``
        and ``citation_hit``.
    """
    spans = _united(cited)
    recall = sum(_coverage(spans, places) for places in gold) / len(gold)
    found = {"citation_recall": max(recall, _coverage(spans, also)) if also else recall}
    if spans:
        right = _united([*also, *(place for places in gold for place in places)])
        touched = sum(span.overlap(place) for span in spans for place in right)
        total = sum(span.end - span.start for span in spans)
        found["citation_precision"] = touched / total if total else 0.0
        found["citation_hit"] = float(touched > 0)
    return found


def _coverage(spans: Sequence[Place], places: Sequence[Place]) -> float:
    return max(sum(span.overlap(place) for span in spans) / (place.end - place.start) for place in places)


def _united(places: Sequence[Place]) -> list[Place]:
    """Return the same characters as spans that don't overlap."""
    found: list[Place] = []
    for place in sorted(places, key=lambda one: (one.document_id, one.start)):
        last = found[-1] if found else None
        if last is not None and last.document_id == place.document_id and place.start <= last.end:
            found[-1] = Place(last.document_id, last.start, max(last.end, place.end))
        else:
            found.append(place)
    return found


def _found(ranking: Sequence[Hashable], relevant: Relevant, k: int) -> int:
    return sum(relevant.get(item, 0) > 0 for item in ranking[:k])


def _gain(grades: Sequence[int]) -> float:
    return sum(max(0, grade) / math.log2(place + 1) for place, grade in enumerate(grades, 1))
