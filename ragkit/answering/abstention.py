"""Whether what was retrieved supports an answer at all.

The confidence is a logistic function of three signals that need no model call. Its weights and the threshold were
fitted on XQuAD-en by ``benchmarks/abstention.py``: each question asked of an index with its article and of one without,
on one half of the articles; docs/benchmarks.md has what the other half gives.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ragkit.prompting import Source
from ragkit.retrieval.terms import content_terms, coverage

BIAS = -11.44
WEIGHTS = {"cosine": 9.86, "coverage": 3.58, "sentence": 13.75}
THRESHOLD = 0.4


def signals(
    question: str, sources: Sequence[Source], best_cosine: float, best_sentence: float, weights: Mapping[str, float]
) -> dict[str, float]:
    """Return the signals of a retrieval, each 0 to 1 or nearly so.

    Args:
        question: as asked.
        sources: what was retrieved, best first.
        best_cosine: of any chunk to the question.
        best_sentence: score of the sentence that fits best.
        weights: rarity of each of the question's terms.
    """
    wanted = content_terms(question)
    present = [set(content_terms(f"{source.document.title} {source.text}")) for source in sources[:3]]
    return {
        "cosine": best_cosine,
        "coverage": max((coverage(wanted, terms, weights) for terms in present), default=0.0),
        "sentence": best_sentence,
    }


def confidence(found: Mapping[str, float]) -> float:
    """Return the probability, 0 to 1, that the retrieved text holds the answer."""
    return 1 / (1 + math.exp(-(BIAS + sum(WEIGHTS[name] * value for name, value in found.items()))))
