"""Exact vector search on a GPU, with FAISS if its build supports GPUs, else with torch; the hits are the same."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ragkit.indexing.vectors import Keys, Scored, VectorFile, VectorOptions, best, empty

if TYPE_CHECKING:
    from ragkit.embedding.base import Vectors


class TorchVectors:
    """Exact search with torch: one matrix product per query.

    Args:
        keys: int64 ``[n]``.
        vectors: float32 ``[n, d]``.
        device: ``cuda`` or ``cpu``.
    """

    def __init__(self, keys: Keys, vectors: Vectors, device: str = "cuda") -> None:
        import torch

        self._torch = torch
        self._keys = keys
        self._vectors = torch.from_numpy(np.ascontiguousarray(vectors)).to(device)

    def search(self, query: Vectors, k: int, mask: np.ndarray[Any, np.dtype[np.bool_]] | None = None) -> Scored:
        """Return the ``k`` best rows for ``query``, float32 ``[d]``; with a mask, among its true rows."""
        torch = self._torch
        count = len(self._keys) if mask is None else int(mask.sum())
        k = min(k, count)
        if k <= 0:
            return empty()
        scores = self._vectors @ torch.from_numpy(np.ascontiguousarray(query)).to(self._vectors.device)
        if mask is not None:
            scores[torch.from_numpy(~mask).to(scores.device)] = float("-inf")
        limit = torch.topk(scores, k).values[-1]
        rows = torch.nonzero(scores >= limit).flatten().cpu().numpy()
        return best(self._keys[rows], scores[rows].float().cpu().numpy(), k)


class GpuVectorFile(VectorFile):
    """A vector file that is searched exactly on the GPU.

    Args:
        path: path of the file; the caller has verified its checksum.
        options: options of vector files.
        device: ``cuda``, or ``cpu`` to run the same code without a GPU.
    """

    def __init__(self, path: Path, options: VectorOptions, device: str = "cuda") -> None:
        super().__init__(path, options)
        keys, vectors = _rows(self._index)
        self._keys = keys
        self._torch = TorchVectors(keys, vectors, device)
        self._faiss = _faiss_gpu(keys, vectors) if device == "cuda" else None
        self._searching = threading.Lock()

    def search(self, query: Vectors, k: int, allowed: Keys | None = None, denied: Keys | None = None) -> Scored:
        """Return the nearest rows by inner product, exactly; see ``VectorFile.search``."""
        k = min(k, self.rows)
        if allowed is not None:
            return self._torch.search(query, k, np.isin(self._keys, allowed))
        if denied is not None and len(denied):
            return self._torch.search(query, k, ~np.isin(self._keys, denied))
        # FAISS on a GPU returns at most 2,048 rows.
        if self._faiss is not None and 0 < k <= 1024:
            # Each index has its own temporary GPU memory, which is not thread-safe, even for searching.
            with self._searching:
                scores, keys = self._faiss.search(query[None], k)
            return best(keys[0], scores[0], k)
        return self._torch.search(query, k)


def _rows(index: Any) -> tuple[Keys, Vectors]:
    """Return the keys and vectors of a FAISS index."""
    import faiss

    ivf = faiss.try_extract_index_ivf(index)
    if ivf is None:
        keys = faiss.vector_to_array(index.id_map).astype(np.int64)
        return keys, faiss.downcast_index(index.index).reconstruct_n(0, index.ntotal)
    parts = []
    for number in range(ivf.nlist):
        size = ivf.invlists.list_size(number)
        if size:
            parts.append(faiss.rev_swig_ptr(ivf.invlists.get_ids(number), size).copy())
    keys = np.concatenate(parts).astype(np.int64) if parts else np.zeros(0, dtype=np.int64)
    ivf.set_direct_map_type(faiss.DirectMap.Hashtable)
    return keys, ivf.reconstruct_batch(keys)


def _faiss_gpu(keys: Keys, vectors: Vectors) -> Any | None:
    """Return a flat FAISS index on the GPU, or None if this build of FAISS does not support GPUs."""
    import faiss

    if not hasattr(faiss, "StandardGpuResources") or not faiss.get_num_gpus():
        return None
    flat = faiss.IndexIDMap2(faiss.GpuIndexFlatIP(faiss.StandardGpuResources(), vectors.shape[1]))
    flat.add_with_ids(np.ascontiguousarray(vectors), keys)
    return flat
