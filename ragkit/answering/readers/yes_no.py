"""Yes or no, by the polarity of the sentence that decides, with that sentence as the citation."""

from __future__ import annotations

import re

from ragkit.answering.kinds import asking_part
from ragkit.answering.readers.base import Evidence, Part, Reply
from ragkit.answering.readers.quotes import best_of, paragraph
from ragkit.answering.readers.verdict import verdict_of
from ragkit.chunking import sentence_spans
from ragkit.retrieval.terms import content_terms

_CONDITION = re.compile(
    r"\b(?:unless|except|other than|but not|only if|only when|provided that|as long as)\b", re.IGNORECASE
)


class YesNoReader:
    """Decides between yes and no by rules, and only if the sentence is about the subject of the question."""

    name = "yes or no"

    def read(self, evidence: Evidence) -> Reply | None:
        """Return the verdict with the sentence that decides; None if nothing is found."""
        best = best_of(evidence.ranked, 1, 0.0)
        if not best:
            return None
        unit = best[0].unit
        span = paragraph(evidence, unit)
        question = asking_part(evidence.question.query)
        decisive = _decisive(question, span.text, unit.flat)
        verdict = verdict_of(question, decisive)
        condition = " There are conditions." if _CONDITION.search(decisive) else ""
        return Reply(
            (Part("", span),),
            reader=self.name,
            conclusion=f"{verdict.capitalize()}.{condition}",
            # Of passages below the threshold, more than half are about something else (docs/benchmarks.md).
            undecided=f"{verdict.capitalize()}, if this applies:",
        )


def _decisive(question: str, passage: str, best: str) -> str:
    """Return the sentence of a passage that shares most with a question; the best unit where none shares more."""
    wanted = set(content_terms(question))

    def shared(sentence: str) -> int:
        return len(wanted & set(content_terms(sentence)))

    sentences = [" ".join(passage[start:end].split()) for start, end in sentence_spans(passage)]
    found = max(sentences, key=shared, default=best)
    return found if shared(found) > shared(best) else best
