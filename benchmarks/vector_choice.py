"""Which kind of vector file for which size: recall, time and memory of the alternatives.

Run: python benchmarks/vector_choice.py [--quick] [--rows N ...]

Exact search is the peer. Vectors are mixed from real ones (see recombined.py), queries are XQuAD questions embedded for
real; one query at a time on one thread. ``MB`` is the size of the file, which is what an open one takes in memory.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.recombined import picks, sentences, vectors, versions
from ragkit.embedding import open_embedder
from ragkit.indexing.vectors import VectorOptions, build_vector_file, open_vector_file

Search = Callable[[np.ndarray], np.ndarray]


def main() -> None:
    """Print a table for each size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="20,000 vectors")
    parser.add_argument("--rows", type=int, nargs="*", default=[])
    arguments = parser.parse_args()
    pool = sentences(open_embedder(), arguments.quick)
    print(versions())
    for rows in arguments.rows or ([20_000] if arguments.quick else [50_000, 200_000, 1_000_000]):
        made = vectors(pool, picks(pool, rows))
        queries = pool.question_vectors[:200]
        scores = made @ queries.T
        exact = np.argpartition(-scores, 10, axis=0)[:10].T
        del scores
        print(f"\n{rows:,} vectors of {made.shape[1]} dimensions, {len(queries)} queries\n")
        print("| kind | recall@10 | p50 ms | p95 ms | build s | open s | MB |\n|---|---|---|---|---|---|---|")
        with tempfile.TemporaryDirectory() as folder:
            _ragkit(Path(folder) / "file", made, queries, exact, flat=True)
            _ragkit(Path(folder) / "file", made, queries, exact, flat=False)
            if rows <= 200_000:
                _hnsw(Path(folder) / "file", made, queries, exact)
            _ivf_sq8(Path(folder) / "file", made, queries, exact)


def _ragkit(path: Path, made: np.ndarray, queries: np.ndarray, exact: np.ndarray, *, flat: bool) -> None:
    options = VectorOptions(ivf_threshold=len(made) if flat else 1)
    started = time.perf_counter()
    build_vector_file(path, np.arange(len(made), dtype=np.int64), made, options)
    built = time.perf_counter() - started
    started = time.perf_counter()
    file = open_vector_file(path, options)
    opened = time.perf_counter() - started
    name = "**flat, float32**" if flat else "**IVF, float16** (ragkit's, default nprobe)"
    _row(name, lambda query: file.search(query, 10)[0], queries, exact, built, opened, path)


def _hnsw(path: Path, made: np.ndarray, queries: np.ndarray, exact: np.ndarray) -> None:
    for kind, name in ((faiss.ScalarQuantizer.QT_fp16, "float16"), (faiss.ScalarQuantizer.QT_8bit, "8 bit")):
        index = faiss.IndexHNSWSQ(made.shape[1], kind, 24, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = 80
        index = _built(index, made)
        for effort in (64, 256):
            parameters = faiss.SearchParametersHNSW(efSearch=effort)
            _faiss(f"HNSW 24, {name}, efSearch {effort}", index, path, queries, exact, parameters)


def _ivf_sq8(path: Path, made: np.ndarray, queries: np.ndarray, exact: np.ndarray) -> None:
    lists = 2 ** round(np.log2(4 * len(made) ** 0.5))
    index = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(made.shape[1]),
        made.shape[1],
        lists,
        faiss.ScalarQuantizer.QT_8bit,
        faiss.METRIC_INNER_PRODUCT,
        False,
    )
    index.cp.niter, index.cp.min_points_per_centroid = 8, 1
    index = _built(index, made)
    parameters = faiss.SearchParametersIVF(nprobe=max(16, lists // 32))
    _faiss("IVF, 8 bit", index, path, queries, exact, parameters)


def _built(index, made: np.ndarray) -> tuple[object, float]:
    started = time.perf_counter()
    index.train(made[: 64 * 4096])
    index.add(made)
    return index, time.perf_counter() - started


def _faiss(name: str, built, path: Path, queries: np.ndarray, exact: np.ndarray, parameters) -> None:
    faiss.write_index(built[0], str(path))
    started = time.perf_counter()
    index = faiss.read_index(str(path))
    opened = time.perf_counter() - started
    _row(
        name, lambda query: index.search(query[None], 10, params=parameters)[1][0], queries, exact, built[1], opened,
        path,
    )  # fmt: skip


def _row(
    name: str, search: Search, queries: np.ndarray, exact: np.ndarray, built: float, opened: float, path: Path
) -> None:
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    spent, shared = [], 0
    for query, wanted in zip(queries, exact, strict=True):
        started = time.perf_counter()
        keys = search(query)
        spent.append(1000 * (time.perf_counter() - started))
        shared += len(np.intersect1d(keys, wanted))
    faiss.omp_set_num_threads(threads)
    p50, p95 = np.quantile(spent, [0.5, 0.95])
    size = path.stat().st_size / 1e6
    recall = shared / exact.size
    print(f"| {name} | {recall:.4f} | {p50:.2f} | {p95:.2f} | {built:.1f} | {opened:.2f} | {size:.0f} |", flush=True)


if __name__ == "__main__":
    main()
