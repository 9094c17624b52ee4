"""The default: FAISS files in the index folder, which the commit itself lists; see ``ragkit.indexing.vectors``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ragkit.errors import IndexMismatchError
from ragkit.indexing.backends.base import Selection, with_ties
from ragkit.indexing.vectors import Keys, Scored, VectorFile, best, empty

if TYPE_CHECKING:
    from ragkit.embedding.base import Vectors


class EmbeddedVectors:
    """The vector files of one generation.

    Args:
        files: open vector files by segment name.
        dead: keys in the files that are no longer in the index, sorted int64.
    """

    def __init__(self, files: Mapping[str, VectorFile], dead: Keys) -> None:
        self.files = files
        self._dead = dead

    def search(self, query: Vectors, k: int, selection: Selection | None) -> Scored:
        """Return the nearest chunks over all files; see ``VectorFile.search``."""
        found = []
        for file in self.files.values():
            if file.dimension != len(query):
                raise dimension_error(len(query), file.dimension)
            allowed, denied = (None, self._dead) if selection is None else (selection.keys, None)
            found.append(with_ties(partial(file.search, query, allowed=allowed, denied=denied), k))
        if not found:
            return empty()
        return best(np.concatenate([keys for keys, _ in found]), np.concatenate([scores for _, scores in found]), k)


def dimension_error(query: int, index: int) -> IndexMismatchError:
    """Return the error for a query vector of another model."""
    return IndexMismatchError(
        f"The query's vector has {query} dimensions; the index has {index}.",
        "Embed the query with the index's own model: index.embedder.",
    )
