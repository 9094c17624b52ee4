"""Vector files: immutable FAISS indexes that map unit vectors to chunk keys.

The kind depends on the size. Up to ``VectorOptions.ivf_threshold`` rows, a file is flat (exact, float32); above, it is
an inverted file (IVF) of float16 vectors, which is memory-mapped and searched in ``nprobe`` of its lists.
Measured on vectors mixed from MiniLM's, one thread (benchmarks/vector_choice.py): 200,000 rows give recall@10 .993 at
0.2 ms and 158 MB, built in 26 s; 1,000,000 rows .995 at 1.0 ms and 782 MB, built in 108 s. HNSW took a quarter more
memory and three times the building at 20,000 rows, for .997 at 0.06 ms; with IVF a filtered search is made exact by
reading every list.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ragkit.errors import IndexDamagedError

if TYPE_CHECKING:
    from ragkit.embedding.base import Vectors

Keys = NDArray[np.int64]
Scored = tuple[Keys, NDArray[np.float32]]
"""Keys and their scores, best first: int64 ``[n]``, float32 ``[n]``."""

_EXACT_BELOW = 20_000
"""Filters with fewer rows than this are searched exactly."""


@dataclass(frozen=True, slots=True)
class VectorOptions:
    """Options of vector files."""

    ivf_threshold: int = 50_000
    """Maximum number of rows of a flat file."""
    nprobe: int = 0
    """Number of lists of an IVF file that a search reads; 0 for a default by size."""
    training_rows: int = 100_000
    """Maximum number of rows for training the lists of an IVF file."""


def empty() -> Scored:
    """Return no hits."""
    return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)


def best(keys: Keys, scores: NDArray[np.float32], k: int) -> Scored:
    """Return the ``k`` best, sorted by descending score, then by key."""
    if 0 < k < len(keys):
        # All ties with the k-th score are ordered, so that the result is deterministic.
        limit = np.partition(scores, len(scores) - k)[len(scores) - k]
        kept = scores >= limit
        keys, scores = keys[kept], scores[kept]
    order = np.lexsort((keys, -scores))[:k]
    return keys[order], scores[order]


def build_vector_file(path: Path, keys: Keys, vectors: Vectors, options: VectorOptions) -> str:
    """Write a vector file and return its kind, ``flat`` or ``ivf``.

    Args:
        path: path of the file; the caller syncs it to disk.
        keys: distinct keys, int64 ``[n]``.
        vectors: unit vectors, float32 ``[n, d]``.
        options: options of vector files.
    """
    import faiss

    rows, dimension = vectors.shape
    if rows <= options.ivf_threshold:
        inner = faiss.IndexFlatIP(dimension)
        kind = "flat"
    else:
        lists = 2 ** round(math.log2(4 * math.sqrt(rows)))
        quantizer = faiss.IndexFlatIP(dimension)
        inner = faiss.IndexIVFScalarQuantizer(
            quantizer, dimension, lists, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT, False
        )
        inner.cp.niter = 8
        inner.cp.seed = 1
        inner.cp.min_points_per_centroid = 1
        chosen = np.random.default_rng(1).permutation(rows)[: min(options.training_rows, 64 * lists)]
        inner.train(np.ascontiguousarray(vectors[np.sort(chosen)]))
        kind = "ivf"
    if kind == "flat":
        index = faiss.IndexIDMap2(inner)
        index.add_with_ids(np.ascontiguousarray(vectors), keys)
    else:
        index = inner
        index.add_with_ids(np.ascontiguousarray(vectors), keys)
    faiss.write_index(index, str(path))
    return kind


class VectorFile:
    """An open vector file.

    Args:
        path: path of the file; the caller has verified its checksum.
        options: options of the search.

    Raises:
        IndexDamagedError: if FAISS can't read it.
    """

    def __init__(self, path: Path, options: VectorOptions) -> None:
        import faiss

        try:
            self._index: Any = faiss.read_index(str(path))
        except RuntimeError as error:
            raise IndexDamagedError(f"{path} can't be read as a vector file.", "Run: ragkit repair INDEX") from error
        self.rows: int = self._index.ntotal
        self.dimension: int = self._index.d
        self._ivf = faiss.try_extract_index_ivf(self._index)
        self._nprobe = options.nprobe
        if self._ivf is not None and not options.nprobe:
            self._nprobe = max(64, self._ivf.nlist // 32)

    def search(self, query: Vectors, k: int, allowed: Keys | None = None, denied: Keys | None = None) -> Scored:
        """Return the nearest rows by inner product.

        Args:
            query: a unit vector, float32 ``[d]``.
            k: maximum number of hits.
            allowed: allowed keys, sorted int64.
            denied: excluded keys, sorted int64. It can't be combined with ``allowed``.
        """
        import faiss

        k = min(k, self.rows)
        if k <= 0 or (allowed is not None and not len(allowed)):
            return empty()
        parameters: dict[str, Any] = {}
        exhaustive = False
        if allowed is not None:
            parameters["sel"] = _selector(allowed)
            exhaustive = len(allowed) < _EXACT_BELOW or len(allowed) < self.rows // 4
        elif denied is not None and len(denied):
            parameters["sel"] = faiss.IDSelectorNot(_selector(denied))
        if self._ivf is not None:
            # Reading all lists makes a filtered search exact; the selector skips other rows cheaply.
            every = self._ivf.nlist
            nprobe = every if exhaustive or k > self.rows // 8 else min(every, max(self._nprobe, k // 4))
            found = self._found(query, k, faiss.SearchParametersIVF(nprobe=nprobe, **parameters))
            if len(found[0]) < k and nprobe < every:
                # The nearest lists contain too few matching rows.
                found = self._found(query, k, faiss.SearchParametersIVF(nprobe=every, **parameters))
            return found
        return self._found(query, k, faiss.SearchParameters(**parameters) if parameters else None)

    def _found(self, query: Vectors, k: int, parameters: Any) -> Scored:
        scores, keys = self._index.search(query[None], k, params=parameters)
        real = keys[0] >= 0
        return best(keys[0][real], scores[0][real], k)


def _selector(keys: Keys) -> Any:
    """Return the FAISS selector of sorted keys: a bitmap if they are dense, else a set."""
    import faiss

    last = int(keys[-1])
    if keys[0] >= 0 and last < 64 * len(keys):
        bits = np.zeros(last + 1, dtype=np.uint8)
        bits[keys] = 1
        return faiss.IDSelectorBitmap(np.packbits(bits, bitorder="little"))
    return faiss.IDSelectorBatch(keys)


def holds(sorted_keys: Keys, keys: Keys) -> NDArray[np.bool_]:
    """Return which of ``keys`` are among sorted ones, by binary search instead of ``np.isin``."""
    if not len(sorted_keys):
        return np.zeros(len(keys), dtype=np.bool_)
    at = np.minimum(np.searchsorted(sorted_keys, keys), len(sorted_keys) - 1)
    return np.asarray(sorted_keys[at] == keys)


def open_vector_file(path: Path, options: VectorOptions, device: str = "cpu") -> VectorFile:
    """Open a vector file on the CPU, or on a GPU if ``device`` is ``cuda``, or ``auto`` and there is one."""
    from ragkit.embedding.opening import cuda_works

    if device == "cuda" or (device == "auto" and cuda_works()):
        from ragkit.indexing.gpu import GpuVectorFile

        return GpuVectorFile(path, options)
    return VectorFile(path, options)
