"""Decides by rules whether a sentence answers a question with yes or no.

Rules are tried from the specific to the general: days and hours, quantities, exceptions, "only", and then the polarity
of the clause that is nearest to the question.
"""

from __future__ import annotations

import re

from ragkit.answering.answer_types import holds_type
from ragkit.answering.kinds import asking_part
from ragkit.answering.readers.calendar import Verdict, calendar_verdict
from ragkit.answering.readers.intervals import quantity_verdict
from ragkit.answering.support.lexicon import antonyms, lemma
from ragkit.retrieval.terms import content_terms, is_stop, words

_NOT = re.compile(
    r"\b(?:not|never|cannot|no longer|no|none|nobody|nothing|neither|nor|prohibited|forbidden|banned|disallowed|"
    r"ineligible|exempt|forfeit(?:ed)?|unable|lose|avoid|optional|unnecessary|excluded?|excludes|expires?|expired|"
    r"rejected|refused|denied|declined|impossible|instead of|rather than|nicht|kein\w*)\b|n't\b|n’t\b",
    re.IGNORECASE,
)
_NEED = re.compile(
    r"\b(?:need|have to|must|required?|necessary|mandatory|compulsory|obliged|got to|supposed to|should)\b",
    re.IGNORECASE,
)
_MAY = re.compile(
    r"\b(?:can|could|may|might|allowed|permitted|able|possible|eligible|entitled|ok|okay|approved|accept(?:ed)?)\b",
    re.IGNORECASE,
)
_REQUIRES = re.compile(
    r"\b(?:must|required?|requires|need(?:s|ed)? to|have to|has to|mandatory|compulsory|necessary|only|at least|"
    r"should|obtain|until|always|never)\b",
    re.IGNORECASE,
)
_RELIEVES = re.compile(
    r"\b(?:can|may|could|allow(?:s|ed)?|permit(?:s|ted)?|eligible|entitled|able|approved|free|option(?:al)?|"
    r"recommended|encouraged|voluntary|complimentary|provided|included|waived|without)\b",
    re.IGNORECASE,
)
_PUNISHED = re.compile(r"\b(?:removed|confiscated|fined|towed|rejected|punish\w*|prosecuted)\b", re.IGNORECASE)
_LOSS = re.compile(r"\b(?:lose|lost|expire[sd]?|forfeit(?:ed)?|lapses?|gone)\b", re.IGNORECASE)
_EXCEPT = re.compile(
    r"\b(?:except(?: for)?|other than|with the exception of|apart from|excluding|but not)\s+"
    r"(?P<what>[^,;.()]+?)(?=[,;.()]|$|\s(?:is|are|was|were|may|can|must|will|has|have)\b)",
    re.IGNORECASE,
)
_ONLY = re.compile(
    r"(?:^|[.;:]\s+)only (?P<subject>[^,;.()]+?) (?:are|is|may|can|have|has|will|must|get|do|does)\b"
    r"|\b(?:limited|restricted|reserved|open only|available only|exclusively|solely) (?:to|for) (?P<group>[^,;.()]+)"
    r"|\b(?:on|in|with|for|by|to|accepts?|uses?|supports?|takes?) (?P<list>[^;.()]{2,80}?)(?<!\bis)(?<!\bare) only\b",
    re.IGNORECASE,
)
_WITHOUT = re.compile(r"\bwithout (?P<what>(?:an? |any |the )?[\w-]+(?: [\w-]+)?)", re.IGNORECASE)
_SUBORDINATE = re.compile(r"\b(?:if|when|because|since|after|before|while|unless)\b.*", re.IGNORECASE)
_ASKS_NOT = re.compile(r"^[\w']+ (?:[\w'-]+ ){1,4}not\b", re.IGNORECASE)
_INCLUDED = re.compile(r"\b(?:included|free|complimentary|covered)\b", re.IGNORECASE)
_PREFIXES = ("non", "un", "in", "im", "ir", "dis")
_CLAUSE = re.compile(
    r"[,;:–—]\s|\b(?:but|although|though|while|however|because|since|so that|which|who|if|when|and)\b", re.IGNORECASE
)


