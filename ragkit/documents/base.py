"""The interface of loaders: options, limits, results."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from ragkit.errors import SettingsError
from ragkit.records import Document, HeadingSpan, Metadata, PageSpan, WordBoxes, document_id

IssueKind = Literal[
    "refused",
    "page_without_text",
    "text_lost",
    "row_refused",
    "row_irregular",
    "member_refused",
    "encoding_guessed",
    "mislabelled",
    "low_confidence",
]

DEFAULT_EXCLUDE = (".*", "__pycache__", "node_modules", "*.egg-info", "Thumbs.db", "desktop.ini")

_EMPTY_LINES = re.compile(r"\A(?:[ \t]*\n)+")

MORE_TIME = "Increase its time limit: --time-limit SECONDS, or LoadOptions(time_limit=...)."
MORE_MEMORY = "Increase its memory limit: --memory-limit MB, or LoadOptions(memory_limit=...)."


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """Options for selecting the files of a folder and for reading them."""

    include: tuple[str, ...] = ()
    """Patterns of file names, such as ``*.pdf``, or with a slash of paths below the folder, such as ``reports/**``; a
    file must match one. Empty includes all files."""
    exclude: tuple[str, ...] = DEFAULT_EXCLUDE
    """Patterns of file and folder names, or of paths below the folder, to leave out."""
    gitignore: bool = False
    """Leave out files that git ignores, by the ``.gitignore`` files in the folder and above it in its repository."""
    passwords: tuple[str, ...] = ()
    """Passwords that are tried in turn on encrypted files."""
    text_columns: tuple[str, ...] = ()
    """Columns of a table file that make a row's text; empty for all."""
    metadata_columns: tuple[str, ...] = ()
    """Columns that become metadata; empty for all that contain short values."""
    time_limit: float = 30.0
    """Seconds of processor time that the parser may take for a file of up to 1 MB; a larger file gets the same time for
    each further MB. A parser without a result and without processor use for that time is also stopped."""
    memory_limit: int = 512 * 2**20
    """Memory limit of a parser, in bytes."""
    encoding: str | None = None
    """Encoding of text files; None to detect it."""
    main_text: bool = False
    """Keep only the main text of HTML pages, found by trafilatura; for pages from the web. By default all text
    is kept except navigation."""
    comments: bool = True
    """Read the comments of DOCX files; each follows the paragraph that it refers to."""

    def __post_init__(self) -> None:
        """Check the limits.

        Raises:
            SettingsError: if a limit is not > 0.
        """
        for name in ("time_limit", "memory_limit"):
            if not getattr(self, name) > 0:
                raise SettingsError(f"{name} must be > 0, got {getattr(self, name)!r}.", "Omit it to use the default.")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to read."""

    path: Path
    origin: str
    """Absolute path of the file."""
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Issue:
    """A part of a file that is missing or was guessed, with the reason."""

    origin: str
    kind: IssueKind
    detail: str
    page: int | None = None
    hint: str = ""
    retry: bool = False
    """Whether reading was cut off, so that another attempt or other limits may read the complete file."""
    locked: bool = False
    """Whether the file needs a password, or a different one."""


@dataclass(slots=True)
class MemberBudget:
    """Remaining budget for the members of a file, such as attachments, including members of members."""

    members: int = 1000
    bytes: int = 300 * 2**20
    origins: set[str] = field(default_factory=set)
    """Origins in use, so that two members with the same name get different sources."""


@dataclass(slots=True)
class Source:
    """A file in the child process, with the sha256 of its bytes."""

    path: Path
    origin: str
    sha256: str
    options: LoadOptions
    depth: int = 0
    """Nesting depth: 0 for a file, 1 for a member of an archive or a mail, 2 for a member of that."""
    budget: MemberBudget = field(default_factory=MemberBudget)
    ocr: bool = False
    """Whether this process has the limits that OCR needs."""

    def document(
        self,
        text: str,
        media_type: str,
        *,
        title: str = "",
        metadata: Metadata | None = None,
        pages: tuple[PageSpan, ...] = (),
        headings: tuple[HeadingSpan, ...] = (),
        boxes: WordBoxes | None = None,
    ) -> Document:
        """Return the file as one document; without a title, the first heading or the file name is used."""
        if not title.strip():
            title = headings[0].title if headings else self.path.stem
        return Document(
            id=document_id(self.origin),
            source=self.origin,
            origin=self.origin,
            text=text,
            title=" ".join(title.split())[:300],
            sha256=self.sha256,
            media_type=media_type,
            metadata={"name": self.path.name, "suffix": self.path.suffix.lower(), **(metadata or {})},
            pages=pages,
            headings=headings,
            boxes=boxes or WordBoxes(),
        )

    def issue(self, kind: IssueKind, detail: str, page: int | None = None, hint: str = "") -> Issue:
        """Return an issue of this file."""
        return Issue(self.origin, kind, detail, page, hint)


class OcrNeededError(Exception):
    """A parser found pages that only OCR can read, and OCR is installed; raised before it yields a result."""

    def __init__(self, pages: int) -> None:
        super().__init__(pages)
        self.pages = pages


class Parser(Protocol):
    """Reads one format. A parser raises ``DocumentError`` for a file that it can't read at all."""

    def __call__(self, source: Source) -> Iterator[Document | Issue | None]:
        """Yield the file's documents and issues, and None as a sign of life during long work."""
        ...


def clean_text(text: str) -> str:
    r"""Return ``text`` without NUL characters and lone surrogates, and with ``\\n`` for every line break.

    This is done before offsets are computed, never after.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    if not text.isascii():
        text = text.encode("utf-8", "ignore").decode("utf-8")
    return text


@dataclass(slots=True)
class TextBuilder:
    """Joins blocks to one text, and records the spans of headings."""

    _parts: list[str] = field(default_factory=list)
    _length: int = 0
    _headings: list[tuple[str, int, int]] = field(default_factory=list)

    def add(self, block: str, level: int = 0, *, preformatted: bool = False) -> tuple[int, int]:
        """Add a block after an empty line, and return its span.

        Args:
            block: block of text.
            level: 1 and above makes it a heading.
            preformatted: keep the indentation of its first line, as for code.
        """
        block = clean_text(block)
        block = _EMPTY_LINES.sub("", block).rstrip() if preformatted else block.strip()
        if not block:
            return self._length, self._length
        if self._parts:
            self._parts.append("\n\n")
            self._length += 2
        if level:
            self._headings.append((" ".join(block.split()), level, self._length))
        self._parts.append(block)
        start = self._length
        self._length += len(block)
        return start, self._length

    def add_document(self, document: Document) -> None:
        """Add the text of a document with its headings; its sections end where they ended in it."""
        start = self.next_start()
        if self._parts:
            self._parts.append("\n\n")
        self._parts.append(document.text)
        self._length = start + len(document.text)
        ends: dict[int, int] = {}
        for each in document.headings:
            ends[each.end] = min(each.level, ends.get(each.end, each.level))
        marks = [("", level, start + end) for end, level in ends.items()]
        marks += [(each.title, each.level, start + each.start) for each in document.headings]
        # An end comes before the heading that begins at its place.
        self._headings += sorted(marks, key=lambda mark: (mark[2], bool(mark[0])))

    def next_start(self) -> int:
        """Return where the next block will begin."""
        return self._length + 2 if self._parts else 0

    def heading_starts(self) -> list[int]:
        """Return where the headings so far begin."""
        return [start for _, _, start in self._headings]

    @property
    def length(self) -> int:
        """Length of the text so far, in characters."""
        return self._length

    def end_sections(self) -> None:
        """End all open sections: what follows, such as the footer of a page, belongs to none."""
        self._headings.append(("", 0, self._length))

    def text(self) -> str:
        """Return the text so far."""
        return "".join(self._parts)

    def headings(self) -> tuple[HeadingSpan, ...]:
        """Return the headings with the sections under them."""
        return tuple(span for span in nest(self._headings, self._length) if span.title)


def nest(headings: list[tuple[str, int, int]], length: int) -> tuple[HeadingSpan, ...]:
    """Return heading spans from (title, level, start) in order: each section ends at the next of its level or above."""
    spans: list[HeadingSpan | None] = [None] * len(headings)
    open_: list[int] = []
    for number, (_, level, start) in enumerate(headings):
        while open_ and headings[open_[-1]][1] >= level:
            closed = open_.pop()
            spans[closed] = HeadingSpan(*headings[closed], start)
        open_.append(number)
    for closed in open_:
        spans[closed] = HeadingSpan(*headings[closed], length)
    return tuple(span for span in spans if span is not None)


def plain_metadata(values: Mapping[str, object]) -> dict[str, str | int | float | bool]:
    """Return those values that metadata can hold, text without white space around it."""
    kept: dict[str, str | int | float | bool] = {}
    for name, value in values.items():
        if isinstance(value, str):
            value = clean_text(value).strip()
        if value not in (None, "") and isinstance(value, (str, int, float, bool)) and value == value:
            kept[clean_text(str(name))] = value
    return kept
