"""Files inside files: members of archives and attachments of mails, each read by its own loader."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from ragkit.documents.base import Issue, OcrNeededError, Source
from ragkit.documents.registry import choose, parser
from ragkit.errors import DocumentError, EncryptedFileError, ParserLimitError
from ragkit.records import Document, document_id

MAX_DEPTH = 3
"""Maximum nesting depth of members."""


def read_member(outer: Source, name: str, data: bytes) -> Iterator[Document | Issue | None]:
    """Yield the documents of a member, with sources such as ``mail.eml#plan.pdf``, and its issues.

    A member that can't be read is an issue ``member_refused``; the others are read.

    Args:
        outer: the file that contains it.
        name: name of the member; a path in an archive. It is part of the source and never used as a path.
        data: its bytes.

    Raises:
        ParserLimitError: if the members of the file are too many or too large.
    """
    outer.budget.members -= 1
    outer.budget.bytes -= len(data)
    if outer.budget.members < 0 or outer.budget.bytes < 0:
        raise ParserLimitError("Its members are too many or too large.", "Unpack it, and add the files.")
    if outer.depth >= MAX_DEPTH:
        yield refused(outer, name, f"It is nested more than {MAX_DEPTH} levels deep.", "Unpack it, and add that.")
        return
    origin, number = f"{outer.origin}#{name}", 1
    while origin in outer.budget.origins:
        number += 1
        origin = f"{outer.origin}#{name} ({number})"
    outer.budget.origins.add(origin)
    with tempfile.TemporaryDirectory(prefix="ragkit-member-") as folder:
        path = Path(folder) / _safe_name(name)
        path.write_bytes(data)
        source = Source(
            path,
            origin,
            hashlib.sha256(data).hexdigest(),
            outer.options,
            depth=outer.depth + 1,
            budget=outer.budget,
            ocr=outer.ocr,
        )
        try:
            found = False
            for item in parser(choose(path)[0])(source):
                found = found or isinstance(item, Document)
                yield _within(outer, name, item)
            if not found:
                yield refused(outer, name, "It contains no text.")
        except ParserLimitError:
            raise
        except OcrNeededError:
            yield refused(outer, name, "It is a scan.", "Extract it and add it as a file of its own.")
        except DocumentError as error:
            locked = isinstance(error, EncryptedFileError)
            yield refused(outer, name, error.message, error.hint or "", locked=locked)
        except (MemoryError, RecursionError):
            raise
        except Exception as error:  # noqa: BLE001  a parser's library may raise anything on a damaged file
            yield refused(outer, name, f"It is damaged ({type(error).__name__}: {str(error)[:200]}).")


def refused(outer: Source, name: str, detail: str, hint: str = "", *, locked: bool = False) -> Issue:
    """Return the issue of a member that is not read."""
    return replace(outer.issue("member_refused", f"{name}: {detail}", hint=hint), locked=locked)


def _within(outer: Source, name: str, item: Document | Issue | None) -> Document | Issue | None:
    """Return an item of a member as one of the outer file."""
    if item is None:
        return None
    if isinstance(item, Issue):
        return replace(item, origin=outer.origin, detail=f"{name}: {item.detail}", page=None)
    return replace(
        item,
        id=document_id(item.source),
        origin=outer.origin,
        metadata={**item.metadata, "member": name},
    )


def _safe_name(name: str) -> str:
    """Return a file name for a member: its last part, since loaders use the suffix and the stem."""
    last = PurePosixPath(name.replace("\\", "/")).name
    kept = "".join(char for char in last if char.isprintable() and char not in '/\0:*?"<>|').strip(". ")
    encoded = kept.encode("utf-8", "ignore")
    return encoded[-150:].decode("utf-8", "ignore") or "member"
