"""Ranks units by how well they answer a question.

Units are ranked by late interaction: each token of the question is compared with the most similar token of the unit,
read with its headings and lead-in (MaxSim, Khattab and Zaharia, arXiv:2004.12832). On real questions this finds the
right sentence first far more often than cosine and shared words do (docs/benchmarks.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ragkit.answering.answer_types import holds_type, wanted_type
from ragkit.answering.definitions import defined_term, defines
from ragkit.answering.kinds import asking_part
from ragkit.answering.units import Unit
from ragkit.embedding import TokenEmbedder
from ragkit.retrieval.terms import content_terms, content_words, coverage

if TYPE_CHECKING:
    from ragkit.embedding import Embedder, Vectors

MAX_UNITS = 48
"""Maximum number of units that the embedder ranks; of more, those that share most with the question."""
_CONTEXT = 160
"""Characters of the headings, and of the lead-in, that a unit is read with."""
_COSINE, _COVERAGE, _SOURCE, _TYPE = 0.2, 0.15, 0.15, 0.06
"""Weights beside MaxSim; chosen on half of the handbook's questions, where all near them do as well."""
_DEFINES = 0.15
"""Bonus for a unit that defines the term in the question."""
_PENALTIES = {"heading": 1.0, "code": 0.3}
_RELEVANCE = {"bias": -10.1, "score": 12.41, "spread": 5.61}
_EVIDENCE = {
    "bias": -4.3,
    "score": 4.09,
    "spread": 1.63,
    "untyped": -2.8,
    "typed": 0.27,
    "mistyped": -3.86,
    "elsewhere": -5.49,
}
"""Weights of the signals. Those of relevance were fitted on questions with and without anything about their subject
(XQuAD with the article and without, questions from elsewhere); those of evidence on whether the quotes answer, for
questions of XQuAD and half of the handbook's, asked with and without the sentences that answer them. docs/benchmarks.md
has the results on the other questions."""
_PLATT = (0.79, 0.57)
REFUSE_BELOW = 0.15
"""Relevance below which the answer is an abstention."""
HOPELESS_BELOW = 0.1
"""Relevance below which even a model that can judge passages is not called."""
UNSURE_BELOW = 0.3
"""Evidence score below which an answer is marked as unsure."""
SHORT_KINDS = frozenset({"fact", "number", "keywords"})
"""Kinds of questions whose answer has a type, such as a date."""
_QUESTION_PENALTY = 0.3
_SHORT_PENALTY, _SHORT = 0.2, 25
_TOLD_PENALTY, _TOLD_SHARE = 0.1, 0.7


@dataclass(frozen=True, slots=True)
class Ranked:
    """A unit with its scores for the question."""

    unit: Unit
    score: float
    """Score, comparable between questions with the same embedder; higher is better."""
    coverage: float
    """Share of the question's terms in the unit, weighted by rarity, 0 to 1."""
    typed: bool
    """Whether the unit contains the type of answer that the question wants; True if it wants none."""
    by_word: tuple[float, ...] = ()
    """For each content word of the question, the mean over its tokens of the maximum cosine to a token of the unit."""


