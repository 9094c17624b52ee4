"""An index with shards beside one index of the same chunks: are the results the same, and what does a search cost?

Run: python benchmarks/shards.py [--chunks N] [--shards N] [--limit N] [--ivf-threshold N]

Chunks are recombined from real sentences (see recombined.py); queries are XQuAD questions. Two results are the same if
they have the same ten best chunks; equal scores count as the same. Queries are embedded before they are timed. By
default, both indexes search vector files above 50,000 rows approximately; with ``--ivf-threshold`` above ``--chunks``
both are exact, so that only the shards differ.
``merge`` is the time to merge the lists of 100 hits of 1,000 shards.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.recombined import fill, sentences, versions
from ragkit.embedding import open_embedder
from ragkit.indexing.index import Index
from ragkit.indexing.options import IndexOptions
from ragkit.indexing.vectors import VectorOptions, best
from ragkit.records import Hit
from ragkit.retrieval.retriever import RetrievalOptions, Retriever

_TIE = 1e-5


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chunks", type=int, default=200_000)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--limit", type=int, default=500, help="queries")
    parser.add_argument("--ivf-threshold", type=int, default=VectorOptions().ivf_threshold)
    arguments = parser.parse_args()
    embedder = open_embedder()
    pool = sentences(embedder, arguments.chunks < 50_000)
    questions = pool.questions[: arguments.limit]
    vectors = VectorOptions(ivf_threshold=arguments.ivf_threshold)
    with tempfile.TemporaryDirectory() as folder:
        indexes: list[Index] = []
        for shards in (0, arguments.shards):
            path, options = Path(folder) / f"index-{shards}", IndexOptions(vectors=vectors, shards=shards)
            seconds = fill(path, embedder, pool, arguments.chunks, options)
            indexes.append(Index.open(path, embedder=embedder, options=options))
            size = indexes[-1].stats().bytes / 2**20
            print(f"{shards or 1} x: {seconds['write']:.0f} s written, {seconds['merge']:.0f} s merged, {size:.0f} MB")
        one, sharded = indexes
        print(f"\n{one.chunk_count:,} chunks, {len(questions)} queries; {versions()}\n")
        print("| search | same top 10 | hits in common | one p50 | p95 | shards p50 | p95 | dense | keyword |")
        print("|---|---|---|---|---|---|---|---|---|")
        for name, options, where in (
            ("hybrid", RetrievalOptions(), None),
            ("hybrid, filter that keeps 4 %", RetrievalOptions(), "year == 2010"),
            ("dense", RetrievalOptions(mode="dense"), None),
            ("keyword", RetrievalOptions(mode="keyword"), None),
        ):
            print(_row(name, [Retriever(index, options) for index in (one, sharded)], questions, where), flush=True)
        for index in indexes:
            index.close()
    print(f"\nmerge: {_merge_ms():.2f} ms")


def _row(name: str, retrievers: list[Retriever], questions: list[str], where: str | None) -> str:
    spent: list[list[float]] = [[], []]
    same, common, stages = [], [], []
    for retriever in retrievers:
        retriever.retrieve(questions[0], 10, where)
    for question in questions:
        retrievers[0].index.embedder.embed([question], "query")
        results = []
        for retriever, times in zip(retrievers, spent, strict=True):
            started = time.perf_counter()
            results.append(retriever.retrieve(question, 10, where))
            times.append(1000 * (time.perf_counter() - started))
        first, second = (list(found.hits) for found in results)
        same.append(_same(first, second))
        common.append(len({_place(hit) for hit in first} & {_place(hit) for hit in second}) / max(len(first), 1))
        stages.append([1000 * results[1].timings.get(stage, 0.0) for stage in ("dense", "keyword")])
    times = [f"{value:.1f}" for one in spent for value in np.quantile(one, [0.5, 0.95])]
    parts = [f"{value:.1f}" for value in np.median(stages, axis=0)]
    cells = [name, f"{np.mean(same):.1%}", f"{np.mean(common):.2%}", *times, *parts]
    return f"| {' | '.join(cells)} |"


def _place(hit: Hit) -> tuple[str, int]:
    return hit.document.source, hit.chunk.ordinal


def _same(first: list[Hit], second: list[Hit]) -> bool:
    """Return whether two results have the same chunks, except for ties with the last score."""
    if len(first) != len(second):
        return False
    last = min((hit.score for hit in first), default=0.0) + _TIE
    above = [{_place(hit) for hit in hits if hit.score > last} for hits in (first, second)]
    close = all(abs(a.score - b.score) < _TIE for a, b in zip(first, second, strict=True))
    return above[0] == above[1] and close


def _merge_ms() -> float:
    random = np.random.default_rng(1)
    lists = [(np.arange(100) * 1000 + number, np.sort(random.random(100))[::-1]) for number in range(1000)]
    started = time.perf_counter()
    for _ in range(20):
        best(np.concatenate([keys for keys, _ in lists]), np.concatenate([scores for _, scores in lists]), 100)
    return 50 * (time.perf_counter() - started)


if __name__ == "__main__":
    main()
