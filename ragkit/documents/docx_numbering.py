"""The numbers of lists and headings as a DOCX file shows them: the part ``numbering`` and a counter per list."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ragkit.documents.docx_package import attribute, child, integer, is_on, value
from ragkit.documents.docx_styles import NumberingReference

BULLET = "-"
_LEVELS = 9
_PLACEHOLDER = re.compile(r"%([1-9])")
_ROMAN = (
    *((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x")),
    *((9, "ix"), (5, "v"), (4, "iv"), (1, "i")),
)
_ALPHABETS = {
    "lowerLetter": "abcdefghijklmnopqrstuvwxyz",
    "russianLower": "абвгдежзиклмнопрстуфхцчшщэюя",
    "ganada": "가나다라마바사아자차카타파하",
    "chosung": "ㄱㄴㄷㄹㅁㅂㅅㅇㅈㅊㅋㅌㅍㅎ",
    "aiueoFullWidth": "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲン",
    "irohaFullWidth": (
        "イロハニホヘトチリヌルヲワカヨタレソツネナラムウヰノオクヤマケフコエテアサキユメミシヱヒモセスン"
    ),
    "ideographTraditional": "甲乙丙丁戊己庚辛壬癸",
    "arabicAlpha": "أبتثجحخدذرزسشصضطظعغفقكلمنهوي",
    "hebrew2": "אבגדהוזחטיכלמנסעפצקרשת",
}
_ALPHABETS["upperLetter"] = _ALPHABETS["lowerLetter"].upper()
_ALPHABETS["russianUpper"] = _ALPHABETS["russianLower"].upper()
_CHINESE = frozenset(
    (
        *("chineseCounting", "chineseCountingThousand", "taiwaneseCounting", "taiwaneseCountingThousand"),
        *("japaneseCounting", "koreanCounting"),
    )
)
_CHINESE_DIGITS = "〇一二三四五六七八九"


@dataclass(frozen=True, slots=True)
class _Level:
    text: str = ""
    """Format of the number, with ``%1`` for the number of the first level."""
    format: str = "decimal"
    start: int = 1
    restart: int | None = None
    """The level after which it starts again, from 1; 0 for never; None for any above it."""
    decimal_only: bool = False
    style: str = ""
    """The style that is bound to the level."""


@dataclass(slots=True)
class _List:
    counter: str
    """Key of the counter; lists with the same definition share it."""
    levels: dict[int, _Level]
    starts: dict[int, int]
    """Start values by level, used at the first occurrence of the list."""


@dataclass(slots=True)
class Numbering:
    """The lists of a document by id, with their counters."""

    _lists: dict[str, _List] = field(default_factory=dict)
    _counts: dict[str, dict[int, int]] = field(default_factory=dict)
    _started: set[tuple[str, int]] = field(default_factory=set)

    @classmethod
    def read(cls, root: Any) -> Numbering:
        """Return the lists of the part ``numbering``; no lists for None."""
        numbering = cls()
        if root is None:
            return numbering
        definitions = {attribute(node, "abstractNumId"): node for node in root.iterchildren("{*}abstractNum")}
        styled = {value(node, "styleLink"): node for node in definitions.values() if value(node, "styleLink")}
        for node in root.iterchildren("{*}num"):
            definition = definitions.get(value(node, "abstractNumId") or "")
            if definition is None:
                continue
            linked = value(definition, "numStyleLink")
            definition = styled.get(linked, definition) if linked else definition
            levels = {integer(attribute(each, "ilvl")): _level(each) for each in definition.iterchildren("{*}lvl")}
            starts = {}
            for override in node.iterchildren("{*}lvlOverride"):
                level = integer(attribute(override, "ilvl"))
                if (own := child(override, "lvl")) is not None:
                    levels[level] = _level(own)
                if (start := value(override, "startOverride")) is not None:
                    starts[level] = integer(start, 1)
                    levels[level] = replace(levels.get(level, _Level()), start=starts[level])
            numbering._lists[attribute(node, "numId")] = _List(attribute(definition, "abstractNumId"), levels, starts)
        return numbering

    def label(self, reference: NumberingReference | None, styles: Sequence[str]) -> tuple[str, int]:
        """Count a paragraph and return its label, such as ``2.1`` or ``BULLET``, and its level from 0.

        Args:
            reference: the list of the paragraph; None for none.
            styles: ids of the paragraph's style and those that it is based on.
        """
        found = self._lists.get(reference.number) if reference is not None else None
        if reference is None or found is None:
            return "", 0
        place = reference.level
        if place is None:
            bound = {level.style: number for number, level in found.levels.items() if level.style}
            place = next((bound[style] for style in styles if style in bound), 0)
        place = min(max(place, 0), _LEVELS - 1)
        level = found.levels.get(place)
        if level is None:
            return "", place
        counts = self._count(reference.number, found, place, level)
        if level.format == "bullet":
            return BULLET, place

        def shown(match: re.Match[str]) -> str:
            other = int(match.group(1)) - 1
            above = found.levels.get(other, _Level())
            number = counts.get(other, above.start)
            decimal = level.decimal_only and above.format != "none"
            return format_number(number, "decimal" if decimal else above.format)

        return " ".join(_PLACEHOLDER.sub(shown, level.text).split()), place

    def _count(self, number: str, found: _List, place: int, level: _Level) -> dict[int, int]:
        """Advance the counter of a level, start those below it again, and return all."""
        counts = self._counts.setdefault(found.counter, {})
        first = place in found.starts and (number, place) not in self._started
        self._started.add((number, place))
        counts[place] = level.start if first or place not in counts else counts[place] + 1
        for below in [each for each in counts if each > place]:
            restart = found.levels.get(below, _Level()).restart
            if restart is None or place < restart:
                del counts[below]
        for above in range(place):
            # A level that was left out counts as begun.
            counts.setdefault(above, found.levels.get(above, _Level()).start)
        return counts


def format_number(number: int, how: str) -> str:
    """Return a number in a format of WordprocessingML, such as ``upperRoman``; unknown formats give digits."""
    if how in ("none", "bullet"):
        return ""
    if how.endswith("Roman") and 0 < number < 4000:
        return _roman(number).upper() if how == "upperRoman" else _roman(number)
    if how in _ALPHABETS and 0 < number < 1000:
        letters = _ALPHABETS[how]
        times, place = divmod(number - 1, len(letters))
        return letters[place] * (times + 1)
    if how == "decimalZero":
        return f"{number:02}"
    if how.startswith("zeros:"):
        return f"{number:0{int(how[6:])}}"
    if how == "ordinal":
        ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
        return f"{number}{ending}"
    if how.startswith("decimalEnclosedCircle") and 0 < number <= 20:
        return chr(0x2460 + number - 1)
    if how in _CHINESE and 0 < number < 100:
        tens, ones = divmod(number, 10)
        ten = "" if not tens else "十" if tens == 1 else f"{_CHINESE_DIGITS[tens]}十"
        return ten + (_CHINESE_DIGITS[ones] if ones else "")
    if how in ("ideographDigital", "japaneseDigitalTenThousand", "taiwaneseDigital"):
        return "".join(_CHINESE_DIGITS[int(digit)] for digit in str(abs(number)))
    return str(number)


def _roman(number: int) -> str:
    roman = ""
    for amount, sign in _ROMAN:
        roman += sign * (number // amount)
        number %= amount
    return roman


def _level(node: Any) -> _Level:
    how = next((each for each in node.iter("{*}numFmt")), None)
    name = "decimal" if how is None else attribute(how, "val", "decimal")
    if name == "custom" and how is not None:
        # Such as "001, 002, 003, ...".
        sample = re.match(r"0*\d", attribute(how, "format"))
        name = f"zeros:{len(sample.group())}" if sample else "decimal"
    restart = value(node, "lvlRestart")
    return _Level(
        value(node, "lvlText") or "",
        name,
        integer(value(node, "start"), 0),
        None if restart is None else integer(restart),
        is_on(node, "isLgl"),
        value(node, "pStyle") or "",
    )


def is_item(label: str) -> bool:
    """Return whether a label marks an item of a list, as a bullet, ``3.``, ``(3)`` or ``b)`` does."""
    return bool(re.fullmatch(r"-|\(?\d{1,3}[.)]|\(?[a-zA-Z][.)]", label))