def rank_units(
    question: str,
    units: Sequence[Unit],
    embedder: Embedder,
    weights: Mapping[str, float],
    *,
    focus: str = "",
    told: str = "",
    kind: str = "",
) -> list[Ranked]:
    """Return the units, best match first.

    Args:
        question: a standalone question.
        units: units of the sources, the best source first.
        embedder: embedder of the index. One without token vectors ranks by cosine.
        weights: rarity of each of the question's terms.
        focus: for a follow-up, its own words, which count as much as the question with its context.
        told: the last reply of the conversation, whose sentences should not be repeated.
        kind: kind of the question; for a definition, units that define its term are preferred.
    """
    wanted = content_terms(question)
    units = _likely([unit for unit in units if unit.text.strip()], wanted, weights)
    if not units:
        return []
    shown = [_in_context(unit, embedder) for unit in units]
    similarity, cosines, by_word = _similarities([question, focus] if focus else [question], shown, embedder)
    answer_type = wanted_type(asking_part(question))
    term = defined_term(asking_part(focus or question)) if kind == "definition" else None
    already = set(content_terms(told))
    best_hit = max((unit.source.hit.score for unit in units), default=1.0) or 1.0
    ranked = []
    for number, unit in enumerate(units):
        terms = set(content_terms(unit.named))
        covered = coverage(wanted, terms, weights) if wanted else 0.0
        holds = answer_type is None or holds_type(unit.named, answer_type)
        score = float(
            similarity[number]
            + _COSINE * cosines[number]
            + _COVERAGE * covered
            + _SOURCE * max(0.0, unit.source.hit.score / best_hit)
            + (_TYPE if answer_type is not None and holds else 0.0)
            + (_DEFINES if term is not None and defines(unit.flat, term) else 0.0)
            - _PENALTIES.get(unit.kind, 0.0)
        )
        if terms and len(terms & already) >= _TOLD_SHARE * len(terms):
            score -= _TOLD_PENALTY
        if unit.asks:
            score -= _QUESTION_PENALTY
        elif len(unit.text) < _SHORT and unit.kind == "sentence" and not unit.text.rstrip().endswith((".", "。", "!")):
            score -= _SHORT_PENALTY
        ranked.append(Ranked(unit, score, covered, holds, by_word[number]))
    return sorted(ranked, key=lambda one: (-one.score, one.unit.source.number, one.unit.start))


def _likely(units: Sequence[Unit], wanted: Sequence[str], weights: Mapping[str, float]) -> list[Unit]:
    """Return at most ``MAX_UNITS`` units, those that share most with the question and are of the best sources."""
    if len(units) <= MAX_UNITS:
        return list(units)
    best_hit = max(unit.source.hit.score for unit in units) or 1.0

    def worth(unit: Unit) -> float:
        own = coverage(wanted, set(content_terms(unit.named)), weights) if wanted else 0.0
        around = coverage(wanted, set(content_terms(f"{unit.context} {unit.lead}")), weights) if wanted else 0.0
        return own + 0.5 * around + 0.5 * max(0.0, unit.source.hit.score / best_hit)

    kept = sorted(range(len(units)), key=lambda number: -worth(units[number]))[:MAX_UNITS]
    return [units[number] for number in sorted(kept)]


def _in_context(unit: Unit, embedder: Embedder) -> str:
    # The fields of a row have the names of its columns already.
    lead = "" if unit.fields else " ".join(unit.lead.split())[:_CONTEXT]
    text = f"{unit.context[-_CONTEXT:]}: {lead} {unit.named}"
    room = embedder.window - embedder.tokenizer.specials
    while len(text) > room and (count := embedder.tokenizer.count(text)) > room:
        text = text[: max(1, int(len(text) * room / count) - 1)]
    return text


def _similarities(
    queries: Sequence[str], texts: Sequence[str], embedder: Embedder
) -> tuple[Vectors, Vectors, list[tuple[float, ...]]]:
    """Return, for each text, the mean MaxSim of the queries' tokens, the mean cosine to them, and MaxSim by word.

    The words are the content words of the last query; an embedder without token vectors gives none.
    """
    wholes = embedder.embed(queries, "query")
    if not isinstance(embedder, TokenEmbedder):
        cosines = np.asarray(embedder.embed(texts, "document") @ wholes.T).mean(axis=1)
        return cosines, cosines, [()] * len(texts)
    asked = [tokens for tokens in embedder.embed_tokens(queries, "query") if len(tokens)]
    mean, cosine = np.zeros(len(texts), dtype=np.float32), np.zeros(len(texts), dtype=np.float32)
    by_word: list[tuple[float, ...]] = [()] * len(texts)
    places = _word_tokens(queries[-1], len(asked[-1]), embedder) if asked else []
    for number, tokens in enumerate(embedder.embed_tokens(texts, "document")):
        if len(tokens) and asked:
            nearest = [(one @ tokens.T).max(axis=1) for one in asked]
            mean[number] = np.mean([one.mean() for one in nearest])
            by_word[number] = tuple(float(nearest[-1][at].mean()) for at in places)
            pooled = tokens.mean(axis=0)
            cosine[number] = float((wholes @ pooled).mean()) / (float(np.linalg.norm(pooled)) + 1e-9)
    return mean, cosine, by_word


