"""PDF with pypdf: the text of each page, one after the other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ragkit.documents.base import Issue, Source, clean_text, nest, plain_metadata
from ragkit.errors import EncryptedFileError, UnreadableFileError
from ragkit.records import Document, HeadingSpan, PageSpan

_HYPHEN = re.compile(r"(?<=[a-zäöüß])-\n(?=[a-zäöüß])")
_SPACES = re.compile(r"[ \t\u00a0]+")
_DEEPEST = 4


def parse(source: Source) -> Iterator[Document | Issue | None]:
    """Yield the file as one document with pages, and an issue for each page without text."""
    import pypdf
    from pypdf.errors import PyPdfError

    try:
        reader = pypdf.PdfReader(source.path, strict=False)
        if reader.is_encrypted:
            _decrypt(reader, source.options.passwords)
        count = len(reader.pages)
    except PyPdfError as error:
        raise UnreadableFileError(f"It is no whole PDF: {error}.", "Download or export it anew.") from error
    if count == 0:
        raise UnreadableFileError("It is a PDF without pages.", "Download or export it anew.")
    parts: list[str] = []
    pages: list[PageSpan] = []
    issues: list[Issue] = []
    length = 0
    for number in range(1, count + 1):
        yield None
        try:
            text = _tidy(reader.pages[number - 1].extract_text() or "")
        except (PyPdfError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            text = ""
            issues.append(
                source.issue("text_lost", f"The page can't be read: {type(error).__name__}: {error}.", number)
            )
        else:
            if not text:
                issues.append(
                    source.issue(
                        "page_without_text", "The page has no text layer.", number, "Run it through OCR first."
                    )
                )
        if number > 1:
            parts.append("\n\n")
            length += 2
        parts.append(text)
        pages.append(PageSpan(number, length, length + len(text)))
        length += len(text)
    yield from issues
    whole = "".join(parts)
    if not whole.strip():
        return
    about = _about(reader)
    title = about.pop("title", "")
    headings = _outline(reader, whole, tuple(pages))
    yield source.document(
        whole,
        "application/pdf",
        title=title if isinstance(title, str) else "",
        metadata={**about, "pages": count},
        pages=tuple(pages),
        headings=headings,
    )


def _decrypt(reader: Any, passwords: tuple[str, ...]) -> None:
    if any(reader.decrypt(password) for password in ("", *passwords)):
        return
    tried = f"none of the {len(passwords)} passwords opens it" if passwords else "it is encrypted"
    raise EncryptedFileError(
        f"It can't be opened: {tried}.", "Give its password: --password, or LoadOptions(passwords=(...,))."
    )


def _tidy(text: str) -> str:
    """Return a page's text with words joined that were broken at a line's end, and without trailing blanks."""
    text = _SPACES.sub(" ", clean_text(text))
    text = _HYPHEN.sub("", text)
    return "\n".join(line.strip() for line in text.split("\n")).strip()


def _about(reader: Any) -> dict[str, str | int | float | bool]:
    from pypdf.errors import PyPdfError

    try:
        found = reader.metadata or {}
        created = getattr(found, "creation_date", None)
        return plain_metadata(
            {
                "title": found.get("/Title"),
                "author": found.get("/Author"),
                "subject": found.get("/Subject"),
                "created": created.date().isoformat() if created else None,
            }
        )
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError):
        # A broken information block says nothing of the text.
        return {}


def _outline(reader: Any, text: str, pages: tuple[PageSpan, ...]) -> tuple[HeadingSpan, ...]:
    """Return the outline's entries as headings where their titles stand on the pages that they name."""
    from pypdf.errors import PyPdfError

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
            match = re.search(rf"(?:^|\n)[\d.\s]{{0,12}}({pattern})", text[page.start : page.end])
            if match:
                found.append((title, level, page.start + match.start(1)))

    try:
        walk(reader.outline, 1)
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ()
    if found != sorted(found, key=lambda entry: entry[2]):
        return ()
    return nest(found, len(text))
