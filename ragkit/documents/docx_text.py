"""The text that a reader of a DOCX file sees, counted in its XML parts: what the loader's own text is compared with."""

from __future__ import annotations

import re
import zipfile
from typing import Any

from ragkit.documents.archives import local_name, read_xml

_STORIES = re.compile(r"word/(?:document|footnotes|endnotes)\d*\.xml")
_UNSEEN = ("del", "moveFrom", "Fallback", "instrText", "delText")
"""Deleted and moved text, the second form of what ``AlternateContent`` shows, and the code of fields."""


def visible_text(archive: zipfile.ZipFile) -> str:
    """Return the text of the body, footnotes and endnotes, with formulas and text boxes, without deletions.

    Headers and footers are not counted: they repeat on every page.
    """
    pieces: list[str] = []
    for name in archive.namelist():
        if _STORIES.fullmatch(name):
            root = read_xml(archive, name, recover=True)
            if root is not None:
                _collect(root, pieces)
    return "".join(pieces)


def _collect(root: Any, pieces: list[str]) -> None:
    """Append the texts below an element in document order, with a space after each paragraph, cell, tab and break."""
    waiting = [root]
    while waiting:
        element = waiting.pop()
        if isinstance(element, str):
            pieces.append(element)
            continue
        name = local_name(element)
        if name in _UNSEEN:
            continue
        if name == "t":
            pieces.append(element.text or "")
        elif name in ("tab", "br", "cr"):
            pieces.append(" ")
        if name in ("p", "tc"):
            waiting.append(" ")
        waiting.extend(reversed(list(element)))
