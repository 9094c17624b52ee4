"""The text that a reader of a DOCX part sees, extracted independently of the walk, for the self-check of the loader."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ragkit.documents.archives import local_name

_UNSEEN = frozenset(("del", "moveFrom", "instrText", "delText", "sectPr"))
"""Deleted and moved text, and the code of fields."""
_REFERENCES = {"footnoteReference": "footnotes", "endnoteReference": "endnotes", "commentReference": "comments"}


def visible_text(root: Any) -> tuple[str, dict[str, set[str]]]:
    """Return the text below an element, and the ids of the notes that it refers to, by their kind.

    It is the text of runs, formulas and text boxes, without deletions and without the fallbacks of
    ``AlternateContent``.
    """
    from lxml import etree

    pieces: list[str] = []
    notes: dict[str, set[str]] = {}
    in_code: list[bool] = []
    """For each open field, whether its result has not begun."""
    codes = 0
    """Number of True entries in ``in_code``."""
    events = etree.iterwalk(root, events=("start", "end"))
    for event, node in events:
        name = local_name(node)
        if event == "end":
            if name in ("p", "tc"):
                pieces.append(" ")
        elif name in _UNSEEN or (name == "Fallback" and node.getprevious() is not None):
            events.skip_subtree()
        elif name == "t" and not codes:
            pieces.append(node.text or "")
        elif name in ("tab", "br", "cr"):
            pieces.append(" ")
        elif name in _REFERENCES:
            notes.setdefault(_REFERENCES[name], set()).update(_values(node, "id"))
        elif name == "fldChar":
            kind = "".join(_values(node, "fldCharType"))
            if kind == "begin":
                in_code.append(True)
                codes += 1
            elif kind in ("separate", "end") and in_code:
                codes -= in_code.pop()
                if kind == "separate":
                    in_code.append(False)
    return "".join(pieces), notes


def _values(node: Any, name: str) -> Collection[str]:
    return [value for key, value in node.attrib.items() if key.rpartition("}")[2] == name]
