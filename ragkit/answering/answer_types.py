"""The type of answer that a question wants (an amount, a date, a person …) and where a text contains one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

AnswerType = Literal[
    "money", "percent", "duration", "frequency", "distance", "date", "clock", "number", "person", "contact"
]

_NUMBER_WORDS = (
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|eighteen|twenty|"
    "thirty|forty|fifty|sixty|ninety|hundred|thousand|million|billion|half|dozen|once|twice|none|zero|no|single|both"
)
_COUNT = rf"(?:\d[\d.,]*|\b(?:{_NUMBER_WORDS})\b)"
_SPAN = (
    r"(?:seconds?|secs?|minutes?|mins?|hours?|hrs?|days?|weeks?|months?|quarters?|years?|decades?|centur(?:y|"
    r"ies)|nights?|"
    r"(?:pay )?periods?|weekends?|business days?|working days?)"
)
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|sept|oct|nov|dec)[a-z]*"
_DAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)days?"
_HOLDS: dict[AnswerType, re.Pattern[str]] = {
    "money": re.compile(
        r"[$€£¥]\s?\d|\b\d[\d.,]*\s?(?:dollars?|euros?|pounds?|cents?|usd|eur|gbp)\b|\bfree\b|\bno (?:cost|"
        r"charge|fee)\b",
        re.I,
    ),
    "percent": re.compile(r"\d\s?%|\bpercent\b|\bper cent\b|\b(?:half|third|quarter|all|none) of\b", re.I),
    "duration": re.compile(
        rf"{_COUNT}(?:\s?(?:-|–|to|or)\s?{_COUNT})?[\s-](?:\w+[\s-]){{0,2}}?{_SPAN}\b|\b(?:forever|"
        rf"permanent(?:ly)?|indefinite(?:ly)?|"
        rf"overnight|a|an|immediately|until) ?(?:{_SPAN})?\b(?<!\ba)(?<!\ban)|\b(?:19|20)\d\d\s?(?:-|–|to|"
        rf"until)\s?(?:19|20)?\d\d\b",
        re.I,
    ),
    "frequency": re.compile(
        rf"\b(?:every|each|per|once|twice|annual(?:ly)?|month(?:ly)|week(?:ly)|dai?ly|day|yearly|biweekly|"
        rf"quarterly|hourly|"
        rf"semi-?annual(?:ly)?|regularly|never|always|times an?)\b|{_COUNT} times\b",
        re.I,
    ),
    "distance": re.compile(
        rf"{_COUNT}[\s-]?(?:miles?|kilomet(?:er|re)s?|km|met(?:er|re)s?|m|cm|mm|feet|foot|ft|inch(?:es)?|yards?|"
        rf"blocks?|"
        rf"floors?|acres?|hectares?|degrees?|°|kg|kilograms?|pounds?|lbs?|tons?|tonnes?|grams?|gb|mb|tb|"
        rf"characters?)\b",
        re.I,
    ),
    "date": re.compile(
        rf"\b{_MONTH}\.? \d|\d\.? {_MONTH}\b|\b(?:in|by|until|since|from|early|late|mid|of|before|"
        rf"after)[ -]{_MONTH}\b|"
        rf"\b(?:1[0-9]|20)\d\d\b|\b\d{{1,2}}[/.]\d{{1,2}}\b|\b{_DAY}\b|\bcentur(?:y|ies)\b|\b(?:before|after|"
        rf"within|until|once|when|"
        rf"during|as soon as|at the (?:end|beginning|start)|today|tomorrow|spring|summer|autumn|winter)\b|"
        rf"{_COUNT}[\s-](?:\w+ )?{_SPAN}\b",
        re.I,
    ),
    "clock": re.compile(
        r"\b\d{1,2}(?:[:.]\d\d)?\s?(?:a\.?m|p\.?m)\b|\b\d{1,2}:\d\d\b|\b(?:noon|midnight)\b|\bo'clock\b", re.I
    ),
    "number": re.compile(rf"{_COUNT}", re.I),
    "person": re.compile(
        r"(?<![.!?] )(?<!^)\b[A-Z][\w'’-]+|\b(?:your|the|a|an|our|their) (?:\w+ ){0,3}?\w*(?:team|staff|manager|"
        r"supervisor|director|"
        r"office|officer|lead|specialist|owner|department|people|employees?|contractors?|person|representative|"
        r"approver|"
        r"coach|official|agency|employer|president|king|queen|author|physician|founder|member|user)s?\b|[#@][\w-]+",
    ),
    "contact": re.compile(
        r"[\w.+-]+@[\w-]+\.\w+|https?://\S+|\bwww\.\S+|[#@][\w-]{2,}|\(?\d{3}\)?[-. ]\d{3}[-. ]\d{4}|"
        r"\b[\w-]+\.(?:gov|com|org|net|edu|de|io)\b",
        re.I,
    ),
}
_QUESTION_WORD = re.compile(r"\b(?:who|whom|whose|what|when|where|which|why|how)\b", re.I)
_WORDINGS: tuple[tuple[AnswerType, str], ...] = (
    ("percent", r"\bwhat (?:percentage|percent|share|proportion|fraction)\b|\bhow many percent\b"),
    ("frequency", r"\bhow (?:often|frequently|regularly)\b|\bhow many times\b"),
    (
        "duration",
        r"\bhow (?:long|soon|quickly|fast)\b(?! is| are)|\bfor how long\b|\bhow long (?:is|are) .* (?:valid|"
        r"kept|limited|stored|open)\b|\bhow far (?:ahead|in advance)\b|\bhow (?:many|much) (?:\w+ )?"
        r"(?:seconds|minutes|hours|days|weeks|months|years|time|leave|notice)\b|\bwithin what time\b|"
        r"\bhow much (?:\w+ )?time\b",
    ),
    (
        "money",
        r"\bhow (?:many|much) (?:\w+ )?(?:dollars|euros|pounds|money)\b|\bwhat (?:does|do|did) .* cost\b|"
        r"\bhow (?:much|expensive)\b"
        r".*\b(?:cost|costs|pay|pays|paid|earn|charge|price|salary|spend|worth|fee)\b|\bwhat (?:is|are|"
        r"was) the (?:\w+ ){0,3}"
        r"(?:price|cost|fee|salary|rate|fare|budget)\b|\bgoing rate\b",
    ),
    (
        "distance",
        r"\bhow (?:far|tall|high|deep|wide|heavy|large|big)\b|\bhow much (?:\w+ )?(?:storage|space|weight|"
        r"memory)\b",
    ),
    (
        "clock",
        r"\b(?:at )?what time\b|\bwhat (?:are|is) the (?:\w+ )?(?:opening|closing|office|core) (?:hours|"
        r"times?)\b|\bclosing time\b",
    ),
    (
        "date",
        r"^(?:and |but |so |since |until )?when\b|\buntil when\b|\bwhat (?:date|day|year|month)\b|"
        r"\bwhich (?:date|day|year|month)\b|\bdeadline\b(?!,)|\bin (?:which|what) (?:year|century|month)\b",
    ),
    ("contact", r"\b(?:phone number|e-?mail address|website|web address|url|link|hotline|contact)\b"),
    (
        "number",
        r"\bhow (?:many|much|old)\b|\bwhat (?:number|amount|total)\b|\bwhat is the (?:\w+ ){0,2}(?:number|"
        r"amount|total|limit|maximum|minimum)\b",
    ),
    (
        "person",
        r"^(?:who|whom|whose)\b|\b(?:by|to|from|with) whom\b|[.!,] who\b|\bwho (?:is|was|are|do|does|can|"
        r"should|must|will)\b",
    ),
)
_WANTS = tuple((name, re.compile(pattern, re.I)) for name, pattern in _WORDINGS)


def wanted_type(question: str) -> AnswerType | None:
    """Return the type of answer that the wording of a question asks for, or None if it asks for none of them.

    Args:
        question: the sentence that asks, without introductory sentences.
    """
    text = " ".join(question.replace("’", "'").split())
    governing = _QUESTION_WORD.search(text)
    limit = governing.start() if governing else len(text)
    found = ((name, pattern.search(text)) for name, pattern in _WANTS)
    return next((name for name, match in found if match and match.start() <= limit), None)


def holds_type(text: str, wanted: AnswerType) -> bool:
    """Return whether a text contains something of the wanted type."""
    if wanted == "date" and _HOLDS["clock"].search(text):
        return True
    return _HOLDS[wanted].search(text) is not None


_UNITS: dict[str, tuple[str, float]] = {
    "second": ("duration", 1.0),
    "minute": ("duration", 60.0),
    "hour": ("duration", 3600.0),
    "day": ("duration", 86400.0),
    "week": ("duration", 7 * 86400.0),
    "month": ("duration", 30.44 * 86400.0),
    "year": ("duration", 365.25 * 86400.0),
    "mile": ("length", 1609.34),
    "kilometer": ("length", 1000.0),
    "kilometre": ("length", 1000.0),
    "km": ("length", 1000.0),
    "meter": ("length", 1.0),
    "metre": ("length", 1.0),
    "m": ("length", 1.0),
    "cm": ("length", 0.01),
    "mm": ("length", 0.001),
    "foot": ("length", 0.3048),
    "feet": ("length", 0.3048),
    "inch": ("length", 0.0254),
    "inche": ("length", 0.0254),
    "kg": ("weight", 1.0),
    "pound": ("weight", 0.4536),
    "character": ("characters", 1.0),
    "percent": ("percent", 1.0),
    "%": ("percent", 1.0),
    "dollar": ("dollars", 1.0),
    "euro": ("euros", 1.0),
}
_WORD_VALUES = {
    word: float(value)
    for value, word in enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
    )
}
_QUANTITY = re.compile(
    rf"(?P<money>[$€])\s?(?P<amount>\d[\d.,]*)|(?P<low>\d[\d.,]*|\b(?:{'|'.join(_WORD_VALUES)})\b)(?:\s?(?:-|–|"
    rf"to)\s?(?P<high>\d[\d.,]*))?[\s-]?"
    r"(?:(?:business|working|full|calendar) )?(?P<unit>%|[A-Za-z]+)",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A quantity of a text in base units, such as seconds and metres; for a range, both ends."""

    low: float
    high: float
    measure: str
    """Measure, such as ``duration`` or ``year``; for counts of other things, the noun in the singular."""
    start: int
    end: int


