"""The process that parses: requests and results are lines of JSON; see ``ragkit._child.serve``.

A request names ``path``, ``origin`` and ``options``, and ``ocr`` in a process with the limits of OCR; the results are
``document``, ``issue`` and, at the end, ``end``, or ``ocr`` if the file has to be read in such a process.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ragkit._child import serve
from ragkit.documents.base import MORE_MEMORY, Issue, LoadOptions, OcrNeededError, Source
from ragkit.documents.discovery import file_sha256
from ragkit.documents.registry import choose, parser
from ragkit.errors import DocumentError, EncryptedFileError
from ragkit.records import Document


def answer(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the contents of a file, its issues, and ``alive`` during long work."""
    results = _parse(Path(request["path"]), request["origin"], _options(request["options"]), request.get("ocr", False))
    for item in results:
        if isinstance(item, OcrNeededError):
            yield {"kind": "ocr", "pages": item.pages}
            return
        if item is None:
            yield {"kind": "alive"}
        else:
            yield {"kind": "document" if isinstance(item, Document) else "issue", "value": asdict(item)}
    yield {"kind": "end"}


def _parse(
    path: Path, origin: str, options: LoadOptions, ocr: bool
) -> Iterator[Document | Issue | OcrNeededError | None]:
    try:
        chosen, wrong = choose(path)
        source = Source(path, origin, file_sha256(path), options, ocr=ocr)
        # A process with the limits of OCR reads a file that another has reported already.
        if wrong and not ocr:
            yield source.issue("mislabelled", f"Read as {chosen.name}: {wrong}.")
        found = False
        for item in parser(chosen)(source):
            found = found or isinstance(item, Document)
            yield item
        if not found:
            yield source.issue("refused", "It contains no text.", hint="If it is a scan, run it through OCR first.")
    except OcrNeededError as error:
        yield error
    except DocumentError as error:
        yield Issue(origin, "refused", error.message, hint=error.hint, locked=isinstance(error, EncryptedFileError))
    except OSError as error:
        yield Issue(origin, "refused", f"It can't be read: {error.strerror or error}.", hint="Fix its permissions.")
    except (MemoryError, RecursionError) as error:
        if isinstance(error, MemoryError):
            yield Issue(origin, "refused", "It needs more memory than its limit.", hint=MORE_MEMORY, retry=True)
        else:
            yield Issue(origin, "refused", "It is nested too deeply.", hint="Export the file again, or split it.")
    except Exception as error:  # noqa: BLE001  a parser's library may raise anything on a damaged file
        yield Issue(
            origin,
            "refused",
            f"It is damaged or not what it says ({type(error).__name__}: {str(error)[:200]}).",
            hint="Open it in its program and save it again.",
        )


def _options(given: dict[str, Any]) -> LoadOptions:
    """Return options from JSON, with lists converted to tuples."""
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}
    return LoadOptions(**values)


if __name__ == "__main__":
    serve(answer)
