"""Paragraph styles of a DOCX file: headings and numbering, with inheritance."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ragkit.documents.docx_package import attribute, child, integer, value

_HEADING = re.compile(r"(?:heading|überschrift|titre|título|titolo|заголовок|标题|見出し)\s*(\d)", re.IGNORECASE)
"""Names of heading styles, for files whose styles have no outline level."""
_BODY_LEVEL = 9
_MAX_DEPTH = 50


@dataclass(frozen=True, slots=True)
class NumberingReference:
    """The list that a paragraph or style belongs to."""

    number: str
    """Id of the list; ``0`` takes a paragraph out of the list of its style."""
    level: int | None
    """Level, counted from 0; None if the list's levels are bound to styles."""


@dataclass(frozen=True, slots=True)
class _Style:
    name: str
    based_on: str
    outline: str | None
    numbering: NumberingReference | None


@dataclass(slots=True)
class Styles:
    """The paragraph styles by id."""

    _styles: dict[str, _Style] = field(default_factory=dict)
    _default: str = ""

    @classmethod
    def read(cls, root: Any) -> Styles:
        """Return the styles of the part ``styles``; no styles for None."""
        styles = cls()
        for node in root.iterchildren("{*}style") if root is not None else ():
            if attribute(node, "type", "paragraph") != "paragraph":
                continue
            identity = attribute(node, "styleId")
            properties = child(node, "pPr")
            styles._styles[identity] = _Style(
                (value(node, "name") or identity).strip(),
                value(node, "basedOn") or "",
                value(properties, "outlineLvl"),
                numbering_reference(properties),
            )
            if attribute(node, "default") in ("1", "true", "on"):
                styles._default = identity
        return styles

    def style_of(self, properties: Any) -> str:
        """Return the style of a paragraph with these properties; they may be None."""
        return value(properties, "pStyle") or self._default

    def heading_level(self, properties: Any) -> int:
        """Return the level of a heading from 1, or 0 for a paragraph that is not a heading."""
        outline = value(properties, "outlineLvl")
        if outline is None:
            outline = next((style.outline for style in self._chain(self.style_of(properties)) if style.outline), None)
        if outline is not None:
            level = integer(outline, _BODY_LEVEL)
            return level + 1 if 0 <= level < _BODY_LEVEL else 0
        for style in self._chain(self.style_of(properties)):
            if found := _HEADING.fullmatch(style.name):
                return int(found.group(1))
        return 0

    def is_title(self, properties: Any) -> bool:
        """Return whether a paragraph is the title of the document."""
        return any(style.name.lower() == "title" for style in list(self._chain(self.style_of(properties)))[:2])

    def numbering(self, properties: Any) -> tuple[NumberingReference | None, list[str]]:
        """Return the list of a paragraph, and the ids of the styles that it may have it from, nearest first."""
        own = numbering_reference(properties)
        names = [name for name, _ in self._named_chain(self.style_of(properties))]
        if own is not None and own.number:
            return own, names
        inherited = next((style.numbering for _, style in self._named_chain(names[0]) if style.numbering), None)
        if own is not None and inherited is not None:
            inherited = NumberingReference(inherited.number, own.level)
        return inherited, names

    def _chain(self, identity: str) -> Iterator[_Style]:
        return (style for _, style in self._named_chain(identity))

    def _named_chain(self, identity: str) -> Iterator[tuple[str, _Style]]:
        """Yield a style and those that it is based on; a style that is not defined has its id as its name."""
        for _ in range(_MAX_DEPTH):
            style = self._styles.get(identity) or _Style(identity, "", None, None)
            yield identity, style
            identity = style.based_on
            if not identity:
                return


def numbering_reference(properties: Any) -> NumberingReference | None:
    """Return the list that properties name, or None; its id is empty if only the level is given."""
    node = child(properties, "numPr")
    if node is None:
        return None
    level = value(node, "ilvl")
    return NumberingReference(value(node, "numId") or "", None if level is None else integer(level))
