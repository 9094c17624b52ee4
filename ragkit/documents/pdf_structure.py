"""Structure of a PDF, read with pypdf: metadata, outline, page labels, forms, notes, attachments."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ragkit.documents.base import clean_text, nest, plain_metadata
from ragkit.documents.pdf_layout import Word
from ragkit.records import HeadingSpan, PageSpan

_DEEPEST = 4
_JUNK_TITLE = re.compile(
    r"|untitled\b.*|(?:microsoft|libreoffice|openoffice)\b.*|(?:unspecified|anonymous|document|presentation|slide|layout|book)\s*\d*"
    r"|.*\.(?:docx?|xlsx?|pptx?|indd|tex|dvi|ps|pdf|rtf|odt|qxp|pmd|fm|wpd|cdr|ai)",
    re.IGNORECASE,
)
_JUNK_AUTHORS = frozenset(("anonymous", "unspecified", "unknown"))
_RADIO, _PUSH = 1 << 15, 1 << 16


def broken() -> tuple[type[Exception], ...]:
    """Return what pypdf raises on a damaged part of a file; the text is read without it."""
    from pypdf.errors import PyPdfError

    return (PyPdfError, ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError, OSError)


def open_structure(path: str, password: str) -> Any | None:
    """Return pypdf's reader, or None if the file is too damaged for it."""
    import pypdf

    try:
        reader = pypdf.PdfReader(path, strict=False)
        if reader.is_encrypted:
            reader.decrypt(password)
        len(reader.pages)
    except broken():
        return None
    return reader


def about(reader: Any) -> dict[str, str | int | float | bool]:
    """Return title, author, subject and date of creation, without what programs put there by themselves."""
    try:
        found = reader.metadata or {}
        created = getattr(found, "creation_date", None)
        values = plain_metadata(
            {
                "title": found.get("/Title"),
                "author": found.get("/Author"),
                "subject": found.get("/Subject"),
                "created": created.date().isoformat() if created else None,
            }
        )
    except broken():
        # A broken information block says nothing of the text.
        return {}
    if _JUNK_TITLE.fullmatch(str(values.get("title", "")).strip("() ")):
        values.pop("title", None)
    return {
        name: v for name, v in values.items() if name == "title" or str(v).strip("() ").lower() not in _JUNK_AUTHORS
    }


def page_labels(reader: Any, count: int) -> list[str]:
    """Return how each page is named by its printed number, such as ``page iv``; empty if that is its number."""
    try:
        if "/PageLabels" not in reader.trailer["/Root"]:
            return [""] * count
        labels = [clean_text(str(label)) for label in reader.page_labels]
    except broken():
        return [""] * count
    labels = (labels + [""] * count)[:count]
    return ["" if label in ("", str(number)) else f"page {label}" for number, label in enumerate(labels, 1)]


def attachments(reader: Any) -> list[str]:
    """Return the names of the files that the PDF carries."""
    try:
        names = [clean_text(str(name)) for name in reader.attachments]
        for page in reader.pages:
            for annotation in _annotations(page):
                if annotation.get("/Subtype") == "/FileAttachment":
                    file = annotation["/FS"].get_object()
                    names.append(clean_text(str(file.get("/UF") or file.get("/F") or "a file without a name")))
    except broken():
        return []
    return list(dict.fromkeys(names))


def filled_in(reader: Any, number: int) -> tuple[list[Word], list[str]]:
    """Return form values and notes of a page: values with their places, and notes without a place.

    Args:
        reader: reader of pypdf.
        number: number of the page, counted from 0.
    """
    values: list[Word] = []
    notes: list[str] = []
    try:
        annotations = _annotations(reader.pages[number])
    except broken():
        return [], []
    for annotation in annotations:
        try:
            kind = annotation.get("/Subtype")
            if kind == "/Widget":
                text = _value(annotation)
            elif kind in ("/Link", "/Popup", "/FileAttachment"):
                continue
            else:
                text = clean_text(str(annotation.get("/Contents") or "")).strip()
            if not text:
                continue
            if kind in ("/Widget", "/FreeText"):
                x0, y0, x1, y1 = (float(side) for side in annotation["/Rect"])
                values.append(Word(" ".join(text.split()), min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)))
            else:
                notes.append(text)
        except broken():
            continue
    return values, notes


def outline(reader: Any, text: str, pages: Sequence[PageSpan]) -> tuple[HeadingSpan, ...]:
    """Return the outline's entries as headings if their titles occur on the pages that they name."""
    found: list[tuple[str, int, int]] = []

    def walk(items: list[Any], level: int) -> None:
        for item in items:
            if isinstance(item, list):
                if level < _DEEPEST:
                    walk(item, level + 1)
                continue
            title = " ".join(clean_text(str(item.title)).split())
            number = reader.get_destination_page_number(item)
            if number is None or not 0 <= number < len(pages) or not title:
                continue
            page = pages[number]
            pattern = r"\s+".join(map(re.escape, title.split()))
            match = re.search(rf"(?:^|\n)[\d.\s]{{0,12}}({pattern})", text[page.start : page.end], re.IGNORECASE)
            if match:
                found.append((title, level, page.start + match.start(1)))

    try:
        walk(reader.outline, 1)
    except broken():
        return ()
    return nest(sorted(found, key=lambda entry: entry[2]), len(text))


def _annotations(page: Any) -> list[Any]:
    found = page.get("/Annots")
    found = found.get_object() if found is not None else None
    return [annotation.get_object() for annotation in found or []]


def _value(widget: Any) -> str:
    """Return a form field's value; a check box is ``[x]`` or ``[ ]``."""
    kind, flags = _inherited(widget, "/FT"), int(_inherited(widget, "/Ff") or 0)
    if kind == "/Btn":
        if flags & _PUSH:
            return ""
        state = str(widget.get("/AS") or ("" if flags & _RADIO else _inherited(widget, "/V")) or "/Off")
        return "[ ]" if state == "/Off" else "[x]"
    value = _inherited(widget, "/V")
    if kind not in ("/Tx", "/Ch") or value is None:
        return ""
    value = value.get_object()
    if isinstance(value, list):
        return ", ".join(clean_text(str(part)) for part in value)
    data = getattr(value, "get_data", None)
    text = data().decode("utf-8", "replace") if data else str(value)
    return clean_text(text).strip()


def _inherited(field: Any, key: str) -> Any:
    for _ in range(20):
        if key in field:
            return field[key]
        parent = field.get("/Parent")
        if parent is None:
            return None
        field = parent.get_object()
    return None
