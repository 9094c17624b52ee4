"""Parses a sentence: words, names, negation, quantifiers, modals and numbers."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from ragkit.answering.support.lexicon import (
    AUXILIARIES,
    BE,
    FUNCTION_WORDS,
    MONTHS,
    RELATIONS,
    WEEKDAYS,
    lemma,
)
from ragkit.answering.support.quantities import Quantity, quantities
from ragkit.retrieval.terms import CJK

_TOKEN = re.compile(
    r"\d+(?:[.,:]\d+)*(?:st|nd|rd|th|k|m|bn)?(?![^\W\d_])|[^\W_]+(?:['’][^\W\d_]+)?|[€$£¥%]|[.,;:()?!\"“”–—-]"
)
_SPLIT = {"can't": ("can", "not"), "cannot": ("can", "not"), "won't": ("will", "not"), "shan't": ("shall", "not")}
_BREAKS = frozenset(
    ", ; : . ( ) ? ! – — because although though while whereas if when unless until but so which who that as".split()  # noqa: SIM905
)
_NEGATORS = frozenset("not never nobody nothing neither nor hardly cannot none".split())  # noqa: SIM905
_NOUN_NEGATORS = frozenset(["no", "without"])
_NOUN_END = frozenset("in on at to from by with for of how when where that which who".split())  # noqa: SIM905
_NO_NEGATION = frozenset("only more less fewer later least matter longer_than just".split())  # noqa: SIM905
QUANTIFIERS = {
    **dict.fromkeys(
        ["all", "every", "each", "always", "everyone", "everything", "everybody", "entire", "whole"], "all"
    ),
    **dict.fromkeys(["most", "mostly", "majority", "usually", "generally", "mainly"], "most"),
    **dict.fromkeys(
        ["some", "several", "many", "certain", "sometimes", "numerous", "often", "specific", "various"], "some"
    ),
    **dict.fromkeys(["few", "rarely", "seldom", "hardly"], "few"),
    **dict.fromkeys(["none", "no", "never", "nobody", "nothing"], "none"),
    **dict.fromkeys(["only", "solely", "exclusively", "sole"], "only"),
}
MODALS = {
    **dict.fromkeys(["must", "shall", "required", "mandatory", "obliged", "compulsory", "need", "needs"], "must"),
    **dict.fromkeys(["should", "recommended", "recommend", "recommends", "ought", "advised", "suggested"], "should"),
    **dict.fromkeys(["may", "can", "could", "might", "optional", "allowed", "permitted", "able"], "may"),
}


@dataclass(frozen=True, slots=True)
class Token:
    """A word of a sentence."""

    text: str
    low: str
    lemma: str
    kind: str
    """``content``, ``relation`` (such as before), ``function``, ``number`` or ``mark``."""
    name: bool
    calendar: str
    """``month`` or ``weekday``; empty for other words."""
    negated: bool
    clause: int


@dataclass(frozen=True, slots=True)
class Parsed:
    """A parsed sentence."""

    text: str
    tokens: tuple[Token, ...]
    numbers: tuple[Quantity, ...]
    quantifiers: tuple[tuple[str, int], ...]
    """Quantifiers, each with the index of its word."""
    modals: tuple[tuple[str, int], ...]
    passives: frozenset[int]
    """Indices of the participles of verbs in the passive."""
    negators: int
    """Number of words that negate."""

    @property
    def content(self) -> list[int]:
        """Indices of the content words."""
        return [index for index, token in enumerate(self.tokens) if token.kind == "content"]


@lru_cache(maxsize=4096)
def parse(text: str) -> Parsed:
    """Return a sentence taken apart."""
    raw = _tokens(text)
    lows = [word.lower() for word, _ in raw]
    lemmas = [lemma(low) for low in lows]
    found = quantities(lows, lemmas)
    in_number = {index for quantity in found for index in range(quantity.start, quantity.end)}
    negated = _negation(lows)
    tokens = []
    clause = 0
    for index, (word, opens) in enumerate(raw):
        low = lows[index]
        if low in _BREAKS:
            clause += 1
        kind = _kind(low, index in in_number)
        calendar = _calendar(lows, raw, index)
        name = kind == "content" and not calendar and _is_name(word, opens, raw, index)
        tokens.append(Token(word, low, lemmas[index], kind, name, calendar, negated[index], clause))
    return Parsed(
        text,
        tuple(tokens),
        tuple(found),
        tuple(_quantifiers(lows)),
        tuple(_modals(lows)),
        frozenset(_passives(lows)),
        sum(
            low in _NEGATORS | _NOUN_NEGATORS and following not in _NO_NEGATION
            for low, following in zip(lows, [*lows[1:], ""], strict=False)
        ),
    )


def is_fragment(text: str) -> bool:
    """Return whether a text is not a whole statement: a heading, a question, a list of names or half a sentence."""
    stripped = text.strip().strip("\"'“”*_ ")
    if not stripped or stripped.endswith(("?", "？", "؟", ":", ",", "…", "...")) or CJK.search(stripped):
        return not (stripped and CJK.search(stripped) and len(stripped) > 3)
    parsed = parse(text)
    lows = [token.low for token in parsed.tokens if token.kind != "mark"]
    if len(lows) < 2:
        return True
    if not stripped.isascii() and sum(not c.isascii() for c in stripped) > len(stripped) / 2:
        return len(lows) < 3
    if lows[-1] in ("the", "a", "an", "of", "and", "or", "to", "by", "with", "for", "that", "which", "your", "their"):
        return True
    first = lows[0]
    if first in (
        "if",
        "when",
        "because",
        "although",
        "while",
        "whereas",
        "unless",
        "until",
        "after",
        "before",
        "whether",
    ):
        commas = [index for index, token in enumerate(parsed.tokens) if token.low == ","]
        verbs = _verbs(parsed)
        if not commas:
            return len(verbs) < 2
        return not any(verb > commas[0] for verb in verbs)
    return not _verbs(parsed)


def main_verbs(parsed: Parsed) -> frozenset[int]:
    """Return the indices of words that carry what a clause says: finite verbs, and what follows an auxiliary."""
    found = set(parsed.passives)
    for index in _verbs(parsed):
        if parsed.tokens[index].low not in AUXILIARIES:
            found.add(index)
            continue
        after = index + 1
        while after < len(parsed.tokens) and (
            parsed.tokens[after].low in AUXILIARIES
            or parsed.tokens[after].low in ("not", "to", "never", "also")
            or parsed.tokens[after].low.endswith("ly")
        ):
            after += 1
        found.add(after)
    return frozenset(found)


_IMPERATIVES = frozenset(
    """
    use send ask check wait change restart contact call click open close go make read write select add remove submit
    sign visit see review complete follow enter keep take give tell provide include email bring return report update
    request create save print install log choose fill upload download book talk reach join attend store turn do be
    press pay do get set put schedule avoid edit cancel confirm consider ensure find have let look note notify
    obtain refer remember run share start stop work try type view
    """.split()  # noqa: SIM905
)
_FINITE = frozenset(
    """
    goes comes takes makes gets gives says sees knows has had went came took made got gave said saw knew became began
    kept held wrote stood heard meant met ran paid sat spoke led grew lost fell sent built drew broke spent rose drove
    bought wore chose sought threw caught won forgot sold fought bore taught ate sang struck hung shook rode fed shot
    drank flew spread slept hid froze stole swam cost costs cut cuts hit hits let lets put puts set sets shut shuts
    need needs want wants use uses like likes live lives work works lie lies lay hang hangs run runs leave leaves
    find finds found left told thought felt brought apply applies cover covers include includes contain contains
    require requires receive receives allow allows provide provides rank ranks help helps eat eats remain remains
    take make give continue occur exist belong depend consist appear seem provide know see say go come get happen
    become becomes begin begins end ends open opens close closes start starts stop stops keep keeps hold holds
    """.split()  # noqa: SIM905
)
_COMMANDED = frozenset("the a an your this these that all any down up to out on if it them into through".split())  # noqa: SIM905
_PRONOUNS = ("i", "you", "we", "they", "people", "who", "that", "which")
_AMBIGUOUS = frozenset(
    """
    need want use like live work lie hang run leave find cost cut hit cover rank help begin end open close start stop
    hold put set shut let lay
    """.split()  # noqa: SIM905
)
"""Words that are nouns or adjectives as often as verbs; treated as verbs only after a possible plural subject."""
_AFTER_VERB = frozenset("to on at from not as into each every all when if after before until".split())  # noqa: SIM905
_DETERMINERS = frozenset(
    """
    the a an this that these those its their his her our your my of in by with for and or no
    """.split()  # noqa: SIM905
)


def _verbs(parsed: Parsed) -> list[int]:
    """Return the indices of words that look like finite verbs."""
    found = []
    tokens = parsed.tokens
    for index, token in enumerate(tokens):
        low = token.low
        before = tokens[index - 1].low if index else ""
        if low in AUXILIARIES:
            found.append(index)
        elif token.kind in ("content", "function") and not token.calendar:
            if (low in _IMPERATIVES and (index == 0 or before in (",", ";", "and", "please", "then", ":"))) or (
                index == 0 and token.kind == "content" and _opens_command(tokens)
            ):
                found.append(index)
            elif (
                before in _DETERMINERS
                or before == "to"
                or token.name
                or (low in _AMBIGUOUS and not _after_subject(tokens, index))
            ):
                continue
            elif (
                low in _FINITE
                or (index and low.endswith("ed") and len(low) > 4)
                or (index and _reads_as_verb(tokens, index))
                or before in _PRONOUNS
            ):
                found.append(index)
    return found


def _after_subject(tokens: tuple[Token, ...], index: int) -> bool:
    before = tokens[index - 1] if index else None
    return before is not None and (before.low in _PRONOUNS or before.low.endswith("s") or before.name)


def _opens_command(tokens: tuple[Token, ...]) -> bool:
    """Return whether a sentence opens like ``Navigate to the tab``."""
    low, after = tokens[0].low, tokens[1].low if len(tokens) > 1 else ""
    return not tokens[0].name and not low.endswith(("s", "ing", "ed")) and after in _COMMANDED


def _reads_as_verb(tokens: tuple[Token, ...], index: int) -> bool:
    """Return whether a word in ``-s`` is rather a verb than a plural, by the words beside it."""
    low = tokens[index].low
    if not low.endswith("s") or low.endswith(("ss", "us", "is")) or low in FUNCTION_WORDS or index + 1 == len(tokens):
        return False
    before, after = tokens[index - 1], tokens[index + 1]
    if after.low in _DETERMINERS or after.low in _AFTER_VERB or after.low.endswith("ly") or after.kind == "number":
        return True
    opened = tokens[0].low in _DETERMINERS and index >= 2
    return after.kind == "content" and (before.name or (opened and not before.low.endswith("s")))


def _tokens(text: str) -> list[tuple[str, bool]]:
    """Return the words and marks, each with whether it opens a sentence."""
    found: list[tuple[str, bool]] = []
    opens = True
    for match in _TOKEN.finditer(unicodedata.normalize("NFKC", text)):
        word = match.group().replace("’", "'")
        if word in (".", "?", "!", ":"):
            found.append((word, False))
            opens = True
            continue
        low = word.lower()
        if low in _SPLIT:
            found += [(part, opens) for part in _SPLIT[low]]
        elif low.endswith("n't"):
            found += [(word[:-3], opens), ("not", False)]
        elif "'" in word:
            stem, _, rest = word.partition("'")
            found.append((stem, opens))
            if rest.lower() not in ("s", ""):
                found.append((rest, False))
        elif CJK.search(word):
            found += [(character, False) for character in word]
        else:
            found.append((word, opens))
        opens = opens and not word[0].isalnum()
    return found


def _kind(low: str, number: bool) -> str:
    if number:
        return "number"
    if not low[0].isalnum():
        return "mark"
    if low in RELATIONS:
        return "relation"
    return "function" if low in FUNCTION_WORDS or low in QUANTIFIERS or low == "not" else "content"


def _calendar(lows: list[str], raw: list[tuple[str, bool]], index: int) -> str:
    low = lows[index].removesuffix("s") if lows[index].endswith("days") else lows[index]
    if low in WEEKDAYS:
        return "weekday"
    if low in MONTHS and raw[index][0][0].isupper():
        beside = [*lows[max(0, index - 1) : index], *lows[index + 1 : index + 2]]
        if low not in ("may", "march") or any(word[0].isdigit() or word in ("in", "of", "since") for word in beside):
            return "month"
    return ""


_NOUN_ENDINGS = ("s", "ing", "tion", "ment", "ness", "ity", "ship", "ance", "ence", "ism", "er")


def _is_name(word: str, opens: bool, raw: list[tuple[str, bool]], index: int) -> bool:
    if not word[0].isupper():
        return False
    if not opens or (len(word) > 1 and word[1:].upper() == word[1:]) or word[1:].lower() != word[1:]:
        return True
    following = raw[index + 1][0] if index + 1 < len(raw) else ""
    low = following.lower()
    if (low in AUXILIARIES or low in _FINITE or low.endswith("ed")) and not word.endswith(_NOUN_ENDINGS):
        # Without a determiner before a verb: "Kenya has", but "Parking is" and "Employees get".
        return True
    return following[:1].isupper() and following.lower() not in FUNCTION_WORDS


def _negation(lows: list[str]) -> list[bool]:
    count = [0] * len(lows)
    for index, low in enumerate(lows):
        following = lows[index + 1] if index + 1 < len(lows) else ""
        if low in _NEGATORS and following not in _NO_NEGATION:
            end = _until(lows, index + 1, _BREAKS)
        elif low in _NOUN_NEGATORS and following not in _NO_NEGATION:
            start_of_clause = all(word in ("and", "but") or word in _BREAKS for word in lows[max(0, index - 1) : index])
            end = _until(lows, index + 1, _BREAKS if start_of_clause else _BREAKS | _NOUN_END)
        elif (low == "rather" and following == "than") or (low == "instead" and following == "of"):
            end = min(_until(lows, index + 2, _BREAKS), index + 5)
        else:
            continue
        for at in range(index + 1, end):
            count[at] += 1
    return [total % 2 == 1 for total in count]


def _until(lows: list[str], start: int, stops: frozenset[str]) -> int:
    for index in range(start, len(lows)):
        if lows[index] in stops:
            return index
    return len(lows)


def _quantifiers(lows: list[str]) -> list[tuple[str, int]]:
    found = []
    for index, low in enumerate(lows):
        kind = QUANTIFIERS.get(low)
        if kind is None:
            continue
        before = lows[index - 1] if index else ""
        following = lows[index + 1] if index + 1 < len(lows) else ""
        if (low == "most" and before in ("at", "the")) or (low == "few" and before == "a"):
            kind = "some" if low == "few" else ""
        elif (
            (low == "no" and following in _NO_NEGATION)
            or (low == "only" and before == "not")
            or (low in ("each", "every") and following[:1].isdigit())
            or (low == "all" and before == "at")
        ):
            kind = ""
        if kind:
            found.append((kind, index))
    return found


def _modals(lows: list[str]) -> list[tuple[str, int]]:
    found = []
    for index, low in enumerate(lows):
        kind = MODALS.get(low)
        if low in ("have", "has") and lows[index + 1 : index + 2] == ["to"]:
            kind = "must"
        elif (low in ("need", "needs") and lows[index + 1 : index + 2] != ["to"]) or (
            low == "may" and lows[index + 1 : index + 2] and lows[index + 1][0].isdigit()
        ):
            kind = None
        if kind:
            found.append((kind, index))
    return found


def _passives(lows: list[str]) -> list[int]:
    found = []
    for index, low in enumerate(lows):
        if not (low.endswith(("ed", "en", "wn", "ne")) or (lemma(low) != low and not low.endswith(("s", "ing", "ly")))):
            continue
        for back in range(index - 1, max(-1, index - 4), -1):
            if lows[back] in BE:
                found.append(index)
                break
            if not (
                lows[back] == "not" or lows[back].endswith("ly") or lows[back] in ("also", "then", "again", "never")
            ):
                break
    return found
