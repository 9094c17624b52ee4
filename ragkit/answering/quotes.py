"""The way ``quotes``: no model at all, the best sentences as they stand."""

from __future__ import annotations

from collections.abc import Sequence

from ragkit.answering.sentences import Sentence, cite
from ragkit.records import Citation

_AT_MOST = 2
_NEAR = 0.85
"""A further sentence is quoted only if its score is at least this share of the best one's."""


def quote(ranked: Sequence[Sentence]) -> tuple[str, tuple[Citation, ...]]:
    """Return the best sentences, each with its number, and their citations.

    Args:
        ranked: sentences, best first; not empty.
    """
    best = [s for s in ranked[:_AT_MOST] if s.score >= _NEAR * ranked[0].score] or list(ranked[:1])
    if len(best) == 2 and best[1].text in best[0].text:
        best = best[:1]
    citations = tuple(cite(number, s.source, s.start, s.end) for number, s in enumerate(best, 1))
    text = " ".join(f"{' '.join(citation.quote.split())} [{citation.number}]" for citation in citations)
    return text, citations
