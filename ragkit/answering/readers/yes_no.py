"""Yes or no, by the polarity of the sentence that decides, with that sentence as the citation."""

from __future__ import annotations

import re
from typing import Literal

from ragkit.answering.kinds import asking_part
from ragkit.answering.readers.base import Evidence, Part, Reply
from ragkit.answering.readers.quotes import best_of, paragraph
from ragkit.answering.support.lexicon import antonyms, lemma
from ragkit.chunking import sentence_spans
from ragkit.retrieval.terms import content_terms, is_stop, words

Verdict = Literal["yes", "no"]
_NOT = re.compile(
    r"\b(?:not|never|cannot|can't|won't|don't|doesn't|didn't|isn't|aren't|wasn't|weren't|shouldn't|mustn't|"
    r"couldn't|wouldn't|"
    r"no longer|no|none|nobody|nothing|neither|nor|without|prohibited|forbidden|banned|disallowed|ineligible|exempt|"
    r"forfeit(?:ed)?|unable|lose|avoid|optional|unnecessary|nicht|kein\w*)\b",
    re.IGNORECASE,
)
_NEED = re.compile(
    r"\b(?:need|have to|must|required?|necessary|mandatory|obliged|got to|supposed to|should)\b", re.IGNORECASE
)
_MAY = re.compile(
    r"\b(?:can|could|may|might|allowed|permitted|able|possible|eligible|entitled|ok|okay|approved)\b", re.IGNORECASE
)
_REQUIRES = re.compile(
    r"\b(?:must|required?|requires|need(?:s|ed)? to|have to|has to|mandatory|necessary|only|at least|should|"
    r"obtain|until)\b",
    re.IGNORECASE,
)
_PERMITS = re.compile(
    r"\b(?:can|may|could|allow(?:s|ed)?|permit(?:s|ted)?|eligible|entitled|able|approved|free to|option)\b",
    re.IGNORECASE,
)
_EXCEPT = re.compile(
    r"\b(?:unless|except|other than|but not|only if|only when|provided that|as long as)\b", re.IGNORECASE
)
_CLAUSE = re.compile(
    r"[,;:–—]\s|\b(?:but|although|though|while|however|because|since|so that|which|who|if|when|and)\b", re.IGNORECASE
)


class YesNoReader:
    """Decides between yes and no by rules, and says so only where the sentence is about what was asked."""

    name = "yes or no"

    def read(self, evidence: Evidence) -> Reply | None:
        """Return the verdict with the sentence that decides; None where nothing is found."""
        best = best_of(evidence.ranked, 1, 0.0)
        if not best:
            return None
        unit = best[0].unit
        span = paragraph(evidence, unit)
        question = asking_part(evidence.question.query)
        decisive = _decisive(question, span.text, unit.flat)
        verdict = verdict_of(question, decisive)
        condition = " There are conditions." if _EXCEPT.search(decisive) else ""
        return Reply((Part(f"{verdict.capitalize()}.{condition}", None), Part("", span)), reader=self.name)


def _decisive(question: str, passage: str, best: str) -> str:
    """Return the sentence of a passage that shares most with a question; the best unit where none shares more."""
    wanted = set(content_terms(question))

    def shared(sentence: str) -> int:
        return len(wanted & set(content_terms(sentence)))

    sentences = [" ".join(passage[start:end].split()) for start, end in sentence_spans(passage)]
    found = max(sentences, key=shared, default=best)
    return found if shared(found) > shared(best) else best


def verdict_of(question: str, sentence: str) -> Verdict:
    """Return whether a sentence answers a question with yes or no, by the polarity of its nearest clause.

    Args:
        question: begins with an auxiliary verb, or asks one after setting the scene.
        sentence: one that is about what is asked.
    """
    clause = _nearest_clause(question, sentence)
    negated = bool(_NOT.search(clause))
    asks_need, asks_may = bool(_NEED.search(question)), bool(_MAY.search(question))
    asked, said = _lemmas(question), _lemmas(clause)
    if not negated:
        negated = any(antonyms(one, other) for one in asked - said for other in said - asked)
    flipped = bool(re.search(r"\b(?:not|without|n't|no)\b|n't\b", question.split(",")[-1], re.IGNORECASE))
    if asks_need and not negated and not _REQUIRES.search(clause) and _PERMITS.search(clause):
        return "no"
    if asks_may and not asks_need and not negated and re.search(r"\bmust\b|\brequired to\b", clause, re.IGNORECASE):
        negated = bool(re.search(r"\bonly\b", clause, re.IGNORECASE))
    return "no" if negated != flipped else "yes"


def _lemmas(text: str) -> set[str]:
    return {lemma(word) for word in words(text) if not is_stop(word)}


def _nearest_clause(question: str, sentence: str) -> str:
    """Return the clause of a sentence that shares most with the question, the whole where none stands out."""
    wanted = set(content_terms(question))
    clauses = [clause for clause in _CLAUSE.split(sentence) if clause and clause.strip()]
    shares = [len(wanted & set(content_terms(clause))) for clause in clauses]
    if not shares or max(shares) == 0 or shares.count(max(shares)) > 1:
        return sentence
    return clauses[shares.index(max(shares))]
