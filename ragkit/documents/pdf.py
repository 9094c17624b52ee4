"""PDF: text from pdfium by coordinates, page after page, and the structure of the file from pypdf."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ragkit.documents import ocr
from ragkit.documents.base import Issue, Source
from ragkit.documents.completeness import check_complete
from ragkit.documents.pdf_layout import Line, Word, page_words, reading_order, turned
from ragkit.documents.pdf_structure import about, attachments, filled_in, open_structure, outline, page_labels
from ragkit.documents.pdf_text import (
    head_shape,
    is_garbage,
    join_hyphens,
    join_pages,
    known_words,
    page_text,
    running_heads,
    tidy,
)
from ragkit.documents.word_boxes import locate
from ragkit.errors import EncryptedFileError, UnreadableFileError
from ragkit.records import Document, PageSpan, WordBoxes

_STAMP = 80
"""Characters up to which text over a picture of the page is a stamp, and not its text."""
_PICTURE = 0.7
"""Share of the page that such a picture covers."""
_SOME_PICTURE = 0.02
"""Share that a picture covers at least on a page that is read although its running heads are its only text."""
_FEW = 400
_MAX_RUNNING_HEADS = 500
_NEITHER = "Run the file through another OCR, such as ocrmypdf, and add the result."


@dataclass(slots=True)
class _Page:
    lines: list[Line] = field(default_factory=list)
    body: list[Line] = field(default_factory=list)
    """Lines without running heads."""
    notes: list[str] = field(default_factory=list)
    expected: str = ""
    unread: str = ""
    """Reason why the text layer is unusable; empty if it is usable."""
    failed: bool = False
    confidence: float | None = None
    """Confidence of OCR; None if the page was not read by OCR."""
    drawn: bool = False
    """Whether anything is drawn on the page."""
    covered: float = 0.0
    """Share of the page that its largest picture covers; computed only if there is little text."""


def parse(source: Source) -> Iterator[Document | Issue | None]:
    """Yield the file as one document with pages, and an issue for each page without readable text."""
    pdf, password = _opened(source)
    structure = open_structure(os.fspath(source.path), password)
    count = len(pdf)
    if count == 0:
        raise UnreadableFileError("The PDF has no pages.", "Download or export it again.")
    pages: list[_Page] = []
    for number in range(count):
        yield None
        pages.append(_read(pdf, structure, number))
    texts, between, heads = _texts(pages)
    for page, text in zip(pages, texts, strict=True):
        if not text and not page.unread and page.covered >= _SOME_PICTURE:
            page.unread = "The page is a picture, and a stamp or running head is its only text."
    unread = [number for number, page in enumerate(pages) if page.unread and not page.failed and page.drawn]
    if ocr.demand(source, len(unread)):
        for number in unread:
            yield None
            _read_by_ocr(pdf, number, pages[number])
        texts, between, heads = _texts(pages)
    parts: list[str] = []
    spans: list[PageSpan] = []
    length = 0
    labels = page_labels(structure, count) if structure else [""] * count
    for number, (page, text) in enumerate(zip(pages, texts, strict=True), 1):
        yield None
        yield from _page_issues(source, page, number, text, heads[number - 1])
        if number > 1:
            parts.append(between[number - 2])
            length += len(parts[-1])
        parts.append(text)
        spans.append(PageSpan(number, length, length + len(text), labels[number - 1]))
        length += len(text)
    metadata = about(structure) if structure else {}
    names = attachments(structure) if structure else []
    if names:
        listed = ", ".join(names)
        yield source.issue(
            "text_lost", f"The PDF carries attached files that were not read: {listed}.", None, "Save and add them."
        )
        metadata["attachments"] = listed
    whole = "".join(parts)
    if not whole.strip():
        return
    by_shape = {head_shape(head): head for found in reversed(heads) for head in reversed(found)}
    known_heads = "\n".join(head for shape, head in reversed(by_shape.items()) if shape != "#")
    if known_heads and len(known_heads) <= _MAX_RUNNING_HEADS:
        metadata["running_heads"] = known_heads
    confidences = [page.confidence for page in pages if page.confidence is not None]
    if confidences:
        metadata["ocr_pages"] = len(confidences)
        metadata["ocr_confidence"] = round(sum(confidences) / len(confidences), 3)
    read = ((page, span) for page, span in zip(pages, spans, strict=True) if page.confidence is not None)
    boxes = WordBoxes.of(box for page, span in read for box in locate(whole, span.start, span.end, page.body))
    title = metadata.pop("title", "")
    yield source.document(
        whole,
        "application/pdf",
        title=title if isinstance(title, str) else "",
        metadata={**metadata, "pages": count},
        pages=tuple(spans),
        headings=outline(structure, whole, spans) if structure else (),
        boxes=boxes,
    )


def _opened(source: Source) -> tuple[Any, str]:
    """Return pdfium's document and the password that opened it; an owner's password alone keeps nobody out."""
    import pypdfium2  # type: ignore[import-untyped]
    from pypdfium2 import raw

    for password in ("", *source.options.passwords):
        try:
            return pypdfium2.PdfDocument(source.path, password=password or None), password
        except pypdfium2.PdfiumError as error:
            if raw.FPDF_GetLastError() != raw.FPDF_ERR_PASSWORD and "password" not in str(error).lower():
                raise UnreadableFileError(
                    f"The PDF is truncated or damaged: {error}", "Download or export it again."
                ) from error
    passwords = source.options.passwords
    tried = f"none of the {len(passwords)} passwords opens it" if passwords else "it is encrypted"
    raise EncryptedFileError(
        f"It can't be opened: {tried}.", "Specify its password: --password, or LoadOptions(passwords=(...,))."
    )


def _read(pdf: Any, structure: Any | None, number: int) -> _Page:
    from pypdfium2 import PdfiumError

    try:
        page = pdf[number]
        textpage = page.get_textpage()
    except PdfiumError as error:
        return _Page(unread=f"The page can't be read: {error}", failed=True)
    try:
        expected = textpage.get_text_range()
        words = page_words(textpage)
        values, notes = filled_in(structure, number) if structure else ([], [])
        letters = sum(len(word.text) for word in words)
        found = _Page(notes=notes, expected=expected, drawn=bool(letters) or any(True for _ in page.get_objects()))
        if letters <= _FEW:
            found.covered = _covered(page)
        if is_garbage(expected):
            found.unread = "The text layer has no readable letters: its font does not say what they mean."
            words = []
        elif 0 < letters <= _STAMP and found.covered >= _PICTURE:
            found.unread = f"The page is a picture with {letters} characters of text over it."
        elif not words and not values and not notes:
            found.unread = "The page has no text layer." if found.drawn else "The page is empty."
        found.lines = reading_order(_with_values(words, values))
        return found
    finally:
        textpage.close()
        page.close()


def _read_by_ocr(pdf: Any, number: int, page: _Page) -> None:
    """Replace the text layer of a page by the lines that OCR finds in the drawn page."""
    drawn = pdf[number]
    width, height = drawn.get_size()
    scale = min(ocr.DPI / 72, (ocr.MOST_PIXELS / max(width * height, 1.0)) ** 0.5)
    lines, confidence = ocr.read_picture(drawn.render(scale=scale).to_pil())
    drawn.close()
    if lines:
        # In points, as the lines of other pages are.
        page.lines = [
            Line(line.text, line.x0 / scale, line.y0 / scale, line.x1 / scale, line.y1 / scale, line.cells, line.parts)
            for line in lines
        ]
        page.confidence = confidence


def _with_values(words: list[Word], values: list[Word]) -> list[Word]:
    """Return the words of a page with the values of its form, each after the word to its left."""
    turns = [word.turn for word in words]
    turn = max(set(turns), key=turns.count) if turns else 0
    found = list(words)
    for value in values:
        x0, y0, x1, y1 = turned((value.x0, value.y0, value.x1, value.y1), turn)
        beside = [n for n, word in enumerate(found) if word.x1 <= x0 and word.y0 < (y0 + y1) / 2 < word.y1]
        after = beside[-1] + 1 if beside else len(found)
        found.insert(after, Word(value.text, x0, y0, x1, y1, turn))
    return found


def _covered(page: Any) -> float:
    """Return the share of the page that its largest picture covers."""
    from pypdfium2 import PdfiumError, raw

    left, bottom, right, top = page.get_bbox()
    area = max((right - left) * (top - bottom), 1.0)
    largest = 0.0
    try:
        for picture in page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE]):
            x0, y0, x1, y1 = picture.get_bounds()
            largest = max(largest, (min(x1, right) - max(x0, left)) * (min(y1, top) - max(y0, bottom)))
    except PdfiumError:
        return 0.0
    return float(largest / area)


def _texts(pages: list[_Page]) -> tuple[list[str], list[str], list[list[str]]]:
    """Return the text of each page, the separators of pages, and the running heads that were left out."""
    left_out = running_heads([page.lines for page in pages])
    for page, out in zip(pages, left_out, strict=True):
        page.body = [line for index, line in enumerate(page.lines) if index not in out]
    texts = [page_text(page.body) for page in pages]
    known = known_words(texts)
    texts = [
        "\n\n".join(filter(None, (join_hyphens(text, known), *map(tidy, page.notes))))
        for text, page in zip(texts, pages, strict=True)
    ]
    between: list[str] = []
    for number, after in enumerate(texts[1:]):
        texts[number], separator = join_pages(texts[number], after, known)
        between.append(separator)
    heads = [
        [" ".join(page.lines[index].text.split()) for index in sorted(out)]
        for page, out in zip(pages, left_out, strict=True)
    ]
    return texts, between, heads


def _page_issues(source: Source, page: _Page, number: int, text: str, heads: list[str]) -> Iterator[Issue]:
    if page.failed:
        yield source.issue("text_lost", page.unread, number)
    elif page.confidence is not None:
        yield from ocr.confidence_issue(source, page.confidence, number)
    elif page.unread:
        hint = "" if not page.drawn else _NEITHER if source.ocr else ocr.INSTALL
        yield source.issue("page_without_text", page.unread, number, hint)
    else:
        yield from check_complete(source, page.expected, "\n".join((text, *heads)), page=number)
