"""The text of an HTML tree as a reader sees it: blocks, headings, lists with their markers, tables as rows.

The walk is iterative, so that deep nesting does not exhaust the stack.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from ragkit.documents.base import TextBuilder
from ragkit.documents.html_boilerplate import HEADINGS, is_heading_link

HIDDEN = frozenset(
    ("script", "style", "template", "noscript", "head", "iframe", "video", "audio", "annotation", "annotation-xml")
)
"""Elements whose text nobody sees."""
_BLOCKS = frozenset(
    (
        *("address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details"),
        *("dialog", "dir", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer"),
        *("form", "header", "hgroup", "hr", "html", "legend", "li", "main", "menu"),
        *("nav", "ol", "p", "pre", "search", "section", "summary", "table", "tbody"),
        *("td", "textarea", "tfoot", "th", "thead", "tr", "ul", "optgroup", "listing"),
        *("xmp", "plaintext"),
    )
)
_HEADINGS = {"h1": 1, "h2": 2, "h3": 3, "h4": 4, "h5": 5, "h6": 6}
_SPACED = frozenset(("button", "select", "input", "img", "label", "object", "canvas", "meter", "progress", "output"))
"""Inline elements that the browser sets apart from their neighbours."""
_LISTS = frozenset(("ul", "ol", "menu", "dir"))
_PREFORMATTED = frozenset(("pre", "textarea", "listing", "xmp", "plaintext"))
_DOCBOOK = {"book", "part", "chapter", "article", "appendix", "preface", "glossary", "section"} | {
    f"sect{level}" for level in range(1, 6)
}
_VALUE_INPUTS = {"", "text", "number", "email", "tel", "url", "search", "date", "time", "month", "week", "color"} | {
    "datetime-local",
    "submit",
    "button",
    "reset",
    "range",
}
_SPACES = re.compile(r"[ \t\n\f\v\u00a0\u2000-\u200a\u202f\u205f\u3000]+")
_BREAKS = re.compile(r" ?\n ?")
_INVISIBLE = dict.fromkeys((0xAD, 0x200B, 0x2060, 0xFEFF)) | {0x2011: "-"}
"""Soft hyphens and other characters that only say where a line may break."""
_BLOCK_STYLE = re.compile(r"display\s*:\s*(block|flex|grid|table|list-item)")
_PRE_STYLE = re.compile(r"white-space\s*:\s*(pre|pre-wrap|break-spaces)\b")
_MAX_SPAN = 200
_MAX_COLUMNS = 500
"""Columns beyond which cells no longer span others."""
_LONG_CELL = 2000
"""Characters of a cell beyond which a table only lays out the page."""


def add_html(tree: Any, builder: TextBuilder, drop: Collection[Any] = ()) -> None:
    """Add the text of a tree of lxml to ``builder``.

    Args:
        tree: the root, or any element.
        builder: takes the blocks.
        drop: elements to leave out.
    """
    from lxml import etree

    walk = _Walk(builder, set(drop), tree)
    events = etree.iterwalk(tree, events=("start", "end", "comment", "pi"))
    for event, node in events:
        if event in ("comment", "pi") or not isinstance(node.tag, str):
            if event != "start":
                walk.text(node.tail)
        elif event == "start":
            if not walk.start(node):
                events.skip_subtree()
        else:
            walk.end(node)
    walk.flush()


def _is_of_page(footer: Any) -> bool:
    """Return whether a footer is the page's and not that of an article or a section."""
    return not any(True for _ in footer.iterancestors("article", "section", "main", "blockquote", "table"))


@dataclass(slots=True)
class _List:
    ordered: str
    """Numbering style, such as ``1`` or ``a``; empty for bullets."""
    number: int
    marker: str = ""
    """Marker of a list item whose first line has not been written yet."""


@dataclass(slots=True)
class _Table:
    rows: list[list[str]] = field(default_factory=list)
    cell: list[str] | None = None
    """The blocks of the open cell."""
    spans: dict[int, tuple[int, str]] = field(default_factory=dict)
    """By column: remaining rows that a cell above spans, and its text."""
    row: list[str] = field(default_factory=list)


