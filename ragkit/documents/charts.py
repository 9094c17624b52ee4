"""The titles and values of a chart of an Office file, and the texts of a diagram."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ragkit.documents.archives import local_name

_CHARTS = (
    "{http://schemas.openxmlformats.org/drawingml/2006/chart}",
    "{http://purl.oclc.org/ooxml/drawingml/chart}",
)


def chart_texts(root: Any) -> Iterator[str]:
    """Yield a chart's titles, and its cached values as a table; every kind of chart contains them alike."""
    for title in root.iter("{*}title"):
        yield from drawing_texts(title)
    series = list(root.iter(*(f"{each}ser" for each in _CHARTS)))
    names = [_cached(each, "tx").get(0, "") for each in series]
    categories: dict[int, str] = {}
    for each in series:
        categories |= _cached(each, "cat") or _cached(each, "xVal")
    values = [_cached(each, "val") or _cached(each, "yVal") for each in series]
    rows = [
        f"| {categories.get(n, '')} | {' | '.join(each.get(n, '') for each in values)} |"
        for n in sorted({*categories, *(n for each in values for n in each)})
    ]
    if rows:
        yield "\n".join([f"|  | {' | '.join(names)} |", *rows])


def drawing_texts(root: Any) -> Iterator[str]:
    """Yield the paragraphs of DrawingML below an element, such as those of a diagram's data."""
    for paragraph in root.iter("{*}p"):
        pieces = (" " if local_name(each) == "br" else each.text or "" for each in paragraph.iter("{*}t", "{*}br"))
        if text := " ".join("".join(pieces).split()):
            yield text


def _cached(series: Any, name: str) -> dict[int, str]:
    """Return the values of a part of a series by their index; levels of categories are joined."""
    found: dict[int, str] = {}
    for part in series.iterchildren(f"{{*}}{name}"):
        for point in part.iter("{*}pt"):
            value = " ".join("".join(each.text or "" for each in point.iter("{*}v")).split())
            number = point.get("idx", "0")
            if not number.isdecimal():
                continue
            index = int(number)
            found[index] = f"{value} {found[index]}" if index in found else value
        if not found:
            literal = next(part.iter("{*}v"), None)
            if literal is not None and literal.text:
                found[0] = literal.text
    return found
