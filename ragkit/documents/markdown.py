"""Markdown, unchanged: offsets are those of the file's text without the fences of front matter."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ragkit.documents.base import Issue, Source, nest
from ragkit.documents.front_matter import split_front_matter
from ragkit.documents.text import read_text
from ragkit.records import Document

_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_UNDERLINE = re.compile(r" {0,3}(=+|-{2,})[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")


def parse(source: Source) -> Iterator[Document | Issue]:
    """Yield the file as one document with its headings."""
    text, issues = read_text(source)
    yield from issues
    front, metadata, body = split_front_matter(text)
    # The values stay in the text, so that they are found and quoted as any other.
    text = f"{front}\n\n{body.lstrip(chr(10))}" if front else body
    if not text.strip():
        return
    start = len(text) - len(body.lstrip("\n")) if front else 0
    headings = nest([(title, level, start + offset) for title, level, offset in find_headings(text[start:])], len(text))
    title = metadata.get("title")
    yield source.document(
        text, "text/markdown", title=title if isinstance(title, str) else "", metadata=metadata, headings=headings
    )


def find_headings(text: str) -> list[tuple[str, int, int]]:
    """Return title, level and offset of each heading outside fenced code."""
    headings: list[tuple[str, int, int]] = []
    fence = ""
    offset, before, before_offset = 0, "", 0
    for line in text.split("\n"):
        opened = _FENCE.match(line)
        if fence:
            if opened and opened.group(1).startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
            before = ""
        elif opened:
            fence, before = opened.group(1), ""
        else:
            atx = _ATX.match(line)
            if atx:
                title = _text_of(atx.group(2) or "")
                if title:
                    headings.append((title, len(atx.group(1)), offset))
                before = ""
            elif (
                before.strip() and _UNDERLINE.match(line) and not before.lstrip().startswith(("-", "*", ">", "|", "+"))
            ):
                headings.append((_text_of(before), 1 if line.strip()[0] == "=" else 2, before_offset))
                before = ""
            else:
                before, before_offset = line, offset
        offset += len(line) + 1
    return headings


def _text_of(title: str) -> str:
    return " ".join(_LINK.sub(r"\1", title).replace("`", "").replace("**", "").split())