class _Walk:
    def __init__(self, builder: TextBuilder, drop: set[Any], root: Any) -> None:
        self._builder = builder
        self._drop = drop
        self._root = root
        self._skipped: Any = None
        self._parts: list[str] = []
        self._lists: list[_List] = []
        self._lines: list[str] = []
        """Lines of the outermost open list."""
        self._tables: list[_Table | None] = []
        """Open tables; None for one that only lays out the page."""
        self._preformatted = 0

    def start(self, node: Any) -> bool:
        """Open an element; return whether to go into it."""
        name = _name(node)
        if self._is_hidden(node, name):
            self._skipped = node
            return False
        if name == "br":
            self._parts.append("\n")
        elif name in _HEADINGS or node.get("role") == "heading":
            self.flush()
        elif name in _BLOCKS or _BLOCK_STYLE.search(node.get("style") or ""):
            self.flush()
            if name == "footer" and _is_of_page(node):
                self._builder.end_sections()
            self._open_block(node, name)
        elif name in _SPACED or "-" in name or "inline-block" in (node.get("style") or ""):
            self._parts.append(" ")
            self._parts.append(_replaced(node, name))
        elif name == "option":
            self._parts.append("\n")
        if _is_preformatted(node, name):
            self._preformatted += 1
        self.text(node.text)
        return True

    def end(self, node: Any) -> None:
        """Close an element, and take the text after it."""
        if node is self._skipped:
            self._skipped = None
        else:
            name = _name(node)
            if name in _HEADINGS or node.get("role") == "heading":
                self.flush(_level(node, name))
            elif name in _BLOCKS or _BLOCK_STYLE.search(node.get("style") or ""):
                self.flush(preformatted=_is_preformatted(node, name))
                self._close_block(node, name)
            elif name in _SPACED or "-" in name or "inline-block" in (node.get("style") or ""):
                self._parts.append(" ")
            if _is_preformatted(node, name):
                self._preformatted -= 1
        if node is not self._root:
            self.text(node.tail)

    def text(self, text: str | None) -> None:
        """Add text to the open block."""
        if text:
            self._parts.append(text if self._preformatted else _SPACES.sub(" ", text.replace("\r", "\n")))

    def flush(self, level: int = 0, *, preformatted: bool = False) -> None:
        """End the open block."""
        text = "".join(self._parts).translate(_INVISIBLE)
        self._parts.clear()
        preformatted = preformatted or self._preformatted > 0
        if preformatted:
            text = text.replace("\u00a0", " ").strip("\n").rstrip()
        else:
            text = _BREAKS.sub("\n", re.sub(" {2,}", " ", text)).strip()
        if not text.strip():
            return
        table = self._tables[-1] if self._tables else None
        if table is not None:
            if table.cell is None:
                self._builder.add(text)
            else:
                table.cell.append(self._marker() + " ".join(text.split()))
        elif self._lists and not level:
            self._add_item(text)
        else:
            self._flush_lines()
            self._builder.add(text, level, preformatted=preformatted and not level)

    def _open_block(self, node: Any, name: str) -> None:
        if name in _LISTS:
            self._lists.append(_List(node.get("type", "1") if name == "ol" else "", _integer(node.get("start"), 1)))
        elif name == "li" and self._lists:
            top = self._lists[-1]
            if top.ordered:
                top.number = _integer(node.get("value"), top.number)
                top.marker = f"{_ordinal(top.number, top.ordered)}. "
                top.number += 1
            else:
                top.marker = "- "
        elif name == "table":
            if not self._tables or self._tables[-1] is None:
                self._flush_lines()
            self._tables.append(None if _lays_out(node) else _Table())
        elif self._tables and self._tables[-1] is not None:
            if name == "tr":
                self._tables[-1].row = []
            elif name in ("td", "th"):
                self._tables[-1].cell = []

    def _close_block(self, node: Any, name: str) -> None:
        if name in _LISTS and self._lists:
            self._lists.pop()
            if not self._lists:
                self._flush_lines()
        elif name == "li" and self._lists:
            self._lists[-1].marker = ""
        elif name == "table" and self._tables:
            table = self._tables.pop()
            if table is not None:
                self._add_table(table)
        elif self._tables and self._tables[-1] is not None:
            table = self._tables[-1]
            if name in ("td", "th") and table.cell is not None:
                _place(table, " ".join(table.cell), node)
                table.cell = None
            elif name == "tr":
                _fill(table)
                table.rows.append(table.row)
                table.row = []

    def _add_table(self, table: _Table) -> None:
        outer = self._tables[-1] if self._tables else None
        if outer is not None and outer.cell is not None:
            outer.cell.extend(" ".join(filter(None, row)) for row in table.rows)
        else:
            self._builder.add(_rendered(table.rows))

    def _marker(self) -> str:
        """Return the marker of the open item, once."""
        if not self._lists:
            return ""
        marker, self._lists[-1].marker = self._lists[-1].marker, ""
        return marker

    def _add_item(self, text: str) -> None:
        indent = "  " * (len(self._lists) - 1)
        marker = self._marker()
        first, *rest = text.split("\n")
        self._lines.append(f"{indent}{marker or '  '}{first}")
        self._lines.extend(f"{indent}  {line}" for line in rest)

    def _flush_lines(self) -> None:
        if self._lines:
            self._builder.add("\n".join(self._lines))
            self._lines.clear()

    def _is_hidden(self, node: Any, name: str) -> bool:
        if name in HIDDEN or node in self._drop:
            return True
        if name in ("title", "desc", "defs", "metadata"):
            # The title of a page is in its head, and that of a drawing is not drawn.
            return True
        return name == "a" and is_heading_link(node)