def _word_tokens(query: str, count: int, embedder: Embedder) -> list[NDArray[np.int64]]:
    """Return the numbers of the tokens of each content word of a query that has ``count`` token vectors."""
    offsets = embedder.tokenizer.offsets(query)
    lead = count - len(offsets)  # Tokens of the instruction that some models want before a query.
    if lead < 0:
        return []
    found = [
        np.flatnonzero((offsets[:, 0] < match.end()) & (offsets[:, 1] > match.start())) + lead
        for match in content_words(query)
    ]
    return [tokens for tokens in found if len(tokens)]


def signals(
    question: str,
    ranked: Sequence[Ranked],
    kind: str,
    weights: Mapping[str, float],
    focus: str = "",
) -> dict[str, float]:
    """Return the signals of the evidence score, each about 0 to 1.

    They compare the units with each other and with the question; none depends on the scale of a collection.

    Args:
        question: a standalone question.
        ranked: units, best first; not empty.
        kind: kind of the question; only short answers have a type.
        weights: rarity of each of the question's terms.
        focus: for a follow-up, its own words.
    """
    wanted = wanted_type(asking_part(question)) if kind in SHORT_KINDS else None
    best, scores = ranked[0], [one.score for one in ranked]
    best_typed = max((one.score for one in ranked if one.typed), default=0.0)
    return {
        "score": best.score,
        "spread": best.score - float(np.median(scores)),
        "untyped": 0.0 if wanted is None else min(1.0, max(0.0, best.score - best_typed)),
        "typed": float(wanted is not None and best.typed),
        "mistyped": float(wanted is not None and not best.typed),
        "elsewhere": _elsewhere(focus or question, ranked, weights),
    }


def _elsewhere(asked: str, ranked: Sequence[Ranked], weights: Mapping[str, float]) -> float:
    """Return how much better other units match the question's words than the best one does, weighted by rarity.

    Where words of the question are matched only in different units, none of these says all that was asked.
    """
    best = ranked[0].by_word
    rare = [
        max((weights.get(term, 1.0) for term in content_terms(match.group())), default=1.0)
        for match in content_words(asked)
    ]
    if not best or len(best) != len(rare):
        return 0.0
    nearest = [max(one.by_word[at] for one in ranked if one.by_word) for at in range(len(best))]
    lost = sum(weight * (other - own) for weight, other, own in zip(rare, nearest, best, strict=True))
    return lost / (sum(rare) or 1.0)


def relevance(found: Mapping[str, float]) -> float:
    """Return the probability, 0 to 1, that the units are about what was asked, from their ``signals``."""
    return _logistic(_RELEVANCE, found)


def evidence_score(found: Mapping[str, float]) -> float:
    """Return the probability, 0 to 1, that the units contain the answer, from their ``signals``."""
    return _logistic(_EVIDENCE, found)


def probability_right(evidence: float) -> float:
    """Return the probability, 0 to 1, that an answer read from evidence of this score is right.

    Platt scaling, fitted on half of the handbook's questions, since a reader can err even with good evidence.
    """
    odds = min(max(evidence, 1e-3), 1 - 1e-3)
    return 1 / (1 + math.exp(-(_PLATT[0] + _PLATT[1] * math.log(odds / (1 - odds)))))


def _logistic(weights: Mapping[str, float], found: Mapping[str, float]) -> float:
    return 1 / (
        1 + math.exp(-(weights["bias"] + sum(w * found[name] for name, w in weights.items() if name != "bias")))
    )
