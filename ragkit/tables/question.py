"""Parses the words of a question: numbers with comparisons, superlatives, sums, counts, groups, names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from ragkit.answering.measures import measure_of, number_of
from ragkit.answering.readers.superlatives import HIGHEST, LOWEST
from ragkit.retrieval.terms import is_stop, stem, words

_TOKEN = re.compile(r"[^\W_]+(?:[.,'’:][^\W_]+)*")
_COUNTED = {word: n for n, word in enumerate("one two three four five six seven eight nine ten".split(), 1)}  # noqa: SIM905
_LIGHT = frozenset(
    """
    list show give tell find please number amount value take took taken place come came go use used happen
    happened sell sold make made get exist contain include offer record much per every available row entry
    together whole entire overall altogether combined
    """.split()  # noqa: SIM905
)
"""Words that name no column and no value in most questions."""
_TOTAL = re.compile(r"\b(?:total|sum|altogether|combined|together|in all|overall|entire|whole)\b", re.IGNORECASE)
_AVERAGE = re.compile(r"\b(?:average|mean|on average)\b", re.IGNORECASE)
_COUNT = re.compile(r"\b(?:how many|(?:the|a|what|total|average) number of|count)\b", re.IGNORECASE)
_GROUP = re.compile(r"\b(?:per|for each|for every|by each|in each|by|each)\s+(\w+)", re.IGNORECASE)
_DIFFERENCE = re.compile(r"\b(?:how (?:much|many) (?:more|less|fewer)|difference|gap)\b", re.IGNORECASE)
_LISTS = re.compile(r"^\W*(?:list|show|name|give|find)\b", re.IGNORECASE)
_HEAD = re.compile(
    r"\b(?:which|what|whose)\s+((?:[\w'-]+\s+){0,2}?[\w'-]+)\s+"
    r"(?:is|are|was|were|has|have|had|do|does|did|took|can|could|will|should|of|in|for|with|\w+ed|\w+s)\b",
    re.IGNORECASE,
)
_ASKED = re.compile(
    r"\b(?:what|who)(?:'s| is| are| was| were) (?:the |an? )?(.+?)"
    r"(?=\s(?:of|for|in|from|on|at|when|if|per|to|with|by)\b|[?.,]|$)",
    re.IGNORECASE,
)
_NEWEST = frozenset({"newest", "latest", "youngest"})
_OLDEST = frozenset({"oldest", "earliest"})
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_NOT_SUPERLATIVE = re.compile(r"\bat (?:most|least)\b|\bmost of\b", re.IGNORECASE)
_NOT = re.compile(
    r"\b(?:not|isn't|aren't|wasn't|weren't|don't|doesn't|without|non|no(?! (?:more|less|fewer)))\b", re.IGNORECASE
)
_OPERATORS: tuple[tuple[str, str], ...] = (
    (
        r"(?:more|greater|higher|larger|longer|heavier|older|later|bigger|taller|wider|faster|hotter|warmer) than"
        r"|over|above|exceed\w*|beyond",
        ">",
    ),
    (
        r"(?:less|fewer|lower|smaller|shorter|lighter|younger|cheaper|earlier|thinner|slower|colder) than"
        r"|under|below",
        "<",
    ),
    (r"at least|no (?:less|fewer) than|minimum of|from", ">="),
    (r"at most|no more than|up to|maximum of", "<="),
)
_NUMBER = r"\d{1,3}(?:[ ,.'’]\d{3})+(?:[.,]\d+)?(?!\d)|\d+(?:[.,]\d+)?"
_COMPARED = re.compile(
    rf"(?:\b(?P<between>between)\s+)?(?:\b(?P<words>{'|'.join(f'(?:{pattern})' for pattern, _ in _OPERATORS)})\s+)?"
    rf"(?P<currency>[€$£¥])?\s?(?<![\w.,-])(?P<number>{_NUMBER})(?![\w-]|[.,:/]\d)"
    rf"(?:\s+and\s+(?P<second>{_NUMBER})(?![\w-]|[.,:/]\d))?(?:\s?(?P<unit>[%€$£¥]|[A-Za-z°²³/]+))?",
    re.IGNORECASE,
)
_DATED = re.compile(
    r"\b(?:(?P<words>after|before|since|until|in|on|from)\s+)?(?P<date>\d{4}-\d\d-\d\d|(?:19|20)\d\d)\b(?!-)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A word of a question."""

    number: int
    text: str
    term: str
    """Stem of the word."""
    start: int
    end: int
    weight: float
    """Weight of the word: 0 for words without content; higher for names and numbers."""

    @property
    def is_verb(self) -> bool:
        """Whether its ending is that of a participle."""
        return self.text.endswith(("ed", "ing"))


