"""Finds the term that a question asks to define, and whether a text defines it."""

from __future__ import annotations

import re

_ASKS = (
    re.compile(r"\b(?:meaning|definition) of (?:an? |the )?(?P<term>[^?.!,;]{2,60}?)\s*[?.!]*$", re.IGNORECASE),
    re.compile(
        r"^(?:so |and |hi,? )?(?:what(?:'s|s| is| are| was| were)|who(?:'s| is)|define|explain)\s+"
        r"(?:an? |the (?:term |acronym |abbreviation )?|meant by )?(?P<term>[^?.!,;]{2,60}?)\s*[?.!]*$",
        re.IGNORECASE,
    ),
    re.compile(
        r"\bwhat (?:does|do|did) (?:an? |the (?:term |acronym |abbreviation )?)?(?P<term>[^?.!,;]{2,60}?) "
        r"(?:mean|stand for|refer to|signify)\b",
        re.IGNORECASE,
    ),
)
_QUOTES = "\"'“”‘’`*_ "
_MARKS = r"[\"'”’`*_)\]]*"
_SAYS = r"(?:is|are|was|were|means?|stands? for|refers? to|denotes?|describes?)\b"


def defined_term(question: str) -> str | None:
    """Return the term that a question asks to define, such as "GACA", or None.

    Args:
        question: the sentence that asks.
    """
    text = " ".join(question.replace("’", "'").split())
    match = next((found for pattern in _ASKS if (found := pattern.search(text))), None)
    return match["term"].strip(_QUOTES) or None if match else None


def defines(text: str, term: str) -> bool:
    """Return whether a text defines a term or spells it out.

    A definition says that the term is, means or stands for something, has it at its beginning before a dash or colon,
    or has it in brackets after its long form. In a term of several words, an acronym counts as well.
    """
    flat = " ".join(text.split())
    acronyms = [word for word in re.findall(r"[\w&/-]+", term) if len(word) > 1 and word.isupper()]
    for name in dict.fromkeys([term, *acronyms]):
        written = re.escape(name)
        case = 0 if name in acronyms else re.IGNORECASE
        begins = rf"^[\W_]*(?:an? |the )?{written}{_MARKS}(?:\s*\([^)]*\))?{_MARKS}\s*(?:[:–—=]|-\s|{_SAYS})"
        if re.search(begins, flat, case | re.IGNORECASE if case else 0):
            return True
        if re.search(rf"\b{written}{_MARKS} (?:stands for|means|refers to)\b", flat, case):
            return True
        if name in acronyms and _spelled_out(flat, name):
            return True
    return False


def _spelled_out(text: str, acronym: str) -> bool:
    """Return whether an acronym is in brackets after words with its initials, or before them in brackets."""
    letters = [letter.lower() for letter in acronym if letter.isalnum()]
    for match in re.finditer(rf"\(\s*{re.escape(acronym)}s?\s*\)", text):
        before = re.findall(r"\w+", text[: match.start()])[-len(letters) - 3 :]
        if before and [word[0].lower() for word in before if word[0].lower() in letters][-2:] == letters[-2:]:
            return True
    for match in re.finditer(rf"\b{re.escape(acronym)}\s*\((?P<long>[^)]+)\)", text):
        after = [word[0].lower() for word in re.findall(r"\w+", match["long"])]
        if after[:1] == letters[:1] and len(after) > 1:
            return True
    return False
