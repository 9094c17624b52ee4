"""Patterns of candidate answers, by kind. Where a pattern has a group, the group is the answer."""

from __future__ import annotations

import re
from typing import Final, Literal, get_args

AnswerKind = Literal[
    "money",
    "percent",
    "contact",
    "code",
    "clock",
    "date",
    "duration",
    "quantity",
    "quoted",
    "reason",
    "name",
    "cell",
    "item",
    "number",
    "phrase",
]
ANSWER_KINDS: Final[tuple[AnswerKind, ...]] = get_args(AnswerKind)
"""Kinds of candidate answers. Of overlapping ones the earlier kind is kept."""

_NUMBER = r"\d+(?:[.,]\d+)*"
_WORDED = (
    "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|sixteen|twenty|thirty|forty|fifty|sixty|"
    "ninety|hundred"
)
_COUNT = rf"(?:{_NUMBER}|\b(?:{_WORDED}|one)\b)"
_RANGE = rf"{_COUNT}(?:\s?(?:-|–|to)\s?{_COUNT})?"
_SCALE = r"(?:\s(?:thousand|million|billion|trillion))?"
_MONTH = (
    r"(?:January|February|March|April|May|June|July|August|September|October|November|December|Januar|Februar|März|"
    r"Mai|Juni|Juli|Oktober|Dezember|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.?"
)
_TIME = (
    r"(?:(?:calendar|business|working|pay|full|school|light)[\s-])?"
    r"(?:second|minute|hour|day|week|month|year|decade|centur(?:y|ie))s?"
)
_UNIT = (
    r"(?:kilomet(?:er|re)s?|met(?:er|re)s?|centimet(?:er|re)s?|millimet(?:er|re)s?|miles?|feet|foot|inch(?:es)?|yards?|"
    r"acres?|hectares?|square \w+|km²?|cm|mm|kg|kilograms?|grams?|pounds|lbs?|tons?|tonnes?|lit(?:er|re)s?|gallons?|"
    r"degrees(?: \w+)?|°\s?[CF]|watts?|volts?|[KMGT]B|kHz|MHz|GHz|mph|km/h)"
)
_TITLE = r"(?<!\w)[^\W\d_a-z][\w'’&.-]*"
_JOINED = r"(?:\s(?:of|the|de|la|von|van|der|du|&)){0,2}"
PATTERNS: tuple[tuple[AnswerKind, re.Pattern[str]], ...] = (
    (
        "money",
        re.compile(
            rf"[$€£¥]\s?{_NUMBER}(?:{_SCALE}|[kKmMbB]n?\b)|\b{_NUMBER}{_SCALE}\s(?:dollars|euros|pounds|cents|USD|EUR|GBP)\b"
        ),
    ),
    ("percent", re.compile(rf"\b{_NUMBER}\s?(?:-|–|to)?\s?(?:{_NUMBER})?\s?(?:%|percent\b|per cent\b)")),
    (
        "contact",
        re.compile(
            r"[\w.+-]+@[\w-]+\.[\w.-]*\w|\(?\b\d{3}\)?[-. ]\d{3}[-. ]\d{4}\b|(?<![\w#&/])#[a-z][\w-]{2,}"
            r"|(?<![/@\w.-])(?:[\w-]+\.)+(?:gov|com|org|net|edu|io)\b(?:/[\w/-]*\w)?"
        ),
    ),
    ("code", re.compile(r"\b(?=[A-Z0-9-]*\d)[A-Z]{1,6}-?\d[\w-]*\b|`[^`\n]{2,40}`")),
    (
        "clock",
        re.compile(r"\b\d{1,2}(?:[:.]\d\d)?\s?(?:[ap]\.?m\b\.?)|\b(?:[01]?\d|2[0-3]):[0-5]\d\b|\b(?:noon|midnight)\b"),
    ),
    (
        "date",
        re.compile(
            rf"\b\d{{1,2}}(?:st|nd|rd|th|\.)?\s(?:of\s)?{_MONTH}(?:,?\s\d{{4}})?|\b{_MONTH}\s\d{{1,2}}(?:st|nd|rd|th)?\b"
            rf"(?:,?\s\d{{4}}\b)?|\b{_MONTH}\s\d{{4}}\b|(?<=\s)(?!M(?:ay|ar)\b){_MONTH}(?=[\s.,;)])|\b\d{{4}}-\d\d-\d\d\b|\b(?:1[0-9]|20)\d\ds?\b(?![\s-]?{_UNIT}\b|[.,]\d)"
            r"|\b(?:(?:early|mid|late)[ -])?(?:\d{1,2}th|first|second|third) century(?: (?:BC|AD|BCE|CE)\b)?"
        ),
    ),
    ("duration", re.compile(rf"(?<![$€£¥.,\d]){_RANGE}{_SCALE}[\s-]{_TIME}\b", re.I)),
    ("quantity", re.compile(rf"(?<![$€£¥.,\d]){_RANGE}{_SCALE}[\s-]?{_UNIT}(?![\w²])", re.I)),
    ("quoted", re.compile(r"[\"“„«「]([^\"“”„«»「」\n]{3,70})[\"”“»」]")),
    (
        "reason",
        re.compile(
            r"\b(?:because(?: of)?|due to|in order to|so that)\s([^.;:!?()\n,]{12,90})(?=[.;,!?\n]|$)",
        ),
    ),
    ("name", re.compile(rf"{_TITLE}(?:{_JOINED}\s{_TITLE})*")),
    (
        "number",
        re.compile(
            rf"(?<![$€£¥.,\d\w-]){_RANGE}{_SCALE}(?=\s[a-z])|(?<=\s)\d+(?:[.,]\d+)+(?=[\s.,;)])",
        ),
    ),
    (
        "phrase",
        re.compile(
            r"\b(?:the|an?|its|their|his|her|your|our|called|known as|named)\s"
            r"((?:[a-z][\w-]+\s){1,4}?[a-z][\w-]+)(?=[.,;:!?)]|\s(?:is|are|was|were|of|in|on|and|or|that|which|who|"
            r"has|have|had|can|may|must|should|will)\b)"
        ),
    ),
)
