"""Keyword files: immutable tantivy folders with BM25 over the embedded text.

A new generation hard-links the unchanged segment files of the previous one, so that the cost of an addition is
proportional to its size. ``analysis`` splits text into terms, which tantivy's English stemmer stems; a query is a set
of terms, never query syntax.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ragkit.errors import IndexDamagedError
from ragkit.indexing.analysis import terms
from ragkit.indexing.vectors import Keys, Scored, best, empty, holds

_TERMS_AT_MOST = 1024
"""Maximum distinct terms of a query; of more, the rarest are used."""
_SET_BELOW = 20_000
"""Filters with fewer rows than this are part of the query; with more, hits are filtered."""
MUTABLE = frozenset({"meta.json", ".managed.json"})
LOCKS = frozenset({".tantivy-writer.lock", ".tantivy-meta.lock"})
_HEAP = 64_000_000
_TOKENIZER = "ragkit"


def _schema() -> Any:
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_integer_field("key", stored=False, indexed=True, fast=True)
    builder.add_text_field("text", stored=False, tokenizer_name=_TOKENIZER, index_option="freq")
    return builder.build()


def _stemmer() -> Any:
    """Return the analyzer that turns the output of ``_spaced`` into stored terms."""
    import tantivy

    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace())
    return builder.filter(tantivy.Filter.stemmer("english")).build()


def _spaced(text: str) -> str:
    return " ".join(terms(text))


def extend_keywords(
    previous: Path | None, folder: Path, add: Iterable[tuple[int, str]], delete: Iterable[int] = ()
) -> None:
    """Create a keyword folder from the previous one.

    Args:
        previous: the previous folder, with the same ``ANALYZER``, which is not changed; None to start empty.
        folder: the new folder; it must not exist.
        add: chunk keys with their text.
        delete: chunk keys to remove.
    """
    import tantivy

    folder.mkdir(parents=True)
    if previous is not None:
        for file in previous.iterdir():
            if file.name in MUTABLE:
                (folder / file.name).write_bytes(file.read_bytes())
            elif file.name not in LOCKS:
                (folder / file.name).hardlink_to(file)
    index = tantivy.Index(_schema(), path=str(folder))
    index.register_tokenizer(_TOKENIZER, _stemmer())
    writer = index.writer(heap_size=_HEAP, num_threads=1)
    for key in delete:
        writer.delete_documents_by_term("key", key)
    for key, text in add:
        writer.add_document(tantivy.Document(key=key, text=_spaced(text)))
    writer.commit()
    writer.wait_merging_threads()
    for name in LOCKS:
        (folder / name).unlink(missing_ok=True)


class KeywordFile:
    """An open keyword folder.

    Args:
        folder: a folder from ``extend_keywords``; the caller has verified its checksums.

    Raises:
        IndexDamagedError: if tantivy can't read it.
    """

    _found_per_key = 1
    """Maximum number of chunks that ``_among`` finds for a key."""

    def __init__(self, folder: Path) -> None:
        import tantivy

        self._links: TemporaryDirectory[str] | None = None
        if not os.access(folder, os.W_OK):
            # tantivy creates a lock file even to read: in a read-only folder, it gets a folder of links.
            self._links = TemporaryDirectory(prefix="ragkit-")
            for file in folder.iterdir():
                (Path(self._links.name) / file.name).symlink_to(file.resolve())
            folder = Path(self._links.name)
        try:
            # With its own schema: the folder may have an older analyzer, if it could not be rebuilt.
            self._index = tantivy.Index.open(str(folder))
            self._searcher = self._index.searcher()
        except (ValueError, OSError) as error:
            raise IndexDamagedError(
                f"{folder} can't be read as a keyword index: {error}.", "Run: ragkit repair INDEX"
            ) from error
        self._stemmer = _stemmer()
        self.rows: int = self._searcher.num_docs

    def terms(self, text: str) -> list[str]:
        """Return the distinct terms of a query, in order of occurrence, at most the 1,024 rarest."""
        found = list(dict.fromkeys(self._stemmer.analyze(_spaced(text))))
        if len(found) > _TERMS_AT_MOST:
            found.sort(key=lambda term: self.frequency(term) or self.rows)
            found = found[:_TERMS_AT_MOST]
        return found

    def frequency(self, term: str) -> int:
        """Return the number of chunks that contain a term."""
        return int(self._searcher.doc_freq("text", term))

    def search(self, text: str, k: int, allowed: Keys | None = None, denied: Keys | None = None) -> Scored:
        """Return the best chunks by BM25 (k1 1.2, b 0.75).

        Args:
            text: any text; it is not parsed as query syntax.
            k: maximum number of hits.
            allowed: allowed keys, sorted int64.
            denied: excluded keys, sorted int64.
        """
        import tantivy

        wanted = self.terms(text)
        k = min(k, self.rows)
        if not wanted or k <= 0 or (allowed is not None and not len(allowed)):
            return empty()
        schema = self._index.schema
        should = tantivy.Occur.Should
        query = tantivy.Query.boolean_query(
            [(should, tantivy.Query.term_query(schema, "text", term, "freq")) for term in wanted]
        )
        filtered = allowed is not None and len(allowed) < _SET_BELOW
        if allowed is not None and filtered:
            among = tantivy.Query.const_score_query(self._among(allowed), 0.0)
            query = tantivy.Query.boolean_query([(tantivy.Occur.Must, query), (tantivy.Occur.Must, among)])
        # One extra hit shows whether the last place is tied; ties are broken by key.
        limit = (k + 16) * (self._found_per_key if filtered else 1)
        while True:
            limit = min(limit, max(self.rows, 1))
            keys, scores = self._hits(query, limit)
            exhausted = len(keys) < limit or limit >= self.rows
            kept = _kept(keys, allowed, denied)
            enough = int(kept.sum()) > k and scores[-1] < scores[kept][k - 1]
            if exhausted or enough:
                return best(keys[kept], scores[kept], k)
            limit *= 4

    def search_similar(self, word: str, distance: int, k: int, allowed: Keys | None = None) -> Keys:
        """Return keys of chunks that contain a term like a word's, those of the word itself included.

        Args:
            word: its first term counts.
            distance: edits between the terms, 1 or 2; a swap of neighbouring letters is one.
            k: maximum number of chunks.
            allowed: only these keys; sorted int64.
        """
        import tantivy

        wanted = self.terms(word)
        if not wanted or not self.rows or (allowed is not None and not len(allowed)):
            return empty()[0]
        schema = self._index.schema
        query = tantivy.Query.fuzzy_term_query(schema, "text", wanted[0], distance)
        if allowed is not None and len(allowed) < _SET_BELOW:
            query = tantivy.Query.boolean_query(
                [(tantivy.Occur.Must, query), (tantivy.Occur.Must, self._among(allowed))]
            )
        keys: Keys = self._hits(query, min(k, self.rows))[0]
        kept: Keys = keys[_kept(keys, allowed, None)]
        return kept

    def _hits(self, query: Any, limit: int) -> Scored:
        hits = self._searcher.search(query, limit, count=False).hits
        return (
            self._keys_at([address for _, address in hits]),
            np.array([score for score, _ in hits], dtype=np.float32).reshape(-1),
        )

    def _keys_at(self, addresses: list[Any]) -> Keys:
        """Return the keys of the chunks at tantivy's addresses."""
        return np.array(self._searcher.fast_field_values("key", addresses), dtype=np.int64).reshape(-1)

    def _among(self, allowed: Keys) -> Any:
        """Return a query that finds all chunks with one of some keys, and possibly others."""
        import tantivy

        return tantivy.Query.term_set_query(self._index.schema, "key", [int(key) for key in allowed])


def _kept(keys: Keys, allowed: Keys | None, denied: Keys | None) -> np.ndarray[Any, np.dtype[np.bool_]]:
    kept = np.ones(len(keys), dtype=bool)
    if allowed is not None:
        kept &= holds(allowed, keys)
    if denied is not None and len(denied):
        kept &= ~holds(denied, keys)
    return kept
