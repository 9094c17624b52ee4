"""Result of one question in plain values, as reports show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import TypeAdapter

from ragkit.errors import RagkitError
from ragkit.evaluation.gold import Gold
from ragkit.evaluation.metrics import (
    Place,
    begins_with,
    best_f1,
    citation_scores,
    contains,
    is_exact,
    retrieval_scores,
    share_right,
)
from ragkit.evaluation.questions import Question
from ragkit.records import Answer, Citation, Hit, Usage

_RIGHT = 0.5
"""Token F1 from which an answer counts as right in a verdict, as does one that contains a complete right answer. The
metrics themselves have no such threshold."""
_SHOWN = 400
"""Characters of a hit that are kept."""

RIGHT = "right"
VERDICTS = {
    "failed": "an error prevented an answer",
    "not found": "the supporting passage was not retrieved",
    "found, but abstained": "the supporting passage was retrieved, but the answer was an abstention",
    "found, but answered wrongly": "the supporting passage was retrieved, but the answer is wrong",
    "answered, though nothing answers it": "the right thing was to abstain",
    "unsure, and nothing answers it": "the right thing was to abstain; the answer was marked as unsure",
    "abstained": "an abstention; whether the passages contained the answer is unknown",
    "answered wrongly": "the answer is wrong; whether the passages contained the right one is unknown",
    "partly right": "the answer has some of the right items, not all",
    "not judged": "there is no expected answer to compare it with",
    RIGHT: "the outcome is correct",
}
"""Verdicts on a question with their meaning, the worst first."""


@dataclass(frozen=True, slots=True)
class SeenHit:
    """A retrieved passage."""

    document_id: str
    source: str
    title: str
    start: int
    end: int
    page: int | None
    score: float
    text: str
    """Its beginning."""
    relevant: bool | None
    """Whether it is relevant; None if that is not known."""
    label: str = ""
    """Name of the page, if it is not a numbered page."""


@dataclass(frozen=True, slots=True)
class SeenCitation:
    """A quote that supports an answer."""

    number: int
    document_id: str
    source: str
    title: str
    start: int
    end: int
    page: int | None
    quote: str
    right: bool | None
    """Whether it overlaps a source of the right answer; None if that is not known."""
    label: str = ""
    """Name of the page, if it is not a numbered page."""


@dataclass(frozen=True, slots=True)
class QuestionResult:
    """Result of one question."""

    question: Question
    missing: tuple[str, ...] = ()
    """Sources of the question that are not in the index."""
    hits: tuple[SeenHit, ...] = ()
    shown: int = 0
    """Number of first hits from which the answer was made; 0 if no answer was requested."""
    text: str = ""
    mode: str = ""
    abstained: bool = False
    confidence: float = 0.0
    citations: tuple[SeenCitation, ...] = ()
    unsupported: tuple[tuple[int, int], ...] = ()
    """Spans of ``text`` that no source supports."""
    model: str | None = None
    why_model: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Seconds by stage."""
    usage: Usage = field(default_factory=lambda: Usage(cost=0.0))
    scores: Mapping[str, float] = field(default_factory=dict)
    """Values of the metrics that apply to this question."""
    error: str = ""
    """Reason why there is no outcome; empty if there is one."""
    unsure: bool = False
    """Whether the answer was marked as unsure."""
    kind: str = ""
    """Kind of the question, as it was recognised."""

    @property
    def group(self) -> str:
        """Kind of the question from the question file; if it has none, the recognised kind."""
        return self.question.kind or self.kind

    @property
    def verdict(self) -> str:
        """One of ``VERDICTS``: the stage at which it went wrong, if it did."""
        if self.error:
            return "failed"
        found = self._found
        if not self.shown:
            return "not judged" if found is None else RIGHT if found else "not found"
        if self.question.unanswerable:
            if self.abstained:
                return RIGHT
            return "unsure, and nothing answers it" if self.unsure else "answered, though nothing answers it"
        if not self.abstained and self.question.nested and 0 < self.scores.get("right", 0.0) < 1:
            return "partly right"
        right = None if self.abstained else self._right
        if right is None and not self.abstained:
            return "not judged"
        if right:
            return RIGHT
        if found is False:
            return "not found"
        return ("found, but " if found else "") + ("abstained" if self.abstained else "answered wrongly")

    @property
    def score(self) -> float | None:
        """Main score of the question: token F1, or another metric if token F1 was not measured."""
        for name in ("f1", "declined", "right"):
            if name in self.scores:
                return self.scores[name]
        # An abstention cites nothing, so that there is nothing to hit with.
        return self.scores.get("citation_hit", 0.0) if "citation_recall" in self.scores else self.scores.get("ndcg@10")

    @property
    def total_seconds(self) -> float:
        """All stages together."""
        return sum(self.seconds.values())

    @property
    def _found(self) -> bool | None:
        if "mrr" not in self.scores:
            return None
        return any(hit.relevant for hit in self.hits[: self.shown or None])

    @property
    def _right(self) -> bool | None:
        if self.question.nested or (self.question.yes_no and "right" in self.scores):
            return self.scores["right"] == 1
        if self.question.answers:
            return self.scores["f1"] >= _RIGHT or self.scores["contained"] > 0
        touched = self.scores.get("citation_hit")
        return None if touched is None else touched > 0

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, with the verdict."""
        return {"verdict": self.verdict, **asdict(self)}


QUESTION_RESULT = TypeAdapter(QuestionResult)
"""Reads an outcome from JSON."""


def seen_hits(hits: tuple[Hit, ...], gold: Gold) -> tuple[SeenHit, ...]:
    """Return hits as a report shows them."""
    return tuple(
        SeenHit(
            hit.chunk.document_id,
            hit.document.source,
            hit.document.title,
            hit.chunk.start,
            hit.chunk.end,
            hit.chunk.page,
            hit.score,
            hit.chunk.text[:_SHOWN],
            None if gold.relevant is None else hit.chunk.key in gold.relevant,
            hit.chunk.label,
        )
        for hit in hits
    )


def retrieved(
    question: Question, gold: Gold, hits: tuple[Hit, ...], seconds: Mapping[str, float], kind: str = ""
) -> QuestionResult:
    """Return the result of searching for a question of a recognised kind, without an answer."""
    scores = _retrieval(gold, hits)
    if gold.relevant is not None:
        scores["found"] = float(gold.found_in(hit.chunk.key for hit in hits))
    return QuestionResult(question, gold.missing, seen_hits(hits, gold), seconds=seconds, scores=scores, kind=kind)


def answered(
    question: Question, gold: Gold, hits: tuple[Hit, ...], answer: Answer, grounded: float | None
) -> QuestionResult:
    """Return the result of a question that was answered.

    Args:
        question: question that was asked.
        gold: gold passages of the index.
        hits: hits, best first; at least those from which the answer was made.
        answer: answer with its trace.
        grounded: share of its sentences that its sources support; None if it has none.
    """
    trace = answer.trace
    scores = _retrieval(gold, hits)
    if grounded is not None:
        scores["grounded"] = grounded
    if question.answers:
        scores["right"] = _right(question, answer)
        if not question.nested:
            text, answers = said(answer), question.wordings
            scores["exact"], scores["f1"] = is_exact(text, answers), best_f1(text, answers)
            scores["contained"] = contains(text, answers)
    if question.unanswerable:
        scores["declined"] = scores["right"] = float(answer.abstained)
    elif question.answers or question.sources:
        scores["answered"] = float(not answer.abstained)
    if gold.relevant is not None:
        places = [Place(one.document_id, one.start, one.end) for one in answer.citations]
        scores |= citation_scores(places, gold.evidence, gold.also)
        scores["cited"] = scores.get("citation_hit", 0.0)
        scores["found"] = float(gold.found_in(hit.chunk.key for hit in trace.hits))
    return QuestionResult(
        question,
        gold.missing,
        seen_hits(hits, gold),
        max(1, len(trace.hits)),
        answer.text,
        answer.mode,
        answer.abstained,
        answer.confidence,
        tuple(_seen(citation, gold) for citation in answer.citations),
        answer.unsupported,
        trace.model,
        trace.why_model,
        dict(trace.seconds),
        trace.usage,
        scores,
        unsure=answer.unsure,
        kind=answer.kind,
    )


def _right(question: Question, answer: Answer) -> float:
    """Return the share of the right answer that the reply has; of quotes, the reply and what it quotes."""
    if answer.abstained:
        return 0.0
    if question.yes_no:
        return begins_with(answer.reply, question.wordings)
    quotes = [citation.quote for citation in answer.citations] if answer.mode == "quotes" else []
    return share_right(" ".join([answer.reply, *quotes]), question.items)


def failed(question: Question, gold: Gold, error: RagkitError) -> QuestionResult:
    """Return the result of a question that could not be asked."""
    return QuestionResult(question, gold.missing, error=f"{type(error).__name__}: {error.message}")


def said(answer: Answer) -> str:
    """Return what is held against right answers: of quotes the quotes themselves, of an abstention nothing."""
    if answer.abstained:
        return ""
    if answer.mode == "quotes":
        return " ".join(citation.quote for citation in answer.citations)
    return answer.reply


def _retrieval(gold: Gold, hits: tuple[Hit, ...]) -> dict[str, float]:
    if gold.relevant is None:
        return {}
    # Everything that search found is judged by the same measures, whatever of it the answer was made from.
    return retrieval_scores([hit.chunk.key for hit in hits], gold.relevant)


def _seen(citation: Citation, gold: Gold) -> SeenCitation:
    place = Place(citation.document_id, citation.start, citation.end)
    known = gold.relevant is not None
    return SeenCitation(
        citation.number,
        citation.document_id,
        citation.source,
        citation.title,
        citation.start,
        citation.end,
        citation.page,
        citation.quote,
        gold.supported_by(place) if known else None,
        citation.label,
    )
