"""The process that parses: a request a line on stdin, documents and issues as JSON lines on stdout.

``python -m ragkit.documents.child MEMORY_LIMIT``. Whatever a parser prints goes to stderr, which nobody reads.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from ragkit.documents.base import Issue, LoadOptions, Source
from ragkit.documents.discovery import file_sha256
from ragkit.documents.registry import choose, parser
from ragkit.errors import DocumentError
from ragkit.records import Document

_BASE = 256 * 2**20
"""Address space that Python and the parsers' libraries take before they have read a byte."""


def main() -> None:
    """Serve until stdin ends."""
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    limit = int(sys.argv[1]) + _BASE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _send(results, "ready", None)
    for line in sys.stdin.buffer:
        request = json.loads(line)
        options = _options(request["options"])
        for item in _parse(Path(request["path"]), request["origin"], options):
            if item is None:
                _send(results, "alive", None)
            else:
                _send(results, "document" if isinstance(item, Document) else "issue", asdict(item))
        _send(results, "end", None)


def _parse(path: Path, origin: str, options: LoadOptions) -> Iterator[Document | Issue | None]:
    try:
        name, wrong = choose(path)
        source = Source(path, origin, file_sha256(path), options)
        if wrong:
            yield source.issue("mislabelled", f"Read as {name}: {wrong}.")
        found = False
        for item in parser(name)(source):
            found = found or isinstance(item, Document)
            yield item
        if not found:
            yield source.issue("refused", "It holds no text.", hint="If it is a scan, run it through OCR first.")
    except DocumentError as error:
        yield Issue(origin, "refused", error.message, hint=error.hint)
    except OSError as error:
        yield Issue(origin, "refused", f"It can't be read: {error.strerror or error}.", hint="Mend its permissions.")
    except (MemoryError, RecursionError) as error:
        what = "needs more memory than its limit" if isinstance(error, MemoryError) else "is nested too deeply"
        yield Issue(origin, "refused", f"It {what}.", hint="Export the file anew, or split it.")
    except Exception as error:  # noqa: BLE001  a parser's library may raise anything on a damaged file
        yield Issue(
            origin,
            "refused",
            f"It is damaged or not what it says ({type(error).__name__}: {str(error)[:200]}).",
            hint="Open and save it anew in the program it is from.",
        )


def _options(given: dict[str, Any]) -> LoadOptions:
    """Return options from JSON, which has lists where they have tuples."""
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}
    return LoadOptions(**values)


def _send(results: BinaryIO, kind: str, value: dict[str, Any] | None) -> None:
    results.write(json.dumps({"kind": kind, "value": value}).encode() + b"\n")
    results.flush()


if __name__ == "__main__":
    main()
