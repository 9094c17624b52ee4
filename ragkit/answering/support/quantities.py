"""The numbers of a text: value, unit, what they count, and whether they are a bound."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ragkit.answering.support.lexicon import FUNCTION_WORDS, MONTHS, UNITS

_SMALL = {
    word: float(value)
    for value, word in enumerate(
        """
        zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
        seventeen eighteen nineteen twenty
        """.split()  # noqa: SIM905
    )
} | {"thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90, "dozen": 12}
_ORDINALS = {
    word: float(value + 1)
    for value, word in enumerate(
        """
        first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth
        fifteenth sixteenth seventeenth eighteenth nineteenth twentieth
        """.split()  # noqa: SIM905
    )
}
_SCALES = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
_TIMES = {"once": 1.0, "twice": 2.0, "thrice": 3.0}
_FRACTIONS = {"half": 0.5, "quarter": 0.25, "two-thirds": 2 / 3}
_CURRENCIES = {"€": "eur", "$": "usd", "£": "gbp", "¥": "yen"}
_SAME_UNIT = {
    "dollar": "usd", "euro": "eur", "pound": "gbp", "hr": "hour", "min": "minute", "sec": "second", "kilometer": "km",
    "kilometre": "km", "meter": "metre", "centimetre": "cm", "centimeter": "cm", "millimetre": "mm", "millimeter": "mm",
    "kilogram": "kg", "gigabyte": "gb", "megabyte": "mb", "terabyte": "tb", "kilobyte": "kb", "percentage": "percent",
    "mi": "mile", "lb": "pound", "liter": "litre",
}  # fmt: skip
_DIGITS = re.compile(r"(\d+(?:,\d{3})+|\d+)(\.\d+)?(st|nd|rd|th|k|m|bn)?$")
_CLOCK = re.compile(r"(\d{1,2})[:.](\d{2})$")
_BOUNDS = {
    "least": ">=", "minimum": ">=", "more": ">", "over": ">", "above": ">", "exceeding": ">", "beyond": ">",
    "most": "<=", "maximum": "<=", "max": "<=", "up": "<=", "less": "<", "fewer": "<", "under": "<", "below": "<",
    "about": "~", "around": "~", "approximately": "~", "roughly": "~", "nearly": "~", "almost": "~", "some": "~",
    "within": "<=",
}  # fmt: skip
_FLIPPED = {">": "<=", "<": ">=", "~": "~", ">=": "<", "<=": ">"}
_STOPS = frozenset("in on at to from by with as for and or but per every each a an the if when who that which".split())  # noqa: SIM905


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number of a text."""

    value: float
    start: int
    """Its tokens are ``start`` to ``end``, the end excluded."""
    end: int
    kind: str
    """``plain``, ``ordinal``, ``clock`` (value in minutes), ``year`` or ``word`` (a ``one`` that may be none)."""
    unit: str = ""
    unit_at: int = -1
    counted: tuple[int, ...] = ()
    """Indices of the tokens that name what is counted, without the unit."""
    bound: str = ""
    """``>=``, ``>``, ``<=``, ``<`` or ``~``; empty if it is exact."""

    @property
    def family(self) -> str:
        """The family of the unit, such as ``time``; empty for none."""
        return UNITS.get(self.unit, "")


def normal_unit(lemma: str) -> str:
    """Return one name for a unit however it is written, or an empty string if it is not a unit."""
    unit = _SAME_UNIT.get(lemma, lemma)
    return unit if unit in UNITS else ""


def quantities(words: Sequence[str], lemmas: Sequence[str]) -> list[Quantity]:
    """Return the numbers among the words of a sentence.

    Args:
        words: words in lower case, with punctuation and currency signs as separate words.
        lemmas: lemmas of the words.
    """
    found: list[Quantity] = []
    at = 0
    while at < len(words):
        read = _read(words, at)
        if read is None:
            at += 1
            continue
        value, end, kind = read
        found.append(_described(words, lemmas, value, at, end, kind))
        at = end
    return _ranges(words, found)


