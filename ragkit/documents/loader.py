"""Runs parsers in a child process that can be stopped, so that no malformed file blocks or crashes the others."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ragkit._process import Child, describe_exit, ended_by_cpu_limit
from ragkit.documents.base import MORE_MEMORY, MORE_TIME, Issue, LoadOptions, SourceFile
from ragkit.records import Document, HeadingSpan, PageSpan, WordBoxes

OCR_MEMORY = 2 * 2**30
"""Minimum memory limit of a parser for files that need OCR, in bytes. The models and a page at 200 dpi take 1.5
GB of address space and 800 MB of memory."""
OCR_TIME = 30.0
"""Additional seconds of processor time for each page that is read by OCR."""


class Loader:
    """Reads files, one after another, in a child process that stays warm between them.

    Args:
        options: limits, passwords, columns.
    """

    def __init__(self, options: LoadOptions | None = None) -> None:
        self.options = options or LoadOptions()
        self._children: dict[bool, Child] = {}
        """Child processes, by whether they have the limits of OCR."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def load(self, file: SourceFile) -> Iterator[Document | Issue]:
        """Yield the documents and issues of a file; an unreadable file never raises an error.

        Only the parser's own work counts towards its limits, regardless of the time that the caller takes between two
        documents. If the parser reaches a limit or ends, the file is cut off: the last issue says so and has ``retry``
        set. The caller decides whether to keep the documents before it.

        Raises:
            ProcessStartError: if the parser's process can't be started.
        """
        allowed = self.options.time_limit * max(1.0, file.size / 1e6)
        child = self._start_child(file, allowed)
        whole = ocr = False
        try:
            while True:
                try:
                    line = child.receive(allowed)
                except TimeoutError:
                    yield self._cut_off(file, f"it neither worked nor gave anything for {allowed:g} s", MORE_TIME)
                    return
                if not line:
                    yield self._ended(file, child.exit_code(), allowed, ocr)
                    return
                message: dict[str, Any] = json.loads(line)
                if message["kind"] == "end":
                    whole = True
                    return
                if message["kind"] == "ocr":
                    whole, ocr = True, True
                    allowed += OCR_TIME * message["pages"]
                    child = self._start_child(file, allowed, ocr)
                    whole = False
                elif message["kind"] == "document":
                    yield _document(message["value"])
                elif message["kind"] == "issue":
                    yield Issue(**message["value"])
        finally:
            # What the child still has to say of this file must not be taken for the next one's.
            if not whole:
                self.close()

    def close(self) -> None:
        """Stop the child."""
        children, self._children = self._children, {}
        for child in children.values():
            child.close()

    def _start_child(self, file: SourceFile, allowed: float, ocr: bool = False) -> Child:
        """Return the child with the request for a file sent."""
        request: dict[str, Any] = {
            "path": str(file.path.absolute()),
            "origin": file.origin,
            "options": asdict(self.options),
            "ocr": ocr,
        }
        if ocr in self._children:
            try:
                self._children[ocr].send(request, allowed)
                return self._children[ocr]
            except OSError:
                # It was ended from outside while it had nothing to do, which says nothing of this file.
                self.close()
        child = self._children[ocr] = Child("ragkit.documents.child", self._memory(ocr))
        # If it ends now, the caller sees that it gives nothing.
        with contextlib.suppress(OSError):
            child.send(request, allowed)
        return child

    def _memory(self, ocr: bool) -> int:
        return max(self.options.memory_limit, OCR_MEMORY) if ocr else self.options.memory_limit

    def _ended(self, file: SourceFile, code: int, allowed: float, ocr: bool) -> Issue:
        if ended_by_cpu_limit(code):
            return self._cut_off(file, f"it used up its limit of {allowed:g} s of processor time", MORE_TIME)
        limit = f"its limit is {self._memory(ocr) // 2**20} MB"
        return self._cut_off(
            file, f"its process ended with {describe_exit(code)}, most likely for lack of memory ({limit})", MORE_MEMORY
        )

    def _cut_off(self, file: SourceFile, reason: str, hint: str) -> Issue:
        return Issue(file.origin, "refused", f"Its parser was stopped: {reason}.", hint=hint, retry=True)


def load(path: str | Path, options: LoadOptions | None = None) -> list[Document | Issue]:
    """Read one file, and return its documents and issues.

    Raises:
        DocumentError: if the path does not exist.
    """
    from ragkit.documents.discovery import discover

    with Loader(options) as loader:
        return [item for file in discover([Path(path)], options) for item in loader.load(file)]


def _document(value: dict[str, Any]) -> Document:
    value["pages"] = tuple(PageSpan(**page) for page in value["pages"])
    value["headings"] = tuple(HeadingSpan(**heading) for heading in value["headings"])
    value["boxes"] = WordBoxes(**value["boxes"])
    return Document(**value)