@dataclass(frozen=True, slots=True)
class Comparison:
    """A number of a question with its comparison operator."""

    operator: str
    """One of ``=``, ``>``, ``<``, ``>=``, ``<=`` and ``between``."""
    value: float
    second: float | None
    unit: str
    """The word or sign after or before the number."""
    dimension: str
    """Dimension of the unit; empty if it has none."""
    base: float
    """Factor of the unit to the base unit of its dimension."""
    tokens: frozenset[int]
    unit_tokens: frozenset[int]


@dataclass(frozen=True, slots=True)
class DateCondition:
    """A date or year of a question."""

    operator: str
    """One of ``after``, ``before``, ``since``, ``until`` and ``in``."""
    date: str
    tokens: frozenset[int]


@dataclass(frozen=True)
class Question:
    """A question on tables, as read by rules."""

    text: str
    synonyms: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Titles of columns that a stem means although it is not in them."""

    @cached_property
    def tokens(self) -> tuple[Token, ...]:
        """All words in order."""
        found = []
        for number, match in enumerate(_TOKEN.finditer(self.text)):
            text = match.group()
            word = (words(text) or [text])[0]
            found.append(Token(number, text, term_of(word), match.start(), match.end(), _weight(text, word, number)))
        return tuple(found)

    @cached_property
    def comparisons(self) -> tuple[Comparison, ...]:
        """Numbers, in order."""
        found = []
        for match in _COMPARED.finditer(self.text):
            said = match["words"] or ""
            operator = next((sign for pattern, sign in _OPERATORS if re.fullmatch(pattern, said, re.IGNORECASE)), "=")
            second = number_of(match["second"]) if match["second"] else None
            unit = match["currency"] or match["unit"] or ""
            one = measure_of(f"1 {unit}") if unit else None
            known = one is not None and one.dimension not in ("", unit.lower())
            start = match.start("words") if said else match.start("number")
            number_end = match.end("second") if second is not None else match.end("number")
            found.append(
                Comparison(
                    "between" if match["between"] and second is not None else operator,
                    number_of(match["number"]),
                    second,
                    unit,
                    one.dimension if known and one is not None else "",
                    one.value if known and one is not None else 1.0,
                    self.covered(match.start() if match["between"] else start, number_end),
                    self.covered(number_end, match.end()),
                )
            )
        return tuple(found)

    @cached_property
    def dates(self) -> tuple[DateCondition, ...]:
        """Dates and years, in order."""
        names = {"on": "in", "from": "since", "": "in"}
        return tuple(
            DateCondition(
                names.get((match["words"] or "").lower(), (match["words"] or "in").lower()),
                match["date"],
                self.covered(match.start(), match.end()),
            )
            for match in _DATED.finditer(self.text)
        )

    @cached_property
    def superlative(self) -> tuple[Literal["max", "min"], frozenset[int]] | None:
        """Whether the highest or lowest is asked for, and the words that say so."""
        for token in self.tokens:
            word = token.text.lower()
            if word not in HIGHEST | LOWEST:
                continue
            around = self.text[max(0, token.start - 4) : token.end + 4]
            if _NOT_SUPERLATIVE.search(around):
                continue
            return ("max" if word in HIGHEST else "min"), frozenset({token.number})
        return None

    @cached_property
    def top(self) -> tuple[int, frozenset[int]] | None:
        """The number before or after a superlative, as in "the three cheapest"."""
        if self.superlative is None:
            return None
        first = min(self.superlative[1])
        for token in self.tokens[max(0, first - 1) : first]:
            count = _COUNTED.get(token.text.lower()) or (int(token.text) if token.text.isdigit() else 0)
            if 1 < count <= 100:
                return count, frozenset({token.number})
        return None

    @cached_property
    def ordinal(self) -> tuple[int, frozenset[int]] | None:
        """The requested rank, as in "the second highest", from 2."""
        if self.superlative is None:
            return None
        before = min(self.superlative[1]) - 1
        if before >= 0 and (word := self.tokens[before].text.lower()) in ORDINALS[1:]:
            return ORDINALS.index(word) + 1, frozenset({before})
        return None

    @cached_property
    def asked(self) -> frozenset[int]:
        """The last content word of the requested quantity, as in "what is the *price* of"."""
        match = _ASKED.search(self.text)
        start, end = match.span(1) if match else (0, 0)
        content = [token.number for token in self.tokens if start <= token.start < end and token.weight]
        return frozenset(content[-1:])

    @cached_property
    def by_date(self) -> Literal["max", "min"] | None:
        """Whether the newest or oldest is asked for, if the superlative says so of dates."""
        if self.superlative is None:
            return None
        words = {self.tokens[number].text.lower() for number in self.superlative[1]}
        return "max" if words & _NEWEST else "min" if words & _OLDEST else None

    @cached_property
    def group(self) -> tuple[int, ...]:
        """Tokens after "per", "for each" and "by", any of which may name the column to group by."""
        found: list[int] = []
        for match in _GROUP.finditer(self.text):
            found += sorted(self.covered(match.start(1), match.end(1)))
        return tuple(found)

    @cached_property
    def head(self) -> frozenset[int]:
        """Tokens of the noun after "which" or "what"; of the first noun after "list"."""
        if match := _HEAD.search(self.text):
            return self.covered(match.start(1), match.end(1))
        if _LISTS.match(self.text):
            content = [token.number for token in self.tokens if token.weight]
            return frozenset(content[:2])
        return frozenset()

    @cached_property
    def counted(self) -> frozenset[int]:
        """The first tokens with content after "how many" or "number of"."""
        match = _COUNT.search(self.text)
        if match is None:
            return frozenset()
        after = [token.number for token in self.tokens if token.start >= match.end() and token.weight]
        return frozenset(after[:1])

    @property
    def counts(self) -> bool:
        """Whether a number of things is asked for."""
        return _COUNT.search(self.text) is not None

    @property
    def total(self) -> frozenset[int]:
        """Tokens that ask for a sum."""
        return self._matching(_TOTAL)

    @property
    def average(self) -> frozenset[int]:
        """Tokens that ask for an average."""
        return self._matching(_AVERAGE)

    @property
    def difference(self) -> frozenset[int]:
        """Tokens that ask for a difference."""
        return self._matching(_DIFFERENCE)

    @property
    def negated(self) -> bool:
        """Whether it has a negation."""
        return _NOT.search(self.text) is not None

    def weight(self, tokens: Iterable[int]) -> float:
        """Return the sum of the weights of tokens."""
        return sum(self.tokens[number].weight for number in tokens)

    def covered(self, start: int, end: int) -> frozenset[int]:
        """Return the numbers of the tokens within a span."""
        return frozenset(token.number for token in self.tokens if token.start >= start and token.end <= end)

    def _matching(self, pattern: re.Pattern[str]) -> frozenset[int]:
        found: frozenset[int] = frozenset()
        for match in pattern.finditer(self.text):
            found |= self.covered(match.start(), match.end())
        return found


def term_of(word: str) -> str:
    """Return the stem of a word, of short words without the ending of a plural."""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1] if len(word) == 4 and word.endswith("s") and not word.endswith("ss") else stem(word)


def terms_in(text: str) -> list[str]:
    """Return the stems of the words of a text that carry meaning."""
    return [term_of(word) for word in words(text) if not is_stop(word)]


def _weight(text: str, word: str, number: int) -> float:
    if any(char.isdigit() for char in text):
        return 1.5
    if is_stop(word):
        return 0.0
    if number and text[0].isupper():
        return 1.5
    if word in _LIGHT:
        return 0.0
    return 1.5 if word in ORDINALS else 1.0