def _read(words: Sequence[str], at: int) -> tuple[float, int, str] | None:
    word = words[at]
    clock = _CLOCK.match(word)
    if clock and (":" in word or words[at + 1 : at + 2] in (["am"], ["pm"])):
        hours, end = int(clock[1]), at + 1
        if words[end : end + 1] in (["am"], ["pm"]):
            hours, end = hours % 12 + 12 * (words[end] == "pm"), end + 1
        return 60.0 * hours + int(clock[2]), end, "clock"
    digits = _DIGITS.match(word)
    if digits:
        value = float(digits[1].replace(",", "") + (digits[2] or ""))
        suffix = digits[3] or ""
        value *= {"k": 1e3, "m": 1e6, "bn": 1e9}.get(suffix, 1.0)
        end = at + 1
        if words[end : end + 1] in (["am"], ["pm"]) and value <= 12:
            return 60.0 * (value % 12 + 12 * (words[end] == "pm")), end + 1, "clock"
        while end < len(words) and words[end] in _SCALES:
            value, end = value * _SCALES[words[end]], end + 1
        if suffix in ("st", "nd", "rd", "th"):
            return value, end, "ordinal"
        is_year = end == at + 1 and "," not in word and "." not in word and 1000 <= value <= 2100
        return value, end, "year" if is_year else "plain"
    if word in _TIMES:
        return _TIMES[word], at + 1, "word" if word == "once" else "plain"
    if word in _FRACTIONS and words[at - 1 : at] != ["every"] and words[at + 1 : at + 2] in (["of"], ["the"], ["a"]):
        return _FRACTIONS[word], at + 1, "plain"
    if word in _ORDINALS and not (word == "second" and words[at - 1 : at] in (["a"], ["per"], ["one"])):
        return _ORDINALS[word], at + 1, "ordinal"
    if word in _SMALL:
        value, end = _SMALL[word], at + 1
        if 20 <= value <= 90 and end < len(words) and _SMALL.get(words[end], 99) < 10:
            value, end = value + _SMALL[words[end]], end + 1
        elif (
            20 <= value <= 90
            and words[end : end + 1] == ["-"]
            and _SMALL.get("".join(words[end + 1 : end + 2]), 99) < 10
        ):
            value, end = value + _SMALL[words[end + 1]], end + 2
        while end < len(words) and words[end] in _SCALES:
            value, end = value * _SCALES[words[end]], end + 1
        return value, end, "word" if word == "one" and end == at + 1 else "plain"
    if word in ("hundred", "thousand", "million", "billion") and words[at - 1 : at] == ["a"]:
        return _SCALES[word], at + 1, "plain"
    return None


def _described(words: Sequence[str], lemmas: Sequence[str], value: float, start: int, end: int, kind: str) -> Quantity:
    unit, unit_at = "", -1
    counted: list[int] = []
    if start and words[start - 1] in _CURRENCIES:
        unit, unit_at = _CURRENCIES[words[start - 1]], start - 1
    at = end
    passed_of = False
    while at < len(words) and at < end + 6 and kind in ("plain", "word"):
        word = words[at]
        if word in _CURRENCIES and not unit:
            unit, unit_at = _CURRENCIES[word], at
        elif word == "%" and not unit:
            unit, unit_at = "percent", at
        elif word == "of" and not passed_of:
            passed_of = True
        elif word == "-":
            pass
        elif not unit and not passed_of and normal_unit(lemmas[at]):
            unit, unit_at = normal_unit(lemmas[at]), at
        elif not word[0].isalpha() or word in _STOPS or word in _SMALL:
            break
        elif word not in FUNCTION_WORDS:
            counted.append(at)
        elif not passed_of:
            break
        at += 1
    return Quantity(value, start, end, kind, unit, unit_at, tuple(counted[:3]), _bound(words, start, end))


def _bound(words: Sequence[str], start: int, end: int) -> str:
    for back in range(start - 1, max(-1, start - 5), -1):
        word = words[back]
        if word in _BOUNDS:
            if word == "up" and words[back + 1 : back + 2] != ["to"]:
                continue
            if word == "over" and back and _takes_over(words[back - 1]):
                break
            flipped = words[back - 1 : back] in (["no"], ["not"]) and back > 0
            return _FLIPPED[_BOUNDS[word]] if flipped else _BOUNDS[word]
        if word not in ("than", "of", "to", "the", "a", "at", "$", "€", "£"):
            break
    after = list(words[end : end + 3])
    for offset, word in enumerate(after[:-1]):
        if word == "or" and after[offset + 1] in ("more", "longer", "older", "higher", "greater"):
            return ">="
        if word == "or" and after[offset + 1] in ("less", "fewer", "younger", "lower"):
            return "<="
    return ""


def _takes_over(word: str) -> bool:
    return word in (
        "carry",
        "carried",
        "carries",
        "roll",
        "rolled",
        "rolls",
        "take",
        "took",
        "turn",
        "hand",
        "win",
        "won",
    )


def _ranges(words: Sequence[str], found: Sequence[Quantity]) -> list[Quantity]:
    """Give the first number of ``30 to 50 thousand`` and ``10–30 %`` the scale and unit of the second."""
    done = list(found)
    for number in range(len(done) - 1):
        left, right = done[number], done[number + 1]
        between = list(words[left.end : right.start])
        if between in (["to"], ["-"], ["–"], ["and"]) and left.kind == right.kind == "plain" and not left.unit:
            value = left.value
            if right.value >= 1000 and value < 1000 and any(w in _SCALES for w in words[right.start : right.end]):
                value *= next(_SCALES[w] for w in words[right.start : right.end] if w in _SCALES)
            done[number] = Quantity(
                value, left.start, left.end, left.kind, right.unit, right.unit_at, right.counted, left.bound
            )
    return [
        Quantity(q.value, q.start, q.end, "plain") if q.kind == "year" and _beside_month(words, q) is False else q
        for q in done
    ]


def _beside_month(words: Sequence[str], quantity: Quantity) -> bool | None:
    """Return False for a number of four digits that counts something: ``2000 people`` but not ``in 2000``."""
    if quantity.counted or quantity.unit:
        return False
    before = words[quantity.start - 1] if quantity.start else ""
    return True if before in (*MONTHS, "in", "since", "by", "until", "of", ",") else None
