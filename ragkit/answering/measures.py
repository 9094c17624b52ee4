"""Parses numbers with units in tables and sentences into values that can be compared and added."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_UNITS: dict[str, tuple[str, float]] = {
    "mm": ("length", 0.001), "cm": ("length", 0.01), "dm": ("length", 0.1), "m": ("length", 1), "km": ("length", 1e3),
    "millimetre": ("length", 0.001), "centimetre": ("length", 0.01), "metre": ("length", 1),
    "kilometre": ("length", 1e3), "inch": ("length", 0.0254), "foot": ("length", 0.3048), "feet": ("length", 0.3048),
    "ft": ("length", 0.3048), "yard": ("length", 0.9144), "mile": ("length", 1609.344),
    "mg": ("mass", 1e-6), "g": ("mass", 0.001), "kg": ("mass", 1), "t": ("mass", 1e3), "gram": ("mass", 0.001),
    "kilogram": ("mass", 1), "kilo": ("mass", 1), "ton": ("mass", 1e3), "tonne": ("mass", 1e3), "lb": ("mass", 0.4536),
    "oz": ("mass", 0.02835),
    "ms": ("time", 0.001), "s": ("time", 1), "sec": ("time", 1), "second": ("time", 1), "min": ("time", 60),
    "minute": ("time", 60), "h": ("time", 3600), "hr": ("time", 3600), "hour": ("time", 3600), "day": ("time", 86400),
    "week": ("time", 604800), "month": ("time", 2629800), "year": ("time", 31557600),
    "ml": ("volume", 0.001), "cl": ("volume", 0.01), "l": ("volume", 1), "litre": ("volume", 1), "m³": ("volume", 1e3),
    "m²": ("area", 1), "km²": ("area", 1e6), "ha": ("area", 1e4), "hectare": ("area", 1e4), "acre": ("area", 4046.86),
    "W": ("power", 1), "kW": ("power", 1e3), "MW": ("power", 1e6), "GW": ("power", 1e9),
    "Wh": ("energy", 1), "kWh": ("energy", 1e3), "MWh": ("energy", 1e6), "GWh": ("energy", 1e9),
    "V": ("voltage", 1), "mV": ("voltage", 0.001), "kV": ("voltage", 1e3), "A": ("current", 1),
    "mA": ("current", 0.001), "N": ("force", 1), "kN": ("force", 1e3), "MN": ("force", 1e6),
    "Pa": ("pressure", 1), "kPa": ("pressure", 1e3), "MPa": ("pressure", 1e6), "bar": ("pressure", 1e5),
    "mbar": ("pressure", 100), "Hz": ("frequency", 1), "kHz": ("frequency", 1e3), "MHz": ("frequency", 1e6),
    "GHz": ("frequency", 1e9), "B": ("data", 1), "KB": ("data", 1e3), "kB": ("data", 1e3), "MB": ("data", 1e6),
    "GB": ("data", 1e9), "TB": ("data", 1e12), "km/h": ("speed", 1 / 3.6), "m/s": ("speed", 1), "mph": ("speed", 0.447),
    "%": ("percent", 1), "percent": ("percent", 1), "€": ("EUR", 1), "eur": ("EUR", 1), "euro": ("EUR", 1),
    "$": ("USD", 1), "usd": ("USD", 1), "dollar": ("USD", 1), "£": ("GBP", 1), "gbp": ("GBP", 1), "¥": ("JPY", 1),
    "°C": ("temperature", 1),
}  # fmt: skip
"""Dimension and factor to its base unit. Each currency is a separate dimension: currencies are never converted."""
_SPELLINGS = {"meter": "metre", "millimeter": "millimetre", "centimeter": "centimetre", "kilometer": "kilometre",
              "liter": "litre", "inche": "inch", "pound": "lb", "mins": "min", "hrs": "hr"}  # fmt: skip
_SCALES = {"thousand": 1e3, "k": 1e3, "million": 1e6, "m": 1e6, "mn": 1e6, "billion": 1e9, "bn": 1e9}
_NUMBER = r"\d{1,3}(?:[ ,.'’\u00a0]\d{3})+(?:[.,]\d+)?|\d+(?:[.,]\d+)?"
_MEASURE = re.compile(
    rf"(?<![\w.,])(?:(?P<sign>[-−+])\s?)?(?:(?P<before>[€$£¥])\s?)?(?P<number>{_NUMBER})(?![\d/:]|[.,-]\d)"
    r"(?:[\s-]?(?P<scale>thousand|million|billion|bn|mn|k|M)\b)?"
    r"(?:[\s-]?(?P<unit>%|[€$£¥]|°C|km/h|m/s|(?:km|m)²|m³|[A-Za-z]+))?"
)
_DATE = re.compile(r"(\d{4})-(\d\d)(?:-(\d\d))?\b")
_LEADING = re.compile(r"(?:about|approx\.?|approximately|ca\.?|circa|up to|max\.?|min\.?|[<>≤≥~≈±])\s*", re.IGNORECASE)
_HEADER_UNIT = re.compile(r"[\[(]\s*([^\])]{1,12}?)\s*[\])]|\bin ([a-zA-Z/²³%€$£°]{1,12})$|_([a-z]{1,5})$")


@dataclass(frozen=True, slots=True)
class Measure:
    """A number with its dimension."""

    value: float
    """Value in the base unit of its dimension, such as metres."""
    dimension: str
    """Dimension, such as ``length`` or ``EUR``; the unit itself if it is unknown, or empty for a bare number."""
    start: int = 0
    end: int = 0
    """End of its span in the text."""


def measure_of(cell: str, column: str = "") -> Measure | None:
    """Return the measure that a cell of a table begins with, or None if it begins with none.

    Args:
        cell: such as ``4.2 kg``, ``$12,500.00``, ``2026-03-16`` or ``7,410``.
        column: name of its column, which may contain the unit: ``Mass (kg)``, ``price_eur``.
    """
    text = cell.strip()
    text = text[found.end() :] if (found := _LEADING.match(text)) else text
    if date := _DATE.match(text):
        year, month, day = int(date[1]), int(date[2]), int(date[3] or 1)
        return Measure(372 * year + 31 * month + day, "date")
    match = _MEASURE.match(text)
    if match is None:
        return None
    read = _read(match)
    return read if read.dimension else _with_unit(read, unit_in(column))


def measures_in(text: str) -> list[Measure]:
    """Return the numbers with a unit of a sentence, in order."""
    found = (_read(match) for match in _MEASURE.finditer(text))
    return [one for one in found if one.dimension in DIMENSIONS]


def unit_in(column: str) -> str:
    """Return the unit in the name of a column, or an empty string."""
    match = _HEADER_UNIT.search(column)
    unit = next((group for group in match.groups() if group), "") if match else ""
    return unit if _known(unit) else ""


def common_dimension(measures: Sequence[Measure | None]) -> str | None:
    """Return the dimension that most of the measures have, or None if there are none."""
    dimensions = [one.dimension for one in measures if one is not None]
    return max(dimensions, key=dimensions.count) if dimensions else None


def _read(match: re.Match[str]) -> Measure:
    value = number_of(match["number"]) * (_SCALES[match["scale"].lower()] if match["scale"] else 1)
    if match["sign"] in ("-", "−"):
        value = -value
    # The word after an amount such as "$25" is not its unit.
    end = max(match.end("number"), match.end("scale")) if match["before"] else match.end()
    bare = Measure(value, "", match.start(), end)
    unit = match["before"] or match["unit"] or ""
    known = _known(unit)
    if known:
        return _with_unit(bare, unit)
    return Measure(value, unit.lower(), bare.start, bare.end)


def _with_unit(bare: Measure, unit: str) -> Measure:
    known = _known(unit)
    if known is None:
        return bare
    return Measure(bare.value * known[1], known[0], bare.start, bare.end)


def _known(unit: str) -> tuple[str, float] | None:
    lower = unit.lower()
    single = lower.removesuffix("s") if len(lower) > 2 else lower
    for name in (unit, lower, single, _SPELLINGS.get(lower, ""), _SPELLINGS.get(single, "")):
        if name in _UNITS:
            return _UNITS[name]
    return None


def number_of(text: str) -> float:
    """Return the value of a number as it is written; of one separator, three digits after it make it a thousands'."""
    digits = re.sub(r"[ '’\u00a0]", "", text)
    last = max(digits.rfind(","), digits.rfind("."))
    if last < 0:
        return float(digits)
    mark = digits[last]
    other = "," if mark == "." else "."
    decimals = len(digits) - last - 1
    groups = digits.count(mark) > 1 or (mark == "," and decimals == 3 and other not in digits)
    if groups:
        return float(digits.replace(mark, "").replace(other, ""))
    return float(f"{digits[:last].replace(other, '').replace(mark, '')}.{digits[last + 1 :]}")


DIMENSIONS = frozenset(dimension for dimension, _ in _UNITS.values())