def _name(node: Any) -> str:
    name: str = node.tag
    return name.rpartition("}")[2].lower()


def _is_preformatted(node: Any, name: str) -> bool:
    return name in _PREFORMATTED or (name in _BLOCKS and bool(_PRE_STYLE.search(node.get("style") or "")))


def _level(node: Any, name: str) -> int:
    """Return a heading's level; in pages made by DocBook it is the depth of the section, as titles repeat ``h1``."""
    if name not in _HEADINGS:
        return min(6, max(1, _integer(node.get("aria-level"), 2)))
    if "title" in (node.get("class") or "").split():
        depth = sum(1 for above in node.iterancestors("div") if set((above.get("class") or "").split()) & _DOCBOOK)
        if depth:
            return depth
    return _HEADINGS[name]


def _replaced(node: Any, name: str) -> str:
    """Return what a person sees in the place of an element that has no text of its own."""
    if name == "img":
        return node.get("alt") or ""
    if name != "input":
        return ""
    kind = (node.get("type") or "").lower()
    if kind in ("checkbox", "radio"):
        return "[x] " if node.get("checked") is not None else "[ ] "
    if kind == "image":
        return node.get("alt") or ""
    if kind in _VALUE_INPUTS:
        return node.get("value") or node.get("placeholder") or ""
    return ""


def _lays_out(table: Any) -> bool:
    """Return whether a table only arranges the page.

    Its cells hold headings or long text, or, without header cells, tables or listings.
    """
    if table.get("role") in ("presentation", "none"):
        return True
    if next(table.iter(*HEADINGS), None) is not None:
        return True
    parts = [table, *table.iterchildren("thead", "tbody", "tfoot")]
    cells = [cell for part in parts for row in part.iterchildren("tr") for cell in row.iterchildren("td", "th")]
    if not any(cell.tag == "th" for cell in cells) and any(inner is not table for inner in table.iter("table", "pre")):
        return True
    return len(cells) < 2 or any(len("".join(cell.itertext())) > _LONG_CELL for cell in cells)


def _place(table: _Table, text: str, cell: Any) -> None:
    """Put a cell into the open row: its text once, empty cells where it spans columns, again where it spans rows."""
    _fill(table, only_next=True)
    columns = min(_MAX_SPAN, max(1, _integer(cell.get("colspan"), 1)))
    rows = min(_MAX_SPAN, max(1, _integer(cell.get("rowspan"), 1)))
    for number in range(columns):
        shown = text if number == 0 else ""
        if len(table.row) >= _MAX_COLUMNS:
            table.row.extend([shown] if shown else [])
            return
        if rows > 1:
            table.spans[len(table.row)] = (rows - 1, shown)
        table.row.append(shown)


def _fill(table: _Table, *, only_next: bool = False) -> None:
    """Fill the places that cells of rows above reach down to: up to the next free one, or all to the row's end."""
    while table.spans:
        column = len(table.row)
        if column in table.spans and table.spans[column][0] > 0:
            left, text = table.spans[column]
            if left == 1:
                del table.spans[column]
            else:
                table.spans[column] = (left - 1, text)
            table.row.append(text)
        elif only_next or column > max(table.spans):
            return
        else:
            table.row.append("")


def _rendered(rows: list[list[str]]) -> str:
    """Return the rows as lines, without the rows and columns that are empty."""
    width = max((len(row) for row in rows), default=0)
    filled = [row + [""] * (width - len(row)) for row in rows if any(row)]
    columns = [number for number in range(width) if any(row[number] for row in filled)]
    return "\n".join(f"| {' | '.join(row[number] for number in columns)} |" for row in filled)


def _integer(value: str | None, default: int) -> int:
    match = re.fullmatch(r"\s*(-?\d{1,6})\s*", value or "")
    return int(match.group(1)) if match else default


def _ordinal(number: int, kind: str) -> str:
    """Return a number as the list shows it: digits, letters or Roman numerals."""
    if kind.lower() == "a" and 0 < number <= 26:
        return chr(ord(kind) + number - 1)
    if kind.lower() == "i" and 0 < number < 4000:
        roman = ""
        left = number
        for value, sign in _ROMAN:
            roman += sign * (left // value)
            left %= value
        return roman if kind == "I" else roman.lower()
    return str(number)


_ROMAN = (
    *((1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X")),
    *((9, "IX"), (5, "V"), (4, "IV"), (1, "I")),
)
