"""Draws pages of PDF files and locates quotes on them, in a child process with limits on time and memory."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ragkit._process import Child
from ragkit.documents import file_sha256
from ragkit.errors import DocumentError, MissingExtraError, ProcessStartError
from ragkit.records import Document
from ragkit.serving.failures import log
from ragkit.serving.quote_boxes import word_lines

WIDTHS = (100, 2000)
"""Minimum and maximum width of a picture, in pixels."""
_FALL_BACK = "Read the text of the source instead."


@dataclass(frozen=True, slots=True)
class PageLimits:
    """Limits of drawing a page."""

    seconds: float = 10.0
    """Maximum processor time in seconds, and maximum time without work or an answer."""
    memory: int = 512 * 2**20
    """Memory limit of the drawing process, in bytes."""
    file_bytes: int = 500 * 2**20
    """Maximum size of a file; larger files are not opened."""
    rest: float = 300.0
    """Seconds until a page that exceeded a limit is tried again."""
    kept_bytes: int = 64 * 2**20
    """Size of the cache of pictures, in bytes."""


@dataclass(frozen=True, slots=True)
class QuotePlace:
    """Place of a quote on a page."""

    number: int
    width: float
    """Width of the page as shown, in points."""
    height: float
    rects: tuple[tuple[float, float, float, float], ...]
    """One rectangle per line: left, top, right and bottom as fractions of width and height from the top left; empty
    if the quote is not on the page."""


class PdfPages:
    """Draws pages and finds quotes, one request after another; the process stays warm between them.

    Args:
        limits: limits of drawing a page.
        clock: monotonic clock, in seconds.
    """

    def __init__(self, limits: PageLimits | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits or PageLimits()
        self.clock = clock
        self._child: Child | None = None
        self._asking = threading.Lock()
        self._kept: OrderedDict[tuple[str, str, int, int], bytes] = OrderedDict()
        self._keeping = threading.Lock()
        self._slow: OrderedDict[tuple[str, str, int], float] = OrderedDict()
        self._known: OrderedDict[tuple[str, int, int], str] = OrderedDict()

    def draw(self, path: Path, document: Document, number: int, width: int) -> bytes:
        """Return a page as PNG.

        Args:
            path: path of the file that the document is from.
            document: document whose file content is unchanged, byte by byte.
            number: number of the page, from 1.
            width: width in pixels; smaller if a long page would otherwise exceed 8 million pixels.

        Raises:
            DocumentError: if the file was deleted or replaced, lacks the page, or exceeds the limits.
        """
        self._check(path, document, number)
        key = (str(path), document.sha256, number, width)
        kept = self._kept.get(key)
        if kept is None:
            request = _request("draw", path, document, number)
            kept = base64.b64decode(self._ask(request | {"width": width}, document)["png"])
        self._keep(key, kept)
        return kept

    def place(self, path: Path, document: Document, number: int, start: int, end: int) -> QuotePlace:
        """Return the boxes of ``document.text[start:end]`` on a page.

        Raises:
            DocumentError: if the file was deleted or replaced, lacks the page, or exceeds the limits.
        """
        self._check(path, document, number)
        page = next(page for page in document.pages if page.number == number)
        first, last = max(start, page.start), min(end, page.end)
        if _is_picture(document) or document.boxes.within(page.start, page.end):
            found = self._ask(_request("measure", path, document, number), document)
            rects = tuple(word_lines(document.boxes.within(first, last)))
            return QuotePlace(number, found["width"], found["height"], rects)
        quote: dict[str, Any] = {
            "text": document.text[page.start : page.end],
            "start": max(0, first - page.start),
            "end": max(0, last - page.start),
        }
        found = self._ask(_request("find", path, document, number) | quote, document)
        rects = tuple((x0, y0, x1, y1) for x0, y0, x1, y1 in found["rects"])
        return QuotePlace(number, found["width"], found["height"], rects)

    def close(self) -> None:
        """Stop the process; pending requests get an error."""
        child = self._child
        if child is not None:
            child.kill()
        with self._asking:
            self._stop()

    def _check(self, path: Path, document: Document, number: int) -> None:
        """Check that the page exists and the file is unchanged."""
        drawn = document.media_type == "application/pdf" or _is_picture(document)
        if not drawn or all(page.number != number for page in document.pages):
            raise DocumentError("The page does not exist.", _FALL_BACK)
        try:
            stat = path.stat()
            if stat.st_size > self.limits.file_bytes:
                raise DocumentError("The file is too large to render.", _FALL_BACK)
            key = (str(path), stat.st_size, stat.st_mtime_ns)
            sha256 = self._known.get(key) or file_sha256(path)
        except OSError as error:
            raise DocumentError("The original file no longer exists.", _FALL_BACK) from error
        self._known[key] = sha256
        while len(self._known) > 1000:
            self._known.popitem(last=False)
        if sha256 != document.sha256:
            raise DocumentError("The file has changed since it was indexed.", _FALL_BACK)

    def _keep(self, key: tuple[str, str, int, int], picture: bytes) -> None:
        """Cache an image, and evict the oldest ones over the limit."""
        with self._keeping:
            self._kept[key] = picture
            self._kept.move_to_end(key)
            total = sum(map(len, self._kept.values()))
            while total > self.limits.kept_bytes and self._kept:
                total -= len(self._kept.popitem(last=False)[1])

    def _ask(self, request: dict[str, Any], document: Document) -> dict[str, Any]:
        """Have the process answer; a page at which it reached a limit is not tried again for some minutes."""
        key = (request["path"], document.sha256, request["number"])
        if not self._asking.acquire(timeout=self.limits.seconds):
            raise DocumentError("Too many pages are rendering.", "Try again in a moment.")
        try:
            line = b"" if self.clock() < self._slow.get(key, 0.0) else self._line(request, key)
        finally:
            self._asking.release()
        if not line:
            raise DocumentError("The page exceeds the time or memory limit.", _FALL_BACK)
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            # What the library says may name the path.
            log.info("a page failed to render: %s", answer["error"])
            raise DocumentError("Failed to render the page: it is damaged or encrypted.", _FALL_BACK)
        return answer

    def _line(self, request: dict[str, Any], key: tuple[str, str, int]) -> bytes:
        """Return the answer to a request, or nothing if the process reached a limit."""
        child = self._started()
        line = b""
        try:
            # A process that has just ended takes no request; the answer then is nothing.
            with contextlib.suppress(OSError):
                child.send(request, self.limits.seconds)
            line = child.receive(self.limits.seconds)
            if not line:
                log.warning("page %d of %s reached the time or memory limit", request["number"], request["path"])
                self._slow[key] = self.clock() + self.limits.rest
                while len(self._slow) > 1000:
                    self._slow.popitem(last=False)
            else:
                self._slow.pop(key, None)
        except TimeoutError:
            log.warning("page %d of %s: the file does not answer", request["number"], request["path"])
            # It waits for a resource such as a network folder, which may be available later.
        if not line:
            self._stop()
        return line

    def _started(self) -> Child:
        if self._child is None or not self._child.alive():
            for package in ("pypdfium2", "PIL"):
                if find_spec(package) is None:
                    raise MissingExtraError(package, "serve", "to show pages of PDF")
            self._stop()
            try:
                self._child = Child("ragkit.serving.pdf_child", self.limits.memory)
            except ProcessStartError as error:
                raise DocumentError("Failed to start the page renderer.", _FALL_BACK) from error
        return self._child

    def _stop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.close()


def _request(do: str, path: Path, document: Document, number: int) -> dict[str, Any]:
    return {"do": do, "path": str(path.absolute()), "number": number, "picture": _is_picture(document)}


def _is_picture(document: Document) -> bool:
    return document.media_type.startswith("image/")
