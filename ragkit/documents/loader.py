"""Runs parsers in a child process that can be stopped: no file, however made, holds up or brings down the rest."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ragkit.documents.base import Issue, LoadOptions, SourceFile
from ragkit.records import Document, HeadingSpan, PageSpan

_STARTUP = 20.0
"""Seconds that the child may take to start, on a machine under load."""


class Loader:
    """Reads files, one after another, in a child process that stays warm between them.

    Args:
        options: limits, passwords, columns.
    """

    def __init__(self, options: LoadOptions | None = None) -> None:
        self.options = options or LoadOptions()
        self._child: subprocess.Popen[bytes] | None = None
        self._lines: queue.Queue[bytes | None] = queue.Queue(maxsize=256)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def load(self, file: SourceFile) -> Iterator[Document | Issue]:
        """Yield the documents of a file and what is wrong with it; a bad file never raises.

        A file that takes longer than its time, or whose parser uses more than its memory, is refused; what it gave
        before is to be kept or dropped by the caller, who sees the issue.
        """
        self._start()
        assert self._child is not None
        assert self._child.stdin is not None
        request = {"path": str(file.path), "origin": file.origin, "options": asdict(self.options)}
        try:
            self._child.stdin.write(json.dumps(request).encode() + b"\n")
            self._child.stdin.flush()
        except OSError:
            self.close()
            yield Issue(file.origin, "refused", "The parser's process ended before it began.")
            return
        step = self.options.time_limit
        whole = time.monotonic() + step * max(1.0, file.size / 1e6)
        while True:
            limit = min(time.monotonic() + step, whole)
            try:
                line = self._lines.get(timeout=max(0.0, limit - time.monotonic()))
            except queue.Empty:
                self.close()
                yield Issue(
                    file.origin,
                    "refused",
                    f"Its parser was stopped: it ran past its limit of {step:g} s.",
                    hint="Export the file anew, or give it more time: LoadOptions(time_limit=...).",
                )
                return
            if line is None:
                self.close()
                megabytes = self.options.memory_limit // 2**20
                yield Issue(
                    file.origin,
                    "refused",
                    f"Its parser's process died, most likely for want of memory (its limit is {megabytes} MB).",
                    hint="Export the file anew, or give it more: LoadOptions(memory_limit=...).",
                )
                return
            message: dict[str, Any] = json.loads(line)
            if message["kind"] == "end":
                return
            if message["kind"] == "document":
                yield _document(message["value"])
            elif message["kind"] == "issue":
                yield Issue(**message["value"])

    def close(self) -> None:
        """Stop the child."""
        child, self._child = self._child, None
        if child is None:
            return
        end_process(child)
        self._lines = queue.Queue(maxsize=256)

    def _start(self) -> None:
        if self._child is not None and self._child.poll() is None:
            return
        self.close()
        environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "OMP_NUM_THREADS": "1"}
        child = subprocess.Popen(
            [sys.executable, "-m", "ragkit.documents.child", str(self.options.memory_limit)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        self._child, lines = child, self._lines

        def read() -> None:
            assert child.stdout is not None
            try:
                for line in child.stdout:
                    lines.put(line)
            except (OSError, ValueError):
                pass
            lines.put(None)

        threading.Thread(target=read, daemon=True).start()
        try:
            lines.get(timeout=_STARTUP)
        except queue.Empty:
            self.close()
            raise RuntimeError(f"The parser's process did not start within {_STARTUP:g} s.") from None


def load(path: str | Path, options: LoadOptions | None = None) -> list[Document | Issue]:
    """Read one file: its documents, and what is wrong with it.

    Raises:
        DocumentError: if the path does not exist.
    """
    from ragkit.documents.discovery import discover

    with Loader(options) as loader:
        return [item for file in discover([Path(path)], options) for item in loader.load(file)]


def _document(value: dict[str, Any]) -> Document:
    value["pages"] = tuple(PageSpan(**page) for page in value["pages"])
    value["headings"] = tuple(HeadingSpan(**heading) for heading in value["headings"])
    return Document(**value)


def end_process(child: subprocess.Popen[bytes]) -> None:
    """Kill a process, wait until it is gone, and close its pipes."""
    child.kill()
    child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()
