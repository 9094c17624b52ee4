"""Small-to-large expansion: hits are small for precise search; the prompt may show the text around them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ragkit.records import Chunk

if TYPE_CHECKING:
    from ragkit.indexing import Index

Expansion = Literal["none", "neighbours", "section"]


def expanded_span(index: Index, chunk: Chunk, expansion: Expansion) -> tuple[int, int]:
    """Return the span of the document's text to show for a chunk; it always contains the chunk.

    Args:
        index: index of the chunk.
        chunk: a hit's.
        expansion: ``none`` for the chunk itself, ``neighbours`` for the chunks before and after too, ``section`` for
            the innermost section around it.
    """
    if expansion == "section":
        return min(chunk.section_start, chunk.start), max(chunk.section_end, chunk.end)
    if expansion == "neighbours":
        around = index.neighbours(chunk)
        return min([chunk.start, *(c.start for c in around)]), max([chunk.end, *(c.end for c in around)])
    return chunk.start, chunk.end