_ARTICLE_UNIT = re.compile(
    r"(?<=than )an? (?P<unit>second|minute|hour|day|week|month|year|mile|kilometer|kilometre)\b", re.I
)
_YEAR = re.compile(
    r"\b(?:before|after|since|until|in|by|from|of|than)\s+(?P<year>1[0-9]{3}|20[0-9]{2})\b(?!\s?[a-z$€%])", re.I
)


def quantities_in(text: str) -> list[Quantity]:
    """Return the quantities of a text in order, years included; if no unit is known, the noun is the measure."""
    found = []
    years = {match.start("year") for match in _YEAR.finditer(text)}
    for match in _YEAR.finditer(text):
        value = float(match["year"])
        found.append(Quantity(value, value, "year", *match.span("year")))
    for match in _QUANTITY.finditer(text):
        if match["money"]:
            value, measure = _value(match["amount"]), "dollars" if match["money"] == "$" else "euros"
            found.append(Quantity(value, value, measure, *match.span()))
            continue
        if match.start() in years:
            continue
        unit = match["unit"].lower()
        factor, measure = 1.0, unit.removesuffix("s")
        if (known := _UNITS.get(unit) or _UNITS.get(unit.removesuffix("s"))) is not None:
            measure, factor = known
        low, high = _value(match["low"]), _value(match["high"] or match["low"])
        found.append(Quantity(low * factor, high * factor, measure, *match.span()))
    for match in _ARTICLE_UNIT.finditer(text):
        measure, factor = _UNITS[match["unit"].lower()]
        found.append(Quantity(factor, factor, measure, *match.span()))
    return sorted(found, key=lambda quantity: quantity.start)


def quantity_in(text: str) -> tuple[float, str] | None:
    """Return the first quantity of a text as a value in its base unit and what it measures, or None.

    Durations are in seconds, lengths in metres, weights in kilograms; for a range, the higher end is used.
    """
    for match in _QUANTITY.finditer(text):
        if match["money"]:
            return _value(match["amount"]), "dollars" if match["money"] == "$" else "euros"
        unit = match["unit"].lower()
        known = _UNITS.get(unit) or _UNITS.get(unit.removesuffix("s"))
        if known:
            return _value(match["high"] or match["low"]) * known[1], known[0]
    return None


def _value(text: str) -> float:
    if text.lower() in _WORD_VALUES:
        return _WORD_VALUES[text.lower()]
    digits = text.rstrip(".,").replace(",", "")
    try:
        return float(digits)
    except ValueError:
        return 0.0
