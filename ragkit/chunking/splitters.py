"""Custom splitters, which decide where chunks begin instead of headings, paragraphs and sentences.

A package adds one by an entry point of the group ``ragkit.splitters``:

    [project.entry-points."ragkit.splitters"]
    clauses = "my_package:split_clauses"

``ChunkingOptions(splitter="clauses")`` uses it. An index stores the name, so that later additions are split alike; give
a splitter a new name if its results change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from importlib.metadata import entry_points

from ragkit.errors import SettingsError
from ragkit.records import Document

GROUP = "ragkit.splitters"
Splitter = Callable[[Document], Iterable[int]]
"""Returns the character offsets in ``document.text`` at which chunks begin, in any order."""


@cache
def find_splitter(name: str) -> Splitter:
    """Return the installed splitter of a name.

    Raises:
        SettingsError: if no installed package has it, or it can't be loaded.
    """
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in found:
        names = ", ".join(sorted(found)) or "none"
        raise SettingsError(
            f"There is no splitter {name!r}; installed splitters: {names}.",
            f"Install the package that has it; it needs an entry point in the group {GROUP}.",
        )
    try:
        splitter: Splitter = found[name].load()
    except Exception as error:
        raise SettingsError(
            f"The splitter {name!r} can't be loaded: {error!r}.", "Reinstall or correct the package that has it."
        ) from error
    return splitter


def split_offsets(document: Document, name: str) -> list[int]:
    """Return where the chunks of a document begin by a splitter, ascending.

    Raises:
        SettingsError: if there is no such splitter, or it returns something other than offsets in the text.
    """
    offsets = sorted(set(find_splitter(name)(document)))
    wrong = [offset for offset in offsets if not isinstance(offset, int) or not 0 <= offset <= len(document.text)]
    if wrong:
        raise SettingsError(
            f"The splitter {name!r} returned the offset {wrong[0]!r} for {document.source}, whose text has "
            f"{len(document.text):,} characters.",
            "Correct the splitter: it must return offsets from 0 to the length of document.text.",
        )
    return offsets
