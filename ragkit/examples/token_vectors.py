"""Token vectors of a pool's texts, stored on disk, and the similarity of an input's tokens to each text.

A cache in an SQLite file beside the pool: it may be deleted at any time and is recreated. A row is found by the hash
of its text, so other changes of the pool do not affect it. A token takes one int8 number per dimension and a scale: 388
bytes if the model has 384 dimensions, its cosines off by less than 0.01; each row carries a CRC-32.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import sqlite3
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ragkit._progress import Progress, ProgressCallback
from ragkit._sqlite import SharedDatabase
from ragkit.embedding import TokenEmbedder
from ragkit.errors import IndexClosedError, IndexDamagedError, IndexWriteError, SettingsError
from ragkit.indexing.store import MANY

if TYPE_CHECKING:
    from ragkit.embedding import Embedder
    from ragkit.indexing import Index

FILE_NAME = "tokens.sqlite"
_BATCH = 256
_WORD = re.compile(r"\w+")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS tokens (hash BLOB PRIMARY KEY, vectors BLOB NOT NULL, checksum INTEGER NOT NULL) STRICT
"""


class TokenVectors:
    """Token vectors by text; safe to share between threads.

    Args:
        folder: folder of the file; if it can't be written, vectors are computed and not kept.
        embedder: an embedder that returns token vectors.

    Raises:
        SettingsError: if it does not.
        StoreError: if the file can't be opened.
    """

    def __init__(self, folder: Path, embedder: Embedder) -> None:
        if not isinstance(embedder, TokenEmbedder):
            raise SettingsError(
                f"{type(embedder).__name__} returns no token vectors, which choice='coverage' needs.",
                "Use choice='keyword_coverage'.",
            )
        self.path = folder / FILE_NAME
        self._embedder: TokenEmbedder = embedder
        self.model_id = embedder.model_id
        self._dimension = embedder.dimension
        self._database: SharedDatabase | None = None
        if os.access(folder, os.W_OK):
            with self._errors():
                self._database = SharedDatabase(self.path, synchronous="NORMAL")
                self._database.rows(f"PRAGMA mmap_size = {2**40}")
                self._database.rows(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        database, self._database = self._database, None
        if database is not None:
            database.close()

    def similarity(self, parts: Sequence[str], texts: Sequence[str]) -> NDArray[np.float32]:
        """Return, for each of some texts and each token of an input, the highest cosine to a token of that text.

        Args:
            parts: the input, split if it is longer than the embedder's window.
            texts: texts of the pool.

        Returns:
            float32 ``[texts, tokens]``, 0 if a text has no tokens.
        """
        asked = np.concatenate(self._embedder.embed_tokens(parts, "document"))
        rows = self._rows(texts)
        lengths = np.array([len(row) // (self._dimension + 4) for row in rows])
        found = np.zeros((len(texts), len(asked)), dtype=np.float32)
        some = np.flatnonzero(lengths)
        if not len(some) or not len(asked):
            return found
        scales = np.concatenate([np.frombuffer(rows[n], np.float32, lengths[n]) for n in some])
        codes = np.concatenate([np.frombuffer(rows[n], np.int8, offset=4 * lengths[n]) for n in some])
        cosines = (codes.reshape(-1, self._dimension).astype(np.float32) @ asked.T) * scales[:, None]
        starts = np.concatenate([[0], np.cumsum(lengths[some])[:-1]])
        found[some] = np.maximum.reduceat(cosines, starts, axis=0)
        return found

    def prepare(self, texts: Iterable[str], total: int | None = None, progress: ProgressCallback | None = None) -> int:
        """Compute and store missing vectors, and return the number of texts that lacked them.

        Args:
            texts: texts of the pool.
            total: number of texts.
            progress: called with a ``Progress`` after each batch.
        """
        done = made = 0
        source = iter(texts)
        while batch := list(islice(source, _BATCH)):
            texts_by_key = {self._key(text): text for text in batch}
            kept = self._kept(list(texts_by_key))
            made += len(self._made({key: text for key, text in texts_by_key.items() if key not in kept}))
            done += len(batch)
            if progress is not None:
                progress(Progress("tokens", done, total))
        return made

    def _rows(self, texts: Sequence[str]) -> list[bytes]:
        keys = [self._key(text) for text in texts]
        kept = self._kept(keys)
        kept |= self._made({key: text for key, text in zip(keys, texts, strict=True) if key not in kept})
        return [kept[key] for key in keys]

    def _key(self, text: str) -> bytes:
        content = f"{self.model_id}\0{text}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(content, digest_size=16).digest()

    def _kept(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the rows that are kept, by key; one that fails its checksum is as good as none."""
        kept: dict[bytes, bytes] = {}
        database = self._database
        if database is None:
            return {}
        with self._errors():
            for first in range(0, len(keys), MANY):
                part = keys[first : first + MANY]
                sql = f"SELECT hash, vectors, checksum FROM tokens WHERE hash IN ({', '.join('?' * len(part))})"  # noqa: S608
                rows = database.rows(sql, part)
                kept |= {key: row for key, row, checksum in rows if zlib.crc32(row) == checksum}
        return kept

    def _made(self, texts: Mapping[bytes, str]) -> dict[bytes, bytes]:
        """Compute the rows of texts by key, and keep them."""
        vectors = self._embedder.embed_tokens(list(texts.values()), "document")
        rows = {key: _packed(one) for key, one in zip(texts, vectors, strict=True)}
        database = self._database
        if rows and database is not None:
            with self._errors(), database.transaction() as connection:
                connection.executemany(
                    "INSERT OR REPLACE INTO tokens VALUES (?, ?, ?)",
                    [(key, row, zlib.crc32(row)) for key, row in rows.items()],
                )
        return rows

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise IndexWriteError(
                f"{self.path} can't be written: {error}.",
                "Free disk space, or use choice='keyword_coverage', which keeps nothing.",
            ) from error
        except sqlite3.ProgrammingError as error:
            raise IndexClosedError(f"{self.path} was closed by another thread.", "Open the pool again.") from error
        except sqlite3.DatabaseError as error:
            raise IndexDamagedError(
                f"{self.path} is damaged: {error}.", f"Delete {self.path}: it is recreated from the pool."
            ) from error


def token_weights(index: Index, parts: Sequence[str], tokens: int) -> NDArray[np.float32]:
    """Return the rarity of each token's word in an index, so that "please" need not be covered.

    On synthetic compositional inputs, 3 shots covered .991 of the parts, compared with .981 with equal weights; .819
    and .813 if the pool had the parts only in other words.

    Args:
        index: index of the examples to choose from.
        parts: the input, as for ``TokenVectors.similarity``.
        tokens: tokens of the input; if the embedder reads more than the text has (a prompt), weights are equal.
    """
    total = index.chunk_count
    weights: list[float] = []
    for part in parts:
        words = [match.span() for match in _WORD.finditer(part)]
        starts = [start for start, _ in words]
        rarity = [_rarity(index.term_frequency(part[start:end]).values(), total) for start, end in words]
        for start, _ in index.embedder.tokenizer.offsets(part):
            at = bisect_right(starts, start) - 1
            weights.append(rarity[at] if at >= 0 and start < words[at][1] else 0.0)
    found = np.array(weights, dtype=np.float32)
    return found if len(found) == tokens and found.any() else np.ones(tokens, dtype=np.float32)


def _rarity(frequencies: Iterable[int], total: int) -> float:
    return math.log((2 + total) / (1 + min(frequencies, default=total)))


def _packed(vectors: NDArray[np.float32]) -> bytes:
    """Return the scales, float32 ``[tokens]``, and then the numbers, int8 ``[tokens, d]``."""
    scales = np.maximum(np.abs(vectors).max(axis=1, initial=0.0), 1e-12).astype(np.float32) / np.float32(127)
    codes = np.rint(vectors / scales[:, None]).astype(np.int8)
    return bytes(scales.tobytes() + codes.tobytes())