def verdict_of(question: str, sentence: str) -> Verdict:
    """Return whether a sentence answers a question with yes or no.

    Args:
        question: begins with an auxiliary verb, or asks one after setting the scene.
        sentence: a sentence about the subject of the question.
    """
    asking = asking_part(question)
    found = calendar_verdict(asking, sentence) or quantity_verdict(asking, sentence)
    if found is not None:
        return found
    exception = _EXCEPT.search(sentence)
    if exception is not None:
        rest = f"{sentence[: exception.start()]}{sentence[exception.end() :]}"
        excepted = _lemmas(exception["what"])
        return _opposite(_polarity(asking, rest)) if excepted & _lemmas(asking) else _polarity(asking, rest)
    return _only_verdict(asking, sentence) or _polarity(asking, sentence)


def _opposite(verdict: Verdict) -> Verdict:
    return "no" if verdict == "yes" else "yes"


def _only_verdict(question: str, sentence: str) -> Verdict | None:
    """Return what a sentence with "only X" says: yes about X, no about anything else."""
    only = _ONLY.search(sentence)
    if only is None or re.search(r"\bnot only\b", sentence, re.IGNORECASE):
        return None
    allowed = _lemmas(only["subject"] or only["group"] or only["list"] or "")
    asked = _lemmas(_WITHOUT.sub(" ", question))
    if not allowed:
        return None
    if _NEED.search(question):
        return "yes" if allowed & asked else None
    if only["list"]:
        return "yes" if allowed & asked and not asked - _lemmas(sentence) else "no"
    return "yes" if allowed <= asked else "no"


def _polarity(question: str, sentence: str) -> Verdict:
    """Return the verdict by whether question and nearest clause are negated, and by what they require and permit."""
    clause = _nearest_clause(question, sentence)
    asked, said = _lemmas(question), _lemmas(clause)
    main = _SUBORDINATE.sub("", question)
    if _LOSS.search(main) and _LOSS.search(clause):
        return "yes"
    negations = {match.group().lower() for match in _NOT.finditer(clause)}
    # A question about what is "forbidden" is answered with yes by a sentence that says "prohibited".
    asks_negative = bool({match.group().lower() for match in _NOT.finditer(main)} - {"not", "n't", "n’t"})
    negated = bool(negations) != asks_negative
    negated = negated or any(antonyms(one, other) for one in asked - said for other in said - asked)
    negated = negated or _has_negative_form(main, clause)
    flipped = _ASKS_NOT.match(main) is not None
    without = _WITHOUT.search(main)
    if without is not None:
        missing = _lemmas(without["what"])
        flipped = not any(missing & _lemmas(match["what"]) for match in _WITHOUT.finditer(sentence))
    else:
        negated = negated or any(_lemmas(match["what"]) & asked for match in _WITHOUT.finditer(clause))
    if _NEED.search(question):
        if not negated and not _REQUIRES.search(clause) and _RELIEVES.search(clause):
            return "no"
    elif _MAY.search(question) and not negated:
        if re.search(r"\b(?:must|required to)\b", clause, re.IGNORECASE):
            negated = bool(re.search(r"\bonly\b", clause, re.IGNORECASE))
        negated = negated or _PUNISHED.search(clause) is not None
    if _INCLUDED.search(main) and holds_type(sentence, "money") and not _INCLUDED.search(sentence):
        negated = True
    return "no" if negated != flipped else "yes"


def _has_negative_form(question: str, clause: str) -> bool:
    """Return whether a clause contains a word of the question with a negative prefix, such as "unpaid" for "paid"."""
    asked = {word for word in words(question) if len(word) > 3}
    for word in words(clause.replace("non-", "non")):
        if word not in asked and any(
            word.startswith(prefix) and word.removeprefix(prefix) in asked for prefix in _PREFIXES
        ):
            return True
    return False


def _lemmas(text: str) -> set[str]:
    return {lemma(word) for word in words(text) if not is_stop(word)}


def _nearest_clause(question: str, sentence: str) -> str:
    """Return the clause of a sentence that shares most with the question, or the sentence if none is clearly best."""
    wanted = set(content_terms(question))
    clauses = [clause for clause in _CLAUSE.split(sentence) if clause and clause.strip()]
    shares = [len(wanted & set(content_terms(clause))) for clause in clauses]
    if not shares or max(shares) == 0 or shares.count(max(shares)) > 1:
        return sentence
    return clauses[shares.index(max(shares))]
