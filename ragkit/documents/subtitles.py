"""Subtitles in WebVTT and SRT: the text of each cue, with its time as the label."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from ragkit.documents.base import Issue, Source
from ragkit.documents.completeness import check_complete
from ragkit.documents.text import read_text
from ragkit.records import Document, PageSpan

_TIME = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{2})[.,](\d{1,3})"
_TIMING = re.compile(rf"[ \t]*{_TIME}[ \t]*-->[ \t]*{_TIME}.*")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]+)>")
_TAG = re.compile(r"</?[A-Za-z][^>\n]*>|<\d[\d:.]*>|\{\\[^}\n]*\}")
_MARKUP = re.compile(r"</?[A-Za-z0-9][^>\n]*>|\{\\[^}\n]*\}")
_NOT_SHOWN = ("STYLE", "REGION", "NOTE", "WEBVTT")


def parse(source: Source) -> Iterator[Document | Issue]:
    """Yield the file as one document, a page for each cue."""
    text, issues = read_text(source)
    yield from issues
    parts: list[str] = []
    pages: list[PageSpan] = []
    start = 0
    for number, (time, cue) in enumerate(_cues(text), 1):
        pages.append(PageSpan(number, start, start + len(cue), time))
        parts.append(cue)
        start += len(cue) + 1
    if not parts:
        if text.strip():
            yield source.issue(
                "mislabelled", "The file has no cues with times; read as plain text.", hint="Rename it to .txt."
            )
            yield source.document(text, "text/plain")
        return
    media_type = "text/vtt" if text.lstrip("\ufeff").startswith("WEBVTT") else "application/x-subrip"
    shown = "\n".join(parts)
    yield from check_complete(source, _visible(text), shown)
    yield source.document(shown, media_type, pages=tuple(pages))


def _visible(text: str) -> str:
    """Return all lines but times, the names and numbers of cues, headers and comments, for the self-check."""
    shown: list[str] = []
    # A line that begins a block is the name of its cue if a time follows.
    skipped, named, first = False, False, True
    for line in text.lstrip("\ufeff").split("\n"):
        if first:
            skipped = line.startswith(_NOT_SHOWN)
        if _TIMING.fullmatch(line):
            if shown and (shown[-1].strip().isdigit() or named):
                shown.pop()
            named = False
        elif line.strip() and not skipped:
            shown.append(line)
            named = first
        first = not line.strip()
        skipped = skipped and not first
    return html.unescape(_MARKUP.sub("", "\n".join(shown)))


def _cues(text: str) -> Iterator[tuple[str, str]]:
    """Yield the time and the text of each cue."""
    for block in re.split(r"\n[ \t]*\n+", text.lstrip("\ufeff").strip("\n")):
        lines = block.split("\n")
        timings = [place for place, line in enumerate(lines) if _TIMING.fullmatch(line)]
        # Some files have no empty line between cues.
        for place, following in zip(timings, [*timings, len(lines)][1:], strict=True):
            end = following
            if following < len(lines) and lines[following - 1].strip().isdigit():
                end -= 1
            shown = _visible_text(lines[place + 1 : end])
            if shown:
                yield _start(lines[place]), shown


def _start(timing: str) -> str:
    match = _TIMING.fullmatch(timing)
    assert match is not None
    hours, minutes, seconds = match.group(1, 2, 3)
    return f"{int(hours or 0):02}:{int(minutes):02}:{seconds}"


def _visible_text(lines: list[str]) -> str:
    text = _VOICE.sub(r"\1: ", " ".join(line.strip() for line in lines))
    return " ".join(html.unescape(_TAG.sub("", text)).split())
